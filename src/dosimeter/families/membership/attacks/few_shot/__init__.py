"""Attacks that learn what a member looks like from a few records whose membership is known (FeS-MIA)."""
