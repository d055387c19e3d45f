"""The second door: a trained model of the user."""
