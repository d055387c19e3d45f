"""Address of a Ray cluster, and a test whether its port answers as Ray does; it runs before Ray is loaded.

Ray itself waits long for a port that is open and silent, in a thread of C++ that cannot be stopped and may end the
whole process.
"""

from __future__ import annotations

import os
import re
import socket

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line, quote

KNOCK_SECONDS = 4.0
"""Longest wait, in seconds, for the port of an address to open and to answer."""
PREFACE, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 4
"""Bytes with which a client begins HTTP/2, and the type of the first frame (RFC 9113, sections 3.4 and 6.5)."""


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
            f"{_place(address)}: must be host:port, such as 10.0.0.1:6379, got {quote(given)}: correct it, and run "
            "dosimeter on a node of the cluster"
        )
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=KNOCK_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                _greet(line)
    except TimeoutError:
        raise no_answer(address, f"no answer within {KNOCK_SECONDS:.0f} s") from None
    except OSError as error:
        raise no_answer(address, one_line(error.strerror or error)) from None
    return given


def _greet(line: socket.socket) -> None:
    """Begins HTTP/2, which gRPC and so Ray uses: both sides first send a frame of settings.

    Raises:
        OSError: the other side does not answer so.
    """
    line.sendall(PREFACE + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
    head = b""
    while len(head) < 9:
        part = line.recv(9 - len(head))
        if not part:
            raise ConnectionError("it hung up")
        head += part
    if head[3] != SETTINGS:
        raise ConnectionError("it answers, but not as Ray does")


def no_answer(address: str | None, reason: str) -> ConfigError:
    """The error about an address at which nothing answers."""
    given = address or os.environ.get("RAY_ADDRESS") or "this machine"
    return ConfigError(
        f"{_place(address)}: must be a Ray cluster that answers, got {given} ({reason}): start one with `ray start "
        "--head` and run dosimeter on one of its nodes, or name another"
    )


def _place(address: str | None) -> str:
    """Origin of the address: the environment variable or the option."""
    return "RAY_ADDRESS" if address is None and os.environ.get("RAY_ADDRESS") else "--address"
