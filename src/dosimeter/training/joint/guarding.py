"""What defenses make of an organisation's messages and steps, before anything reaches the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.foundation.wording import describe
from dosimeter.training.loop import seed_torch
from dosimeter.training.private.accounting import Privacy
from dosimeter.training.private.loop import clip_and_sum, per_record, record_gradients
from dosimeter.training.recipe import (
    AddsStepNoise,
    BoundsRecords,
    CountsMessages,
    GuardsMessages,
    Hyperparameters,
    MixesRecords,
)


@dataclass(frozen=True)
class Guard:
    """The defenses of one organisation, with the seed of its noise.

    Attributes:
        hp: the recipe, with its defenses.
        seed: of the organisation.
    """

    hp: Hyperparameters
    seed: int

    def protect(self, kind: str, step: int, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is sent in place of the arrays of one message.

        Raises:
            TrainingError: a defense raised, or gave something else than finite numbers.
        """
        found = dict(arrays)
        for index, one in enumerate(self.hp.defenses):
            if isinstance(one, GuardsMessages) and kind in one.messages:
                found = _protected(one, kind, found, generator(self.seed, f"defense of {kind}", step, index))
        return found

    def mix(self, step: int, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The records and the targets `[b c]` that a step trains on."""
        for one in self.hp.defenses:
            if isinstance(one, MixesRecords):
                inputs, targets = one.mix(inputs, targets, generator(self.seed, "mixtures", step))
        return inputs, targets

    @property
    def mixes(self) -> bool:
        """Returns whether records are mixed."""
        return any(isinstance(one, MixesRecords) for one in self.hp.defenses)

    def disturb(self, step: int, parameters: Sequence[Tensor], rate: float) -> None:
        """Adds noise to the gradients of a step, where a defense does."""
        for one in self.hp.defenses:
            if isinstance(one, AddsStepNoise):
                draws = torch.Generator().manual_seed(seed_for(self.seed, "noise of steps", step))
                for p in parameters:
                    if p.grad is not None:
                        noise = torch.randn(p.shape, generator=draws).to(p.device)
                        p.grad = p.grad + one.deviation(rate) * noise

    def private_gradients(
        self, step: int, halves: tuple[nn.Module, nn.Module], batch: Tensor, labels: Int[Tensor, " b"]
    ) -> Tensor:
        """Gives trunk and head the gradient with clipped records and noise; returns the mean loss of the batch."""
        privacy = self.hp.privacy
        assert privacy is not None
        model = nn.Sequential(*halves)
        with record_gradients(model), seed_torch(seed_for(self.seed, "dropout", step)):
            value, each = per_record(model, batch, labels)
        draws = torch.Generator().manual_seed(seed_for(self.seed, "privacy noise", step))
        trained = [p for p in model.parameters() if p.requires_grad]
        for p, own in zip(trained, clip_and_sum(each, privacy.clip), strict=True):
            noise = torch.randn(p.shape, generator=draws).to(p.device)
            p.grad = own.add_(noise, alpha=privacy.noise_multiplier * privacy.clip).div_(len(batch))
        return value / len(batch)


def bounded(hp: Hyperparameters, batches: Int[Array, "steps b"], n: int, party: str) -> Hyperparameters:
    """The recipe of one party, with `privacy` set if a defense bounds records.

    Batches are fixed beforehand and not drawn by coins, so nothing is gained from sampling: each batch that holds a
    record is a Gaussian mechanism on that record, and as many are composed as there are.

    Args:
        hp: the recipe.
        batches: rows of the party.
        n: number of its records.
        party: its name.

    Raises:
        ConfigError: a batch holds a record twice, or the defense cannot give a guarantee.
    """
    counting = [one for one in hp.defenses if isinstance(one, BoundsRecords | CountsMessages)]
    if counting and any(len(set(rows)) < len(rows) for rows in batches.tolist()):
        name = type(counting[0]).__name__
        raise ConfigError(
            f"party {party!r}: defense {name} bounds what one record does, so a batch must hold each once, got one "
            "twice: draw batches without repetition"
        )
    bounding = next((one for one in hp.defenses if isinstance(one, BoundsRecords)), None)
    if bounding is None:
        return hp
    found = bounding.bound(n, replace(hp, epochs=most_batches(batches), batch_size=n))
    return replace(hp, privacy=found)


def most_batches(batches: Int[Array, "steps b"]) -> int:
    """The number of batches that hold the record that is in most.

    >>> most_batches(np.array([[0, 1], [1, 2]]))
    2
    """
    return int(np.bincount(batches.ravel()).max())


def guarantees(hp: Hyperparameters, batches: Int[Array, "steps b"]) -> tuple[str, ...]:
    """What the defenses of one party guarantee to its records, in words.

    Args:
        hp: its recipe, as `bounded` gives it.
        batches: its rows.
    """
    privacy: tuple[Privacy, ...] = () if hp.privacy is None else (hp.privacy,)
    counted = [one for one in hp.defenses if isinstance(one, CountsMessages)]
    return (*map(str, privacy), *(one.guarantee_after(most_batches(batches)) for one in counted))


def _protected(
    defense: GuardsMessages, kind: str, arrays: Mapping[str, Tensor], rng: np.random.Generator
) -> dict[str, Tensor]:  # fmt: skip
    """What one defense sends, checked."""
    place = f"defense {type(defense).__name__}: `protect`"
    try:
        found = defense.protect(arrays, rng)
    except (AuditError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(f"{place} raised {describe(error)}: correct it") from error
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise TrainingError(f"{place} must give tensors by name, got {type(found).__name__}: correct it")
    same = {name: one.shape for name, one in found.items()} == {name: one.shape for name, one in arrays.items()}
    if kind != "representations" and not same:
        raise TrainingError(f"{place} must give arrays of the names and shapes of a {kind}, got others: correct it")
    if not all(bool(one.isfinite().all()) for one in found.values()):
        raise TrainingError(f"{place} must give finite numbers, got others for a {kind}: correct it")
    return found
