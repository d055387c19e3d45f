"""Guesses from how an encoder spreads the records of each task."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn

from dosimeter.families.exchange.inferring.tasks import fit_whitening, task_scores
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.statistics.evidence import Guesses

Statistic = Literal["inner", "compact"]
"""The mean absolute inner product of two records of a task, or how little its records vary."""


def guessed(game: TasksGame, encoder: nn.Module, statistic: Statistic) -> Guesses:
    """Guesses of all tasks by one encoder.

    Args:
        game: the tasks.
        encoder: whose embeddings are read.
        statistic: of the records of a task.
    """
    with torch.no_grad():
        pool, *probes = (encoder(one).flatten(1).double().numpy() for one in (game.pool, *game.probes))
    whitening = fit_whitening(pool)
    scores = np.array([getattr(task_scores(one[None], whitening), statistic)[0] for one in probes])
    return Guesses(game.ids, np.stack([-scores, scores], -1)[None])
