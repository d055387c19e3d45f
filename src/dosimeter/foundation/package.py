"""Place of this package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "dosimeter"
ROOT = Path(__file__).parents[1]
"""The folder of the package."""
