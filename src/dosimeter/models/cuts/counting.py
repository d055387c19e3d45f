"""Multiplications and additions of operations as PyTorch counts them, without its compiler.

PyTorch's own `FlopCounterMode` has the same formulas. It loads the compiler, which takes every process seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_ATEN = torch.ops.aten
_ASKED = {
    _ATEN.is_contiguous.memory_format, torch.ops.prim.layout.default,
    *(
        getattr(_ATEN, name).default
        for name in (
            "sym_is_contiguous", "is_contiguous", "is_strides_like_format", "is_non_overlapping_and_dense", "size",
            "sym_size", "stride", "sym_stride", "storage_offset", "sym_storage_offset", "numel", "sym_numel", "dim",
        )
    ),
}  # fmt: skip
"""Questions about a tensor, which cost nothing."""


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that run in it.

    Attributes:
        total: multiplications and additions; None once something ran that cannot be counted, such as a branch.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int | None = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch wraps the mode for its compiler, which loads that."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs an operation, or those of which it is made, and counts them."""
        kwargs = kwargs or {}
        if func in _ASKED:
            return NotImplemented
        if isinstance(func, torch._ops.HigherOrderOperator):
            self.total = None
            return func(*args, **kwargs)
        if func is not torch.ops.prim.device.default:
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        found, formula = func(*args, **kwargs), flop_registry.get(func._overloadpacket)
        if formula is not None and self.total is not None:
            self.total += int(formula(*args, **kwargs, out_val=found))
        return found
