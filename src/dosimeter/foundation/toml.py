"""Reads a file of settings: size, encoding and syntax are checked before any key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line

MOST_BYTES = 1_000_000
"""Largest size of an audit file or a policy file, bytes."""


def read(path: Path, *, absent: str = "correct the path, or run `dosimeter init` to make one") -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: path of the file.
        absent: remedy if it cannot be read.

    Raises:
        ConfigError: no file, too large, not UTF-8, not TOML.
    """
    shown = one_line(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError(
                f"{shown}: must have at most {MOST_BYTES} bytes, got more: keep data in files of its own and name them"
            )
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown}: must be UTF-8 text, got byte {error.object[error.start]:#x} at {error.start}: save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown}: must be TOML, got {one_line(error)}: correct that line") from error
    except (RecursionError, ValueError) as error:
        what = "tables nested too deep" if isinstance(error, RecursionError) else one_line(error)
        raise ConfigError(f"{shown}: must be TOML, got {what}: correct it") from error
    except OSError as error:
        raise ConfigError(f"{shown}: must be a readable file, got: {error.strerror}: {absent}") from error


def as_tuples(value: Any) -> Any:
    """A value with its lists as tuples, at every depth, so that strict validation accepts TOML arrays."""
    if isinstance(value, list | tuple):
        return tuple(as_tuples(item) for item in value)
    return {key: as_tuples(item) for key, item in value.items()} if isinstance(value, Mapping) else value
