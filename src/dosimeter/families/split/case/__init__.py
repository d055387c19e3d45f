"""One threat of split on one system."""
