"""A trained model of a fleet as it is deployed."""
