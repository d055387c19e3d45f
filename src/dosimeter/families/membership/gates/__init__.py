"""Checks that say whether a number of a membership audit may be believed."""
