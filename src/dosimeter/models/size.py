"""How much memory a model takes, known before any is taken: the system kills a process that asks for too much."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which Linux says how much memory a container may take, bytes; the first may say "max" instead."""

MOST = 2**63 - 1
"""Most bytes that PyTorch can count."""


def memory_here() -> int | None:
    """Memory that this process may take at most, bytes; None where the system does not say."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, OSError, ValueError):
        return None
    for name in LIMITS:
        told = Path(name).read_text("utf-8").strip() if Path(name).is_file() else ""
        found += [int(told)] if told.isdigit() else []
    return min(found)


def size_of(make: Callable[[], nn.Module]) -> int:
    """Bytes of a model's parameters and buffers, at most `MOST`; none of them is allocated.

    Args:
        make: builds the model; no random number is drawn.
    """
    try:
        with torch.device("meta"):
            model = make()
    except RuntimeError as error:
        if "overflow" in str(error):
            return MOST
        raise
    return sum(one.numel() * one.element_size() for one in (*model.parameters(), *model.buffers()))


@dataclass(frozen=True)
class _Plan:
    """What decides a model, and how it is built."""

    key: str
    make: Callable[[], nn.Module] = field(compare=False)


@lru_cache(maxsize=64)
def _size_of(plan: _Plan) -> int:
    """The size, once for all models of a fleet."""
    return size_of(plan.make)


def check_size(make: Callable[[], nn.Module], key: str, place: str) -> None:
    """Refuses a model that is larger than the memory.

    Args:
        make: builds the model.
        key: all that decides its size.
        place: start of the message, which names the settings.

    Raises:
        ConfigError: it is larger.
    """
    memory = memory_here()
    if memory is None:
        return
    needed = _size_of(_Plan(key, make))
    if needed > memory:
        raise ConfigError(
            f"{place} must give a model that fits into the memory here, {memory / 1e9:,.0f} GB, got one of "
            f"{needed / 1e9:,.0f} GB: make it smaller"
        )


def check_gradients(model: nn.Module, place: str) -> None:
    """Refuses a model whose weights fit into memory and whose gradients do not; an optimizer may need still more.

    Args:
        model: as it is trained.
        place: start of the message.

    Raises:
        ConfigError: it is too large to be trained.
    """
    memory, each = memory_here(), list(model.parameters())
    needed = sum(one.numel() * one.element_size() * (1 + one.requires_grad) for one in each)
    if memory is not None and needed > memory:
        raise ConfigError(
            f"{place}: must be trainable in the memory here, {memory / 1e9:,.0f} GB, got one of which "
            f"weights and gradients take {needed / 1e9:,.0f} GB: make it smaller, or use transfer 'lora'"
        )
