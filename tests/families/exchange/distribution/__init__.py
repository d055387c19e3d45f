"""The question of a distribution."""
