"""Split's part of the page."""
