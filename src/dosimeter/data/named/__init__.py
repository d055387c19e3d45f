"""Built-in data sets with a name."""
