"""Limits, decisions, the ratchet, SARIF and JUnit."""
