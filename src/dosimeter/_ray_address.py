"""Where a Ray cluster is, and whether its port is open; asked before Ray is loaded."""

from __future__ import annotations

import os
import re
import socket

from dosimeter._resolve import one_line, quoted
from dosimeter.errors import ConfigError

KNOCK_SECONDS = 4.0
"""For the port of an address to open."""


def knock(address: str | None) -> str:
    """The address of a cluster whose port is open, or "auto" for the cluster that runs on this machine.

    Args:
        address: `host:port`; None for `RAY_ADDRESS`, or "auto" without it.

    Raises:
        ConfigError: it has another form, or nobody answers.
    """
    given = address or os.environ.get("RAY_ADDRESS") or "auto"
    if given == "auto":
        return given
    found = re.fullmatch(r"\[?([\w.:-]+?)\]?:(\d{1,5})", given, re.ASCII)
    if not found or int(found[2]) > 65535:
        raise ConfigError(
            f"{_place(address)}: must be host:port, such as 10.0.0.1:6379, got {quoted(given)}: correct it, and run "
            "dosimeter on a node of the cluster"
        )
    try:
        socket.create_connection((found[1], int(found[2])), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise unanswered(address, one_line(error.strerror or error)) from None
    return given


def unanswered(address: str | None, reason: str) -> ConfigError:
    """The error that nobody answers at an address."""
    given = address or os.environ.get("RAY_ADDRESS") or "this machine"
    return ConfigError(
        f"{_place(address)}: must be a Ray cluster that answers, got {given} ({reason}): start one with `ray start "
        "--head` and run dosimeter on one of its nodes, or name another"
    )


def _place(address: str | None) -> str:
    """Who gave the address."""
    return "RAY_ADDRESS" if address is None and os.environ.get("RAY_ADDRESS") else "--address"
