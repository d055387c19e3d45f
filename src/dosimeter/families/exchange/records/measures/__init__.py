"""What reconstructions are worth, and what is shown."""
