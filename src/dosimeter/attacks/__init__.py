"""The attacks, one file per method; the dictionary is the registry."""
