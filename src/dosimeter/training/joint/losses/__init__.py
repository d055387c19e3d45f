"""Losses that one party of a joint training has for itself, whose layers never cross."""
