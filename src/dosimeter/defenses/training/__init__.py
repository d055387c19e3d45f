"""Defenses that act while a stage is trained."""
