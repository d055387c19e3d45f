"""The third door: a table of scores."""
