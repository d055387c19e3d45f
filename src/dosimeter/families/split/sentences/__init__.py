"""Split in words."""
