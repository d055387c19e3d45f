"""The first door: a recipe, a chain of stages that dosimeter trains."""
