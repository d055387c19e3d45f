"""Policies: limits, decisions, the ratchet, and the formats SARIF and JUnit."""
