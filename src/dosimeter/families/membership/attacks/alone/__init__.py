"""Attacks that ask the target only."""
