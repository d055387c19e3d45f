"""Defenses that act on a deployed model's answers."""
