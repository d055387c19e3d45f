"""Hashes for the keys of trained models."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import torch

from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import file_hash


def module_hash(name: str) -> str:
    """SHA-256 of a module's source, without importing it."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None or not found.origin or not Path(found.origin).is_file():
        raise ConfigError(
            f"depends: {name} must be a module with a source file, got none: put {name}.py beside the audit file"
        )
    return file_hash(Path(found.origin))


def torch_version() -> str:
    """The release of PyTorch without its build tag; it is part of every key."""
    return str(torch.__version__).split("+")[0]


def rows_hash(array: Any) -> str:
    """SHA-256 of an integer array, so that a definition need not list rows."""
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()[:24]
