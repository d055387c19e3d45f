"""Losses of a student that is distilled from a model, epoch by epoch.

Axes: `m` models, `z` population records, `r` observed records, `e` epochs, `d` features, `c` classes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.membership.observe.probes.subject import Load, Probe, Situation, Subject, Training
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.access import Access
from dosimeter.training.heads import moments
from dosimeter.training.loop import Optimizer, move, seed_torch
from dosimeter.training.recipe import Hyperparameters

EPOCHS = 10
"""Epochs of distillation; the student's losses are kept after each."""
SIGNALS = tuple(f"trajectory_{epoch}" for epoch in range(1, EPOCHS + 1))
FEWEST = 50
"""Fewest population records from which a student learns something."""
BATCH = 256
"""Number of records whose losses are computed at once."""


def compute(subject: Subject) -> dict[str, Tensor]:
    """Losses of each model's student on the observed records after each epoch, nats `[m r]`.

    A student starts with fresh weights and learns the model's probabilities on the population, by the optimizer,
    learning rate, schedule and batch size of the recipe. It has the seed of its model and trains on the population,
    so everything it knows about a member comes from the model.
    """
    training = subject.training
    assert training is not None
    assert subject.population
    known = subject.inputs[-subject.population :]
    if all(isinstance(model.trained, nn.Linear) for model in subject.models):
        losses = _heads(subject, training, known)
    else:
        losses = torch.stack([_network(subject, training, known, index) for index in range(len(subject.models))])
    return {name: losses[:, epoch].contiguous() for epoch, name in enumerate(SIGNALS)}


def _orders(seed: int, records: int, hp: Hyperparameters) -> list[Int[np.ndarray, " z"]]:
    """The order of the records in each epoch."""
    rng = generator(seed, "distillation order")
    return [rng.permutation(records) for _ in range(EPOCHS)]


def _heads(subject: Subject, training: Training, known: Float[Tensor, "z d"]) -> Float[Tensor, "m e r"]:
    """All students of a pack as one batched program, with the gradient of softmax regression written by hand."""
    hp, (z, d) = training.hp, known.shape
    soft = torch.stack([torch.softmax(model.given(known), 1).float() for model in subject.models])
    mean, inverse = torch.zeros(d), torch.ones(d)
    if hp.standardise:
        mean, inverse = (one.float() for one in moments(known))
    x, observed = (known - mean) * inverse, (subject.inputs - mean) * inverse
    fresh = [training.fresh(seed_for(seed, "student")) for seed in training.seeds]
    layers = [one for one in fresh if isinstance(one, nn.Linear)]
    weight = torch.stack([one.weight.detach() for one in layers])
    bias = torch.stack([one.bias.detach() for one in layers])
    optimizer = Optimizer([weight, bias], hp)
    orders = torch.from_numpy(np.stack([_orders(seed, z, hp) for seed in training.seeds], 1))
    own, batches, losses = torch.arange(len(soft))[:, None], -(-z // hp.batch_size), []
    for epoch, order in enumerate(orders):
        for step, batch in enumerate(torch.split(order, hp.batch_size, 1)):
            chosen = x[batch]
            logits = torch.baddbmm(bias[:, None], chosen, weight.transpose(1, 2))
            g = (torch.softmax(logits, 2) - soft[own, batch]) / batch.shape[1]
            weight.grad, bias.grad = torch.bmm(g.transpose(1, 2), chosen), g.sum(1)
            optimizer.update(hp.lr_at(epoch * batches + step, EPOCHS * batches))
        answers = (torch.addmm(b, observed, w.T) for w, b in zip(weight, bias, strict=True))
        losses.append(torch.stack([_losses(one, subject.labels) for one in answers]))
    return torch.stack(losses, 1)


def _losses(logits: Tensor, labels: Tensor) -> Float[Tensor, " r"]:
    """Losses of one model on the records, float64."""
    return nn.functional.cross_entropy(logits.double(), labels, reduction="none")


def _network(subject: Subject, training: Training, known: Tensor, index: int) -> Float[Tensor, "e r"]:
    """The student of one network of any kind."""
    hp, device, seed = training.hp, subject.device, training.seeds[index]
    soft = torch.softmax(subject.models[index].given(known), 1).float()
    student = move(training.fresh(seed_for(seed, "student")), device, images=known.ndim == 4)
    optimizer = Optimizer([one for one in student.parameters() if one.requires_grad], hp)
    losses: list[Tensor] = []
    with seed_torch(seed_for(seed, "student dropout")):
        for epoch, order in enumerate(_orders(seed, len(known), hp)):
            student.train()
            batches = _batches(torch.from_numpy(order), hp.batch_size)
            for step, rows in enumerate(batches):
                logits = student(known[rows].to(device)).float()
                nn.functional.cross_entropy(logits, soft[rows].to(device)).backward()  # type: ignore[no-untyped-call]
                optimizer.update(hp.lr_at(epoch * len(batches) + step, EPOCHS * len(batches)))
            losses.append(_losses(_logits(student, subject.inputs, device), subject.labels))
    return torch.stack(losses)


def _batches(order: Int[Tensor, " z"], size: int) -> list[Int[Tensor, " b"]]:
    """Records of each update; a single record at the end joins the batch before, since it has no variance."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _logits(net: nn.Module, inputs: Tensor, device: torch.device) -> Float[Tensor, "r c"]:
    """Logits in evaluation mode, by batches, on the CPU."""
    net = move(net, device, images=inputs.ndim == 4).eval()
    with torch.no_grad():
        return torch.cat([net(part.to(device)).float().cpu() for part in torch.split(inputs, BATCH)])


def lacks(situation: Situation) -> str:
    """Reason why no student can be trained, if the recipe cannot train on other labels; empty otherwise."""
    if situation.recipe and situation.population < FEWEST:
        return f"needs a population of {FEWEST} to distil on, got {situation.population}: raise threat.population"
    if situation.recipe:
        return ""
    if situation.supplied:
        return "needs students of the same recipe that learn probabilities, which a `fit` cannot train: leave it out"
    return "needs students that learn probabilities, which a stage's `fit` cannot train: leave `fit` or the attack out"


def seconds(load: Load) -> float:
    """Seconds to distil the students of all models of a pack, which train together."""
    return EPOCHS * load.population * load.pace()


PROBE = Probe(SIGNALS, Access.PROBS, compute, lacks, passes=2.0 * EPOCHS, seconds=seconds, queries=0)
