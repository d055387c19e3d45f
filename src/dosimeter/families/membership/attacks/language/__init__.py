"""Attacks that read the tokens of a text; those that need one number of a text stand in the other rooms."""
