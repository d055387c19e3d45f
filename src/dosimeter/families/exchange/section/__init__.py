"""The part of the page."""
