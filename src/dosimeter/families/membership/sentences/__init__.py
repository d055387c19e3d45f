"""Sentences about a finished measurement: the verdict, the first page, what was not tested."""
