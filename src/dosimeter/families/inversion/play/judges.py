"""Job of the judges, who learn who is who."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.inversion.case.records import RecordSplit
from dosimeter.families.inversion.threat import NETWORK
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.models.learners import embedder, finite, inert
from dosimeter.training.learners.judges import (
    Classifier,
    Compares,
    Lineup,
    Sees,
    accepts_from,
    fit_classifier,
    fit_lineup,
    impostors,
    nearest,
    parts_of,
    threshold,
)
from dosimeter.training.learners.seeing import (
    BATCH,
    EPISODE,
    SeeingClassifier,
    SeeingLineup,
    fit_eye,
    fit_seeing_classifier,
    gallery_of,
)  # fmt: skip

PRODUCT = 3e-10
"""Seconds of a multiplication in a matrix product on one core of 2024."""
PICTURE = 6e-8
"""Seconds of a training picture's pixel in a network of a judge, on one core of 2024."""
TESTED = ("own_similarity", "other_similarity", "own_nearest", "other_nearest", "accepts_from")
"""What is kept of the lineup's test on real records."""
STEPS = 600
"""Steps of the training of each network."""


@dataclass(frozen=True)
class JudgeJob(KeyedJob):
    """Job that fits both judges and tests them on real records.

    Attributes:
        store: store to write to.
        data: key of the records at risk.
        others: key of the records of other people, on whom is learned what is similar.
        records: rows that judges know, and rows that they are tested on.
        shape: of one record.
        kind: "linear" or "network".
        seed: root of all randomness.
    """

    store: Store
    data: str
    others: str
    records: RecordSplit
    shape: tuple[int, ...]
    kind: str
    seed: int

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on; no model and no defense."""
        rows = arrays_hash(**{name: getattr(self.records, name) for name in ("trained", "known", "tested")})
        return {
            "kind": "judges", "judges": self.kind, "data": self.data, "others": self.others, "rows": rows,
            "seed": self.seed, "code": package_code(__name__),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return "judges"

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return self.key

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 8 * 200 * int(np.prod(self.shape))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        if self.kind == NETWORK:
            ways, shots, asked = EPISODE
            return PICTURE * float(STEPS * (ways * (shots + asked) + BATCH) * np.prod(self.shape[1:]))
        return PRODUCT * 20.0 * float(len(self.records.known) ** 2 * np.prod(self.shape))

    def perform(self) -> None:
        """Fits, tests and stores."""
        own, public = self.store.load(self.data), self.store.load(self.others)
        known, tested = (_flat(own["inputs"], rows) for rows in (self.records.known, self.records.tested))
        labels, truth = (own["labels"].numpy()[rows] for rows in (self.records.known, self.records.tested))
        others = _flat(public["inputs"], np.arange(len(public["inputs"]))), public["labels"].numpy()
        fit = self._networks if self.kind == NETWORK else self._linear
        lineup, classifier, tensors = fit((known, labels), others)
        similarity, named = lineup.similarity(tested), classifier.similarity(tested)
        learned, whose = lineup.places(_flat(own["inputs"], self.records.trained)), self._learned(own)
        near = nearest(lineup.places(tested), learned, whose, similarity.shape[1])
        wrong = np.arange(similarity.shape[1]) != truth[:, None]
        told = {
            "lineup_right": similarity.argmax(1) == truth,
            "classifier_right": named.argmax(1) == truth,
            "own_similarity": similarity[~wrong],
            "other_similarity": similarity[wrong].reshape(len(similarity), -1),
            "own_nearest": near[~wrong],
            "other_nearest": near[wrong].reshape(len(near), -1),
            "learned": learned,
        }
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in told.items()}
        kept = {name: one.to(torch.uint8) if one.dtype == torch.bool else one for name, one in tensors.items()}
        self.store.save(self.key, kept, self.definition)

    def _learned(self, own: dict[str, Tensor]) -> Int[Array, " a"]:
        """Identities of the records that the models were trained on."""
        labels: Array = own["labels"].numpy()[self.records.trained]
        return labels

    def _linear(self, known: _People, others: _People) -> tuple[Sees, Compares, dict[str, Tensor]]:
        """Both judges that compare pixels, and what is stored of them."""
        lineup, classifier = fit_lineup(others, known), fit_classifier(*known)
        rng = generator(self.seed, "inversion acceptance")
        arrays = {
            "mean": lineup.mean, "axes": lineup.axes, "gallery": lineup.gallery, "weight": classifier.weight,
            "bias": classifier.bias,
        }  # fmt: skip
        tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}
        least = accepts_from(*others, _shots(known[1]), rng)
        return lineup, classifier, tensors | {"accepts_from": torch.tensor(least, dtype=torch.float64)}

    def _networks(self, known: _People, others: _People) -> tuple[Sees, Compares, dict[str, Tensor]]:
        """Both judges that see with networks; one part of the others is kept from the first, for its threshold."""
        own, strangers = (_pictures(one[0], self.shape) for one in (known, others))
        value_range = float(strangers.min()), float(strangers.max())
        rng = generator(self.seed, "inversion acceptance")
        apart = (parts_of(others[1], rng) or [np.empty(0, np.int64)])[0]
        learned = torch.from_numpy(~np.isin(others[1], apart))
        eye = fit_eye((strangers[learned], others[1][learned.numpy()]), value_range, STEPS, self.seed)
        second = fit_seeing_classifier((own, known[1]), (strangers, others[1]), value_range, STEPS, self.seed)
        if not (finite(eye) and finite(second)):
            raise TrainingError("judges: their networks must have finite weights, got NaN: take judges = 'linear'")

        def knows(records: Array, labels: Array) -> SeeingLineup:
            return SeeingLineup(eye, self.shape, gallery_of(eye, records, labels, self.shape))

        lineup = knows(*known)
        wrong = impostors(knows, *others, apart, _shots(known[1]), rng) if len(apart) else np.empty(0)
        tensors = {"gallery": torch.from_numpy(lineup.gallery), "range": torch.tensor(value_range).double()}
        tensors |= {"accepts_from": torch.tensor(threshold(wrong)).double(), **_state("eye", eye)}
        return lineup, SeeingClassifier(second, self.shape, len(lineup.gallery)), tensors | _state("second", second)

    def load(self) -> tuple[Sees, Compares]:
        """Both judges."""
        found = self.store.load(self.key)
        if self.kind != NETWORK:
            arrays = {name: tensor.numpy() for name, tensor in found.items()}
            lineup = Lineup(arrays["mean"], arrays["axes"], arrays["gallery"])
            return lineup, Classifier(arrays["weight"], arrays["bias"])
        eye, second = (_loaded(found, name, self.shape) for name in ("eye", "second"))
        gallery = found["gallery"].numpy()
        return SeeingLineup(eye, self.shape, gallery), SeeingClassifier(second, self.shape, len(gallery))

    def learned(self) -> tuple[Float[Array, "a k"], Int[Array, " a"]]:
        """Places, in the lineup's space, of the records that the models were trained on, and their identities."""
        return self.store.load(self.key)["learned"].numpy(), self._learned(self.store.load(self.data))

    def tested(self) -> dict[str, Array]:
        """How the judges did on the real records `[c]` that they were tested on.

        Whether each named the right identity; of the lineup also the similarity to it, and to each other one `[c v-1]`;
        the distance to the nearest record of it that the models learned, and of each other one; and from which
        similarity on it accepts a record.
        """
        found = {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}
        right = {name: found[name] == 1 for name in ("lineup_right", "classifier_right")}
        return {**right, **{name: found[name] for name in TESTED}}


_People = tuple[Float[Array, "_ d"], Int[Array, " _"]]


def _shots(labels: Int[Array, " n"]) -> int:
    """Records by which an identity is known, rounded."""
    return max(1, round(len(labels) / len(np.unique(labels))))


def _state(name: str, network: nn.Module) -> dict[str, Tensor]:
    """All weights and buffers, by name."""
    return {f"{name}.{key}": one.detach().cpu().clone() for key, one in network.state_dict().items()}


def _loaded(found: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> nn.Module:
    """A network that was stored."""
    state = {key.removeprefix(f"{name}."): one for key, one in found.items() if key.startswith(f"{name}.")}
    low, high = found["range"].tolist()
    last = max(state, key=lambda key: int(key.partition(".")[0]))
    network = embedder(shape, len(state[last]), (low, high))
    network.load_state_dict(state)
    return inert(network)


def _flat(inputs: Tensor, rows: Array) -> Array:
    """Records as models take them, flattened, float64 `[n d]`."""
    found: Array = as_float(inputs[torch.from_numpy(rows)]).flatten(1).double().numpy()
    return found


def _pictures(records: Array, shape: tuple[int, ...]) -> Float[Tensor, "n c h w"]:
    """Flattened records as pictures again."""
    return torch.from_numpy(records.astype(np.float32)).reshape(-1, *shape)
