"""A model that is there already."""
