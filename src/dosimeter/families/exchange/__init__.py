"""Two organisations train one model: what the messages between them tell."""
