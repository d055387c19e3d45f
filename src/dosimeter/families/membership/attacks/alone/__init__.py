"""Attacks that query the target only."""
