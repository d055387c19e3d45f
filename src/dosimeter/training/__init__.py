"""From rows to trained models."""
