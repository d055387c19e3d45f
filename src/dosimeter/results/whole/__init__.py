"""The content of `result.json`: what all threats of a run came to, and which of them learns most."""
