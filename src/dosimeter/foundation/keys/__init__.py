"""Content of cache keys: this package's code, the user's code and what it reads."""
