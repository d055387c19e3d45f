"""Packs of models for probes, made without an audit."""

import numpy as np
import torch
from torch import nn

from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.probes import Model, Subject, Training
from dosimeter.training.heads import train_heads
from dosimeter.training.loop import seed_torch
from dosimeter.training.recipe import Hyperparameters


def linear(weight, bias):
    """A head as a layer."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def subject_of(models, inputs, labels, *, population=0, training=None):
    """A subject whose records are its inputs."""

    def given(model):
        return lambda records: model(records).detach()

    wrapped = tuple(Model(given(model), model, given(model)) for model in models)
    return Subject(wrapped, inputs, inputs, labels, population, torch.device("cpu"), training)


def clouds(seed, *, p=40, d=6, c=3, spread=0.8):
    """Features around the centres of classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, c, p)
    features = rng.normal(size=(p, d)) + spread * rng.normal(size=(c, d))[labels]
    return torch.from_numpy(features.astype(np.float32)), torch.from_numpy(labels)


def fresh(d, c):
    """A drawer of untrained heads."""

    def draw(seed):
        with seed_torch(seed):
            return nn.Linear(d, c)

    return draw


def heads(seed, hp=None, *, m=4, p=40, z=0, d=6, c=3, spread=0.8, trained_on=None):
    """Heads trained on random halves of a pool, as the fleet trains them; and their membership `[m p]`.

    Args:
        seed: of everything.
        hp: the recipe.
        m: models.
        p: pool, all of it observed.
        z: population.
        d: features.
        c: classes.
        spread: of the centres of classes.
        trained_on: the membership that models really train on, if it is not what the subject says.
    """
    hp = hp or Hyperparameters(epochs=20, lr=0.1, batch_size=8)
    inputs, labels = clouds(seed, p=p + z, d=d, c=c, spread=spread)
    member = membership_matrix(p, m, seed)
    rows = np.stack([np.flatnonzero(row) for row in member])
    real = rows if trained_on is None else np.stack([np.flatnonzero(row) for row in trained_on])
    found = train_heads(inputs, labels, real, hp, classes=c, seeds=list(range(m)), device=torch.device("cpu"))
    models = [linear(weight, bias) for weight, bias in zip(found.weight, found.bias, strict=True)]
    training = Training(hp, inputs, rows, labels, np.arange(p + z), list(range(m)), fresh(d, c))
    return subject_of(models, inputs, labels, population=z, training=training), member
