"""The third door: a table of scores from an attack that ran elsewhere."""
