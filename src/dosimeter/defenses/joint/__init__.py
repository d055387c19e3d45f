"""Defenses of organisations that train together: of what they send, and of their own steps."""
