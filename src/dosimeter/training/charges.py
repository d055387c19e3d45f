"""What defenses charge a batch beside its loss, from what the hidden layers make of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import locate
from dosimeter.models.bottleneck import Bottleneck, bottleneck_of, noisy
from dosimeter.models.last_layer import Backbone
from dosimeter.training.cuts.hooks import AtCut
from dosimeter.training.recipe import BlursCut, ChargesCut, ChargesHidden, Hyperparameters, PutsBottleneck

Charge = Callable[[Tensor, Tensor], Tensor]
"""From the records of the batch that the model was just run on, and their labels, to what is added to its loss."""


@contextlib.contextmanager
def charges(model: nn.Module, hp: Hyperparameters, example: Tensor) -> Iterator[Charge | None]:
    """Gives what the defenses add to the loss of a batch, inside the block; None if they add nothing.

    Args:
        model: the part that is trained.
        hp: its defenses.
        example: two of its inputs, by which its last layer is found.

    Raises:
        TrainingError: the model has no bottleneck, or no hidden layer that is trained, or records are no numbers.
    """
    putting = [one for one in hp.defenses if isinstance(one, PutsBottleneck)]
    charging = [one for one in hp.defenses if isinstance(one, ChargesHidden)]
    crossing = [one for one in hp.defenses if isinstance(one, ChargesCut)]
    if not putting and not charging and not crossing:
        yield None
        return
    with contextlib.ExitStack() as stack:
        narrow = _narrow(model, type(putting[0]).__name__) if putting else None
        if narrow is not None:
            stack.enter_context(noisy(narrow))
        hidden = Hidden(model, example, type(charging[0]).__name__) if charging else None
        if hidden is not None:
            stack.callback(hidden.remove)
        at_cuts = [AtCut(model, one.cut, example, type(one).__name__, _blurred_by(one)) for one in crossing]
        for one in at_cuts:
            stack.callback(one.remove)
            one.kept.clear()  # another one's search for the last layer may have run it

        def charge(records: Tensor, labels: Tensor) -> Tensor:
            parts = []
            if narrow is not None:
                assert narrow.divergence is not None, "the model was run"
                parts += [one.charge(narrow.divergence) for one in putting]
            if hidden is not None:
                seen = hidden.take()
                _check_numbers(records, charging[0])
                parts += [one.penalty(records.flatten(1), seen, labels) for one in charging]
            for defense, at in zip(crossing, at_cuts, strict=True):
                features = at.take()
                _check_numbers(records, defense)
                parts.append(defense.charge_cut(records.flatten(1), features, labels))
            return torch.stack([one.to(labels.device, torch.float32) for one in parts]).sum()

        yield charge


def _blurred_by(defense: ChargesCut) -> Callable[[Tensor], Tensor] | None:
    """What a defense makes of the features that the layers after the cut get; None for nothing."""
    return defense.blur if isinstance(defense, BlursCut) else None


def _check_numbers(records: Tensor, defense: ChargesHidden | ChargesCut) -> None:
    """Refuses records that are no numbers, such as tokens of a text."""
    if not records.is_floating_point():
        raise TrainingError(
            f"defense {type(defense).__name__}: compares records as numbers, got {str(records.dtype)[6:]} tokens: use "
            "another defense for text"
        )


def _narrow(model: nn.Module, name: str) -> Bottleneck:
    """The bottleneck of a model that is trained."""
    found = bottleneck_of(model)
    if found is None:
        raise TrainingError(
            f"defense {name}: the part that is trained must hold a bottleneck before its last layer, got none: use "
            "transfer 'scratch', 'full' or 'last-k'"
        )
    return found


class Hidden:
    """Keeps what the hidden layers of a model gave for the last batch.

    Hidden layers are the blocks before the last layer that have weights to train, and the input of the last layer
    where something follows the last of them. Of a network whose blocks have no known order only the last layer's
    input is kept.

    Args:
        model: the part that is trained.
        example: two of its inputs.
        name: of the defense, for errors.

    Raises:
        TrainingError: there is no such layer.
    """

    def __init__(self, model: nn.Module, example: Tensor, name: str) -> None:
        self.kept: dict[int, Tensor] = {}
        cut = None if isinstance(model, nn.Linear) else locate(model, example)
        blocks = [] if cut is None else list(cut.backbone.children())
        trained = [one for one in blocks if any(weight.requires_grad for weight in one.parameters())]
        if cut is None or not trained:
            raise TrainingError(
                f"defense {name}: acts on hidden layers that are trained, got a model that trains its last layer "
                "alone: use a deeper model, or transfer 'full' or 'last-k'"
            )
        known = [one for one in trained if not isinstance(one, Backbone)]
        self.handles = [one.register_forward_hook(self._after(place)) for place, one in enumerate(known)]
        if not known or blocks[-1] is not known[-1]:
            self.handles.append(cut.head.register_forward_pre_hook(self._before(len(known))))
        self.expected, self.name = len(self.handles), name

    def _after(self, place: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, out: Tensor) -> None:
            self.kept[place] = out.flatten(1).to(torch.float32, copy=True)  # a later layer may act in place

        return hook

    def _before(self, place: int) -> Callable[[nn.Module, Sequence[Tensor]], None]:
        def hook(_: nn.Module, given: Sequence[Tensor]) -> None:
            self.kept[place] = given[0].flatten(1).to(torch.float32, copy=True)

        return hook

    def take(self) -> tuple[Tensor, ...]:
        """What the layers gave for the last batch, each `[b d]`, in their order; it is forgotten.

        Raises:
            TrainingError: a layer was not run.
        """
        found = tuple(self.kept[place] for place in sorted(self.kept))
        self.kept.clear()
        if len(found) != self.expected:
            raise TrainingError(
                f"defense {self.name}: every block of the model's `backbone` must be called when the model runs, got "
                f"{len(found)} of {self.expected}: call `backbone` in forward"
            )
        return found

    def remove(self) -> None:
        """Takes the hooks away."""
        for one in self.handles:
            one.remove()
