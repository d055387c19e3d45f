"""Defenses that act during the training of a stage."""
