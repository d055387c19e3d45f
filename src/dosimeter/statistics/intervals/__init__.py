"""Confidence intervals for crossed clusters of targets and records, and their parts."""
