"""The membership attacks, for use and combination in Python."""

from __future__ import annotations

from dosimeter.families.membership.attacks import *  # noqa: F403
