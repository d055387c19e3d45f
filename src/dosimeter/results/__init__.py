"""result.json and its readers."""
