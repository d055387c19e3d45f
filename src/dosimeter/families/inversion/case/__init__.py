"""One threat of inversion on one system."""
