"""Version and place of this package."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0.dev0"
PACKAGE = "dosimeter"
ROOT = Path(__file__).parents[1]
"""The folder of the package."""
