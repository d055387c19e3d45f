"""The jobs of a case."""
