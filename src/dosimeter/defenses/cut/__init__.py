"""Defenses of what a device sends over the cut of a model; each is a `training.recipe.Release`."""
