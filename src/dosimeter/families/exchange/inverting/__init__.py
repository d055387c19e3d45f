"""Records made again from one gradient."""
