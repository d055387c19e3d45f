"""Training in two rounds: sub-models on parts of the records label all records for the released model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.heads import Heads, train_heads
from dosimeter.training.private.heads import train_private_heads
from dosimeter.training.recipe import Hyperparameters, SubModels

HEADS_AT_ONCE = 128
"""Number of sub-models that train as one batched program."""


def teacher(hp: Hyperparameters) -> SubModels | None:
    """The defense that trains in two rounds, or None."""
    return next((one for one in hp.defenses if isinstance(one, SubModels)), None)


def trainings(hp: Hyperparameters) -> float:
    """Work of training one model, as a multiple of a single round."""
    found = teacher(hp)
    return 1.0 if found is None else found.cost


def pupil(hp: Hyperparameters) -> Hyperparameters:
    """The recipe of one round, without the defense that adds rounds."""
    return replace(hp, defenses=tuple(one for one in hp.defenses if not isinstance(one, SubModels)))


def parts(found: SubModels, n: int, seed: int) -> tuple[Bool[Array, "k n"], Int[Array, "k s"]]:
    """Mask of the sub-models that train on each of a model's records, and these records, equally many for each.

    Args:
        found: the defense.
        n: number of the model's records.
        seed: the model's seed.

    Raises:
        TrainingError: a record is in every sub-model, or a sub-model has none.
    """
    trains, name = found.divide(n, generator(seed, "sub-models")), type(found).__name__
    if not (isinstance(trains, np.ndarray) and trains.dtype == bool and trains.shape == (found.parts, n)):
        got = f"{trains.dtype} {trains.shape}" if isinstance(trains, np.ndarray) else type(trains).__name__
        raise TrainingError(f"defense {name}: `divide` must give bool {(found.parts, n)}, got {got}: correct it")
    if seen := int(trains.all(0).sum()):
        raise TrainingError(
            f"defense {name}: every record must be left out of a sub-model, which labels it, got {seen} of {n} "
            "that are in all: correct `divide`"
        )
    least = int(trains.sum(1).min())
    if not least:
        raise TrainingError(
            f"defense {name}: every sub-model must train on a record, got one without any of {n}: use fewer sub-models "
            "or leave each record out of fewer"
        )
    # Equally many records for each sub-model, because heads train as one batched program.
    return trains, np.stack([np.flatnonzero(row)[:least] for row in trains])


def mean_answer(answers: Float[Tensor, "k n c"], trains: Bool[Array, "k n"]) -> Float[Tensor, "n c"]:
    """Mean probabilities of the sub-models that did not train on a record, for each record.

    >>> mean_answer(torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]]), np.array([[True], [False]]))
    tensor([[0.5000, 0.5000]])
    """
    outside = torch.from_numpy(~trains).to(answers)[..., None]
    return (answers * outside).sum(0) / outside.sum(0)


def soft_labels(
    found: SubModels, n: int, seed: int, train_one: Callable[[int, Int[Array, " s"]], Float[Tensor, "n c"]]
) -> Float[Tensor, "n c"]:
    """Soft labels for one model's records, from its sub-models.

    Args:
        found: the defense.
        n: records of the model.
        seed: seed of the model.
        train_one: trains a fresh sub-model with this seed on these records, and gives its probabilities on all `n`.
    """
    trains, rows = parts(found, n, seed)
    answers = [train_one(seed_for(seed, "sub-model", k), own) for k, own in enumerate(rows)]
    return mean_answer(torch.stack(answers), trains)


def teach_heads(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], rows: Int[Array, "m k"], hp: Hyperparameters,
    *, classes: int, seeds: list[int], device: torch.device,
) -> Heads:  # fmt: skip
    """Trains heads by any recipe: plain, private, or in two rounds; arguments as for `train_heads`."""
    found, own = teacher(hp), pupil(hp)
    if found is None:
        train = train_private_heads if hp.bounded else train_heads
        return train(features, labels, rows, hp, classes=classes, seeds=seeds, device=device)
    divided = [parts(found, rows.shape[1], seed) for seed in seeds]
    least = min(table.shape[1] for _, table in divided)
    inner = [mine[part[:least]] for mine, (_, table) in zip(rows, divided, strict=True) for part in table]
    theirs = [seed_for(seed, "sub-model", k) for seed in seeds for k in range(found.parts)]
    heads: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(inner), HEADS_AT_ONCE):
        some = slice(start, start + HEADS_AT_ONCE)
        batch = train_heads(
            features, labels, np.stack(inner[some]), own, classes=classes, seeds=theirs[some], device=device
        )
        heads += zip(batch.weight, batch.bias, strict=True)
    soft: list[Tensor] = []
    for index, (trains, _) in enumerate(divided):
        mine = features[torch.from_numpy(rows[index])]
        answers = [
            torch.softmax(torch.addmm(bias, mine, weight.T), 1)
            for weight, bias in heads[index * found.parts : (index + 1) * found.parts]
        ]
        soft.append(mean_answer(torch.stack(answers), trains))
    return train_heads(features, torch.stack(soft), rows, own, classes=classes, seeds=seeds, device=device)
