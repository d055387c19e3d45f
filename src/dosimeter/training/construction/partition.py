"""The adversaries of a training as one object: a term of the loss, for the built-in training and for a user's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.training.construction.opponents import Opponents, Sought
from dosimeter.training.construction.settings import OF_PICTURES, Aim, Construction

MOST_VALUES = 20
"""Most values of an attribute that adversaries are after."""
CHUNK = 1024
"""Records that are read together."""


class AdversarialPartition:
    """Adversaries that read what crosses a cut, and what they cost the layers before it.

    Interactive adversarial construction, our reconstruction of Privacy Partitioning (Chi et al. 2018,
    https://arxiv.org/abs/1812.02863), of which we know the abstract alone. Before each update of the model every
    adversary learns `steps` times on the batch. What it can then do, times the weight of the epoch, is added to the
    loss of the task. Gradients of that term reach the layers before the cut and no adversary.

        fight = AdversarialPartition(Construction(against="attribute:sex"), inputs, {"sex": sex}, epochs=20)
        for epoch in range(20):
            fight.begin(epoch)
            for rows in torch.randperm(len(inputs)).split(64):
                features = device(inputs[rows])
                loss = cross_entropy(server(features), labels[rows]) + fight(features, rows)
                optimiser.zero_grad(); loss.backward(); optimiser.step()

    Afterwards throw the adversaries away, and attack the model with fresh ones: what those of the training can do at
    its end may flatter the model.

    Args:
        settings: of the adversaries.
        inputs: the training records `[n ...]`, images as bytes or any floats.
        attributes: of each attribute that is sought the value of each record `[n]`: text, or numbers.
        epochs: of the whole training.
        seed: of the adversaries' weights.

    Raises:
        DataError: an attribute is missing, constant or of too many values, or records are no plain numbers or no
            pictures where the objective needs them.
    """

    def __init__(
        self,
        settings: Construction,
        inputs: Tensor,
        attributes: Mapping[str, Tensor | np.ndarray] | None = None,
        *,
        epochs: int,
        seed: int = 0,
    ) -> None:
        self.settings, self.inputs, self.epochs, self.seed = settings, inputs, epochs, seed
        problems = problems_of(settings, tuple(inputs.shape[1:]), numbers=not _whole(inputs.dtype))
        if problems:
            raise DataError(*problems)
        self.values = {name: codes_of(name, attributes or {}, len(inputs)) for name in settings.attributes}
        self.opponents: list[Opponents] = []
        self.weight = settings.weight_at(0, epochs)

    def begin(self, epoch: int) -> None:
        """Begins an epoch: its weight, and a fresh adversary of each kind if it is time.

        Args:
            epoch: counts from 0.
        """
        self.weight = self.settings.weight_at(epoch, self.epochs)
        if epoch and self.settings.reset and epoch % self.settings.reset == 0:
            for one in self.opponents:
                one.renew()

    def __call__(
        self, features: Float[Tensor, "b ..."], rows: Int[Tensor, " r"], inputs: Tensor | None = None
    ) -> Float[Tensor, ""]:
        """Lets all adversaries learn on a batch; returns what is added to its loss, differentiable by the features.

        Args:
            features: what crosses the cut for the records of the batch.
            rows: places of these records among all.
            inputs: the records as the model saw them, if they were changed, as by augmentation.

        Raises:
            TrainingError: features and rows do not fit.
        """
        if len(features) != len(rows):
            raise TrainingError(
                f"adversarial: must get features of {len(rows)} records, one for each row, got {len(features)}: give "
                "the rows of the batch"
            )
        device = features.device
        known = as_float(self.inputs[rows.cpu()] if inputs is None else inputs).to(device)
        if not self.opponents:
            self.build(tuple(features.shape[1:]), device)
        parts, seen = [], features.detach().float()
        for one in self.opponents:
            name = one.sought.aim.attribute
            values = None if name is None else self.values[name][rows.cpu()].to(device)
            one.learn(seen, known, values)
            if self.weight:
                parts.append(one.price(features.float(), known, values))
        return self.weight * torch.stack(parts).sum() if parts else features.new_zeros(())

    def build(self, shape: tuple[int, ...], device: torch.device | str) -> None:
        """Makes the adversaries; the first batch does it.

        Args:
            shape: of the features of one record.
            device: where they are.
        """
        place = torch.device(device)
        self.opponents = [
            Opponents(self._sought(aim, place), self.settings, shape, place, self.seed) for aim in self.settings.aims
        ]

    def _sought(self, aim: Aim, device: torch.device) -> Sought:
        """What one kind of adversary is after, in numbers of the records."""
        none = torch.zeros(0, device=device)
        if aim.attribute is not None:
            counts = torch.bincount(self.values[aim.attribute]).float()
            return Sought(aim, (counts / counts.sum()).to(device), none, none)
        mean, spread, ends = moments(self.inputs)
        if self.inputs.ndim == 4:
            spread = spread.square().mean().sqrt()
        scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        return Sought(aim, none, mean.to(device), scale.to(device), ends)

    def says(self, features: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """What the adversaries say of features, by "input" or "attribute:NAME": a record, or log-probabilities."""
        return {one.sought.name: one.says(features) for one in self.opponents}

    def state(self) -> dict[str, Tensor]:
        """Weights of all adversaries, on the CPU."""
        return {name: tensor for one in self.opponents for name, tensor in one.state().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes weights that `state` gave; `build` comes first."""
        for one in self.opponents:
            one.load(state)


def codes_of(
    name: str,
    attributes: Mapping[str, Tensor | np.ndarray],
    n: int,
) -> Int[Tensor, " n"]:
    """The values of an attribute as numbers from 0 on; whole numbers in a tensor are taken as they are.

    Raises:
        DataError: it is missing, constant, of too many values, or not of all records.
    """
    place = f"adversarial: attribute {quote(name)}"
    if name not in attributes:
        raise DataError(f"{place} must be known of the training records, got none: name it in attributes")
    given = attributes[name]
    if isinstance(given, Tensor) and not given.is_floating_point():
        codes = given.long().cpu()
        found = len(torch.unique(codes))
    else:
        values = np.unique(np.asarray(given), return_inverse=True)
        codes, found = torch.from_numpy(values[1].reshape(-1).astype(np.int64)), len(values[0])
    if codes.shape != (n,):
        raise DataError(f"{place} must have one value for each of {n} records, got {tuple(codes.shape)}: correct it")
    if not 2 <= found <= MOST_VALUES or int(codes.min()) < 0 or int(codes.max()) >= MOST_VALUES:
        raise DataError(values_problem(place, found))
    return codes


def values_problem(place: str, found: int) -> str:
    """The message about an attribute with too few or too many values."""
    remedy = "choose records that differ in it" if found < 2 else "divide it into a few classes, numbered from 0"
    return f"{place} must have 2 to {MOST_VALUES} values among the training records, got {found}: {remedy}"


def problems_of(settings: Construction, shape: tuple[int, ...], *, numbers: bool) -> list[str]:
    """Aims that records of a form cannot have, one line each.

    Args:
        settings: of the adversaries.
        shape: of one record.
        numbers: whether records are numbers, and not tokens of a text.
    """
    if not settings.after_input:
        return []
    if not numbers:
        return ["adversarial: against 'input' needs records of plain numbers, got tokens: name attributes alone"]
    return [
        f"adversarial: objective {one.objective!r} compares pictures, got records of shape {shape}: use "
        "'mean_input' or 'reversal'"
        for one in settings.aims
        if one.objective in OF_PICTURES and len(shape) != 3
    ]


def moments(inputs: Tensor) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Mean record, spread of each of its numbers, and least and largest number, read by chunks."""
    total, square = torch.zeros(inputs.shape[1:]).double(), torch.zeros(inputs.shape[1:]).double()
    low, high = float("inf"), float("-inf")
    for some in torch.split(inputs, CHUNK):
        known = as_float(some).double().cpu()
        total, square = total + known.sum(0), square + (known**2).sum(0)
        low, high = min(low, float(known.min())), max(high, float(known.max()))
    mean = total / len(inputs)
    spread = (square / len(inputs) - mean**2).clamp(min=0).sqrt()
    return mean.float(), spread.float(), (low, high)


def _whole(dtype: torch.dtype) -> bool:
    """Returns whether records are tokens: whole numbers other than bytes of images."""
    return not dtype.is_floating_point and dtype != torch.uint8
