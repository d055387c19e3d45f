"""Attacks on the class itself, for adversaries who see no answers."""
