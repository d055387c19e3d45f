"""Attacks that learned elsewhere: on the models of other data sets, before this audit."""
