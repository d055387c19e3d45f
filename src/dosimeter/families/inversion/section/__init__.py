"""Inversion's part of the page."""
