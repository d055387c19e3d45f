"""Trainings of attacks that use a half of a model."""
