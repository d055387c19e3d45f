"""Attacks that know the layers of the first half and none of their weights."""
