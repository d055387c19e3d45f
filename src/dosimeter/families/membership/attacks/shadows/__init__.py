"""Attacks that compare the target with shadow models."""
