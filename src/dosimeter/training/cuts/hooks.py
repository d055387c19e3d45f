"""What a layer gives for the last batch of a training, for defenses that charge what crosses the cut there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import locate


class AtCut:
    """Keeps what crosses a cut after a layer, as the model gave it for the last batch.

    Args:
        model: the part that is trained.
        cut: name of a module of it; empty for the input of the last layer.
        example: two of its inputs.
        name: of the defense, for errors.
        blur: what the layers after the cut get in place of the features, such as features with noise; None for nothing.

    Raises:
        TrainingError: there is no such layer.
    """

    def __init__(
        self,
        model: nn.Module,
        cut: str,
        example: Tensor,
        name: str,
        blur: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.kept: list[Tensor] = []
        self.blur = blur
        self.told = f"defense {name}: cut = {quote(cut)}"
        known = dict(model.named_modules())
        if not cut:
            layer: nn.Module = model if isinstance(model, nn.Linear) else locate(model, example).head
            self.handle = layer.register_forward_pre_hook(self._before)
        elif cut in known:
            self.handle = known[cut].register_forward_hook(self._after)
        else:
            near = suggest(cut, [one for one in known if one])
            raise TrainingError(
                f"{self.told} must name a layer of the part that is trained, {near}: name one that "
                "`dosimeter plan --topology` lists"
            )

    def _before(self, _: nn.Module, given: Sequence[Tensor]) -> tuple[Tensor, ...] | None:
        self._keep(given[0])
        return None if self.blur is None else (self.blur(given[0]), *given[1:])

    def _after(self, _: nn.Module, __: object, out: object) -> Tensor | None:
        if not isinstance(out, Tensor):
            raise TrainingError(f"{self.told} must name a layer that gives one tensor, got {type(out).__name__}")
        self._keep(out)
        return None if self.blur is None else self.blur(out)

    def _keep(self, value: Tensor) -> None:
        self.kept.append(value.flatten(1).to(torch.float32, copy=True))  # a later layer may act in place

    def take(self) -> Tensor:
        """What crossed for the last batch `[b k]`; it is forgotten.

        Raises:
            TrainingError: the layer was not run once.
        """
        found, self.kept = self.kept, []
        if len(found) != 1:
            raise TrainingError(f"{self.told} must name a layer that runs once for a batch, got {len(found)} runs")
        return found[0]

    def remove(self) -> None:
        """Takes the hook away."""
        self.handle.remove()
