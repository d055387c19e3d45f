"""72 small perceptrons on a noisy synthetic task: a fleet that leaks, trained in about 20 seconds on one core.

20 classes of 3 random +-1 prototypes of 64 bits, bits flipped with probability 0.22, 8 % label noise, 2,000 candidates
and 1,000 records outside every model; 36 complementary pairs of halves; MLP 64-128-20, full-batch Adam 0.01, 80 epochs.
Each of the views beyond the record itself negates 4 of its bits.
"""

from __future__ import annotations

import numpy as np

from dosimeter.families.membership.game import MembershipGame, Population
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.weights import Weights

CANDIDATES, OUTSIDE, MODELS, TARGETS, VIEWS = 2000, 1000, 72, 8, 5


def records(rng):
    """Draw all records and their noisy labels."""
    n = CANDIDATES + OUTSIDE
    prototypes = rng.choice([-1.0, 1.0], size=(20, 3, 64))
    labels = rng.integers(20, size=n)
    bits = prototypes[labels, rng.integers(3, size=n)] * np.where(rng.random((n, 64)) < 0.22, -1, 1)
    return bits, np.where(rng.random(n) < 0.08, rng.integers(20, size=n), labels)


def memberships(rng):
    """Complementary pairs of rows, each with half of the candidates `[m n]`."""
    halves = np.stack([rng.permutation(CANDIDATES) < CANDIDATES // 2 for _ in range(MODELS // 2)])
    return np.stack([halves, ~halves], axis=1).reshape(MODELS, CANDIDATES)


class Nets:
    """The trained models by number; a `games.Modules`."""

    def __init__(self, weights, biases):
        self.weights, self.biases = weights, biases

    def __call__(self, row):
        import torch

        layers = [torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 20)]
        with torch.no_grad():
            for layer, weight, bias in zip(layers[::2], self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[row].T)
                layer.bias.copy_(bias[row, 0])
        return torch.nn.Sequential(*layers)


def train(bits, labels, member, seed, kept=None):
    """Train all models at once; logits `[m n c]` of all records, float64, for each view; `kept` gets the `Nets`."""
    import torch  # the default run collects this file and does without

    draw = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(bits).float(), torch.from_numpy(labels)
    rows = torch.from_numpy(np.stack([np.flatnonzero(row) for row in member]))
    shapes = {(64, 128): (2 / 64) ** 0.5, (128, 20): (1 / 128) ** 0.5}
    weights = [torch.randn(MODELS, *shape, generator=draw) * scale for shape, scale in shapes.items()]
    biases = [torch.zeros(MODELS, 1, width) for width in (128, 20)]
    parameters = [parameter.requires_grad_() for parameter in weights + biases]
    optimizer = torch.optim.Adam(parameters, lr=0.01)

    def forward(inputs):
        hidden = torch.relu(torch.baddbmm(biases[0], inputs, weights[0]))
        return torch.baddbmm(biases[1], hidden, weights[1])

    for _ in range(80):
        optimizer.zero_grad()
        logits = forward(x[rows])
        # The mean over records, summed over models: every model has its own gradient.
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[rows].flatten()) * MODELS
        loss.backward()
        optimizer.step()
    if kept is not None:
        kept.append(Nets([one.detach() for one in weights], [one.detach() for one in biases]))
    with torch.no_grad():
        turned = np.random.default_rng([seed, 1])
        moved = [np.where(np.isin(np.arange(64), turned.permutation(64)[:4]), -bits, bits) for _ in range(VIEWS - 1)]
        views = [x, *(torch.from_numpy(one).float() for one in moved)]
        return [forward(one.expand(MODELS, -1, -1)).double().numpy() for one in views]


def signal(logits, labels):
    """The logit-scaled confidence `[m n]`."""
    at_label = labels[None, :, None]
    own = np.take_along_axis(logits, at_label, axis=2)[..., 0]
    others = logits.copy()
    np.put_along_axis(others, at_label, -np.inf, axis=2)
    return own - np.logaddexp.reduce(others, axis=2)


def observed(name, logits, labels):
    """One model's signal, as `observe` computes it `[n]`."""
    import torch

    from dosimeter.families.membership.observe.signals import SIGNALS

    return SIGNALS[name].compute(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()


def fleet(seed, known=0):
    """Train a fleet.

    Args:
        seed: of all draws.
        known: the last candidates, whose membership the adversary knows, are not judged.

    Returns:
        A function from a number of shadows, and of views that `correctness` has, to the game of the first 8 models;
        their bits `[8 n]`; accuracies.
    """
    rng = np.random.default_rng(seed)
    bits, labels = records(rng)
    member = memberships(rng)
    nets = []
    views = train(bits, labels, member, seed, nets)
    logits = views[0]
    right = logits.argmax(axis=2) == labels
    accuracies = {"train": right[:, :CANDIDATES][member].mean(), "outside": right[:, CANDIDATES:].mean()}
    tables = {"logit_confidence": signal(logits, labels), "logit_confidence_t2": signal(logits / 2, labels)}
    tables = {name: values[:, None] for name, values in tables.items()}
    tables["correctness"] = np.stack([one.argmax(axis=2) == labels for one in views], axis=1).astype(float)
    others = ("entropy", "modified_entropy", "top1", "top2", "top3", "hinge")
    others += ("scaled_confidences", "logits") if known else ()
    tables |= {name: np.stack([observed(name, one, labels) for one in logits])[:, None] for name in others}
    judged = CANDIDATES - known

    def game(n_shadows, n_views=1):
        def pick(first, last, part):
            return {name: values[first:last, :n_views, part] for name, values in tables.items()}

        inside, labelled, outside = slice(judged), slice(judged, CANDIDATES), slice(CANDIDATES, None)
        shadows = (TARGETS, TARGETS + n_shadows)
        ids = np.arange(CANDIDATES + OUTSIDE)
        population = Population(ids[outside], labels[outside], pick(0, TARGETS, outside), pick(*shadows, outside))
        own = weights = None
        if known:
            import torch

            rows = (np.arange(TARGETS), np.arange(*shadows))
            weights = Weights(nets[0], torch.from_numpy(bits[:CANDIDATES]).float(), *rows)
            known_in = (member[:TARGETS, labelled], member[slice(*shadows), labelled])
            own = Known(
                ids[labelled], labels[labelled], *known_in, pick(0, TARGETS, labelled), pick(*shadows, labelled)
            )
        return MembershipGame(
            ids=ids[inside],
            labels=labels[inside],
            classes=20,
            outputs=pick(0, TARGETS, inside),
            shadow_outputs=pick(*shadows, inside),
            shadow_in=member[slice(*shadows), inside],
            population=population,
            known=own,
            weights=weights,
        )

    return game, member[:TARGETS, :judged], accuracies
