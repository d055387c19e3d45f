"""Pieces of work that end in one stored entry each, the store, and where the work is done."""
