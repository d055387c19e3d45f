"""The first sentences."""
