"""A result in the form of version 2, in which a run held one threat and an estimate was a flat table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a result.json in the form of version 2.

    Args:
        content: of this version; one of version 2 stays as it is.
    """
    return dict(content)
