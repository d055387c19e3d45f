"""Confidence intervals for crossed clusters of targets and records, and what they are made of."""
