"""Families of attack, one folder each."""
