"""Joint methods by name, and what organisations send by each; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

SENT: Mapping[str, tuple[str, ...]] = {
    "fedsgd": ("gradient",),
    "fedavg": ("update",),
    "hard": ("gradient",),
    "l2-sp": ("gradient",),
    "soft": ("parameters",),
    **dict.fromkeys(("coral", "mmd", "dann"), ("representations", "alignment_gradient", "gradient", "head")),
}
"""Kinds of message that organisations send, by method; the coordinator sends the trunk."""
ALIGNED = tuple(method for method, kinds in SENT.items() if "representations" in kinds)
"""Methods that make features alike."""
FEDERATED = ("fedsgd", "fedavg")
"""Methods with two or more parties of any name; others have a source and a receiver."""
AVERAGED = ("fedsgd", "fedavg", "l2-sp")
"""Methods whose trunk moves by the mean of what parties send."""
