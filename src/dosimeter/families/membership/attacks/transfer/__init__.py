"""Attacks through the stages after the one at risk."""
