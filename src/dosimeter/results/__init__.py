"""The file `result.json` and its readers."""
