"""Job of the Fisher information of each layer: for the task, for what attacks made small, and for controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.inversion.attacks.reading import SHORT, TINY, Aim
from dosimeter.families.inversion.game import BATCH, Starts
from dosimeter.families.inversion.play.job import VerdictJob
from dosimeter.families.inversion.play.priors import PriorJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.training.deployment.network import Opened, answers, opened
from dosimeter.training.packs import PackJob
from dosimeter.training.sensitivity.fisher import Fisher, Loss, cross_entropy, fisher, layers_of
from dosimeter.training.sensitivity.perturbations import margins

SAMPLES = 200
"""Records of each control, and most records of the task on each side."""
WORK = 4.0
"""Work of a record's gradient by the weights, in answers."""


def distance(logits: Float[Tensor, "b c"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The Poincaré distance of the attacks, written so that it runs inside `torch.func.vmap`, where one_hot does not.

    Args:
        logits: of records.
        labels: the output that each is for.
    """
    u = logits / logits.abs().sum(1, keepdim=True).clamp_min(TINY)
    v = torch.zeros_like(u).scatter(1, labels[:, None], 1 - SHORT)
    inside = (1 - (u**2).sum(1)).clamp_min(TINY) * (1 - (v**2).sum(1))
    return torch.acosh(1 + 2 * ((u - v) ** 2).sum(1) / inside)


LOSSES: Mapping[Aim, Loss] = {
    "ce": cross_entropy,
    "poincare": distance,
    "margin": lambda logits, labels: -margins(logits, labels),
}
"""Losses of attacks that depend on logits alone."""


def aimed(attack: object) -> Aim:
    """The loss by which an attack's reconstructions are looked at: what it makes small itself, else cross-entropy."""
    own = getattr(attack, "aim", getattr(attack, "mode", None))
    return next((name for name in get_args(Aim) if name == own), "ce")


@dataclass(frozen=True)
class InformationJob(FollowingJob):
    """Job that takes the squared gradients of losses by the weights of each layer, of the first audited model.

    Its entry holds for each kind of records `[n l]`: `train`, `held_out`, `prior`, `noise` by the cross-entropy, the
    last two of the class that the model names; `made-i` by the loss of attack i. Where the model does not run record
    by record there is `reason` alone.

    Attributes:
        pack: of the model, which is its first one.
        learned: rows that the model is trained on.
        held_out: rows that it is not trained on.
        prior: of the adversary.
        public: key of the public records.
        verdicts: of attacks on this model, by place of the attack; what they made is looked at.
    """

    pack: PackJob
    learned: Int[np.ndarray, " a"]
    held_out: Int[np.ndarray, " b"]
    prior: PriorJob
    public: str
    verdicts: Mapping[int, VerdictJob]

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "information", "pack": self.pack.key, "prior": self.prior.key, "public": self.public,
            "rows": arrays_hash(learned=self.learned, held_out=self.held_out),
            "made": {str(one): [play.key for play in job.plays] for one, job in self.verdicts.items()},
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("information", id(self.pack.links))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        made = sum(len(play.classes) for job in self.verdicts.values() for play in job.plays)
        return len(self.learned) + len(self.held_out) + 2 * SAMPLES + made

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return float(pace.answer(self.pack)) * self.size * WORK

    def perform(self) -> None:
        """Computes and stores."""
        try:
            found = self._squares()
        except TrainingError as error:
            found = {"reason": _text(str(error))}
        self.store.save(self.key, found, self.definition)

    def load(self) -> dict[str, Array]:
        """What `perform` found, with `layers` and `reason` as text."""
        found = {name: one.numpy() for name, one in self.store.load(self.key).items()}
        return {name: _words(one) if name in ("layers", "reason") else one for name, one in found.items()}

    def _squares(self) -> dict[str, Tensor]:
        """Squared gradients by kind of records, the layers' names and numbers of weights."""
        one, data, device = opened(self.pack, 0), self.store.load(self.pack.data), self.pack.device
        layers = layers_of(one.model, data["inputs"][:2].to(device))
        kinds = {"train": self.learned, "held_out": self.held_out}
        shown = {name: (data["inputs"][rows], data["labels"][rows]) for name, rows in _tensors(kinds).items()}
        for name, records in self._controls().items():
            shown[name] = (records, answers(one.model, records, device).argmax(1))
        found = {name: fisher(one.model, *pair, layers=layers, device=device) for name, pair in shown.items()}
        for index, job in self.verdicts.items():
            made = torch.from_numpy(job.records()[:, 0])
            classes = torch.tensor([number for play in job.plays for number in play.classes])
            loss = aimed(job.plays[0].row.attack)
            found[f"made-{index}"] = self._of_attack(one, (made, classes), loss, layers)
        squares = {name: torch.from_numpy(each.each) for name, each in found.items()}
        sizes = torch.from_numpy(found["train"].parameters)
        return {**squares, "parameters": sizes, "layers": _text("\n".join(layers))}

    def _of_attack(self, one: Opened, made: tuple[Tensor, Tensor], loss: Aim, layers: tuple[str, ...]) -> Fisher:
        """Of what one attack made, by its own loss."""
        device = self.pack.device
        if loss in LOSSES:
            return fisher(one.model, *made, loss=LOSSES[loss], layers=layers, device=device)
        public = as_float(self.store.load(self.public)["inputs"])
        with torch.inference_mode():
            parts = [one.answer(batch.to(device))[0].sum(0) for batch in torch.split(public, BATCH)]
        usual = (torch.stack(parts).sum(0) / len(public)).clone()
        both = tuple(f"model.{layer}" if layer else "model" for layer in layers)
        return fisher(_Both(one), *made, loss=_logit_loss(usual), layers=both, device=device)

    def _controls(self) -> dict[str, Float[Tensor, "n ..."]]:
        """Records that nobody optimised: random ones of the prior, and noise in the same range."""
        prior, seed = self.prior.load(), self.pack.seed
        noise = generator(seed, "inversion noise").uniform(prior.low, prior.high, (SAMPLES, *prior.shape))
        samples = Starts(seed, np.arange(1), prior.latent).samples(SAMPLES)
        return {"prior": prior.decode(samples), "noise": torch.from_numpy(noise.astype(np.float32))}


class _Both(nn.Module):
    """A network that answers with the features of its last layer and its logits as one row."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.model, self.opened = opened.model, opened

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
        """Features, then logits."""
        return torch.cat(self.opened.answer(x), 1)


def _logit_loss(usual: Float[Tensor, " d"]) -> Any:
    """The logit loss of features and logits in one row, `mean (h - usual)^2 - f_y`."""

    def loss(row: Float[Tensor, "b e"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        features, logits = row[:, : len(usual)], row[:, len(usual) :]
        return ((features - usual) ** 2).mean(1) - logits.gather(1, labels[:, None])[:, 0]

    return loss


def _tensors(rows: Mapping[str, Array]) -> dict[str, Tensor]:
    """Rows as tensors."""
    return {name: torch.from_numpy(one) for name, one in rows.items()}


def _text(words: str) -> Tensor:
    """Text as bytes, for a store that keeps tensors alone."""
    return torch.frombuffer(bytearray(words.encode()), dtype=torch.uint8).clone()


def _words(stored: Array) -> Array:
    """Lines of a stored text."""
    return np.array(bytes(stored).decode().split("\n"), dtype=str)
