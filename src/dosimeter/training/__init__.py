"""Training: from rows of data to trained models."""
