"""Numbers, tests and checks of one case."""
