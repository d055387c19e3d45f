"""Chains of one audit file: of its stages, of its threats, and as audits of their own."""
