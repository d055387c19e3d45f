"""Causal language models: builders, their adapters, and one pass that says all that is asked of a text."""
