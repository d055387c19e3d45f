"""The membership attacks, to be used or combined in Python."""

from __future__ import annotations

from dosimeter.families.membership.attacks import *  # noqa: F403
from dosimeter.families.membership.attacks import __all__ as __all__
