"""Data sets: built-in names and the user's own files."""
