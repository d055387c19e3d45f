"""The adversary's prior as a job: principal components, a trained generator, or one of the user's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.families.inversion.threat import PRINCIPAL, TRAINED
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.models.learners import critic, decoder, finite, inert
from dosimeter.training.learners.given import Given, built
from dosimeter.training.learners.principal import Principal, fit_prior
from dosimeter.training.learners.prior import Generated, Prior
from dosimeter.training.learners.vae import fit_vae
from dosimeter.training.learners.wgan import fit_wgan

PRODUCT = 3e-10
"""Seconds of a multiplication in a matrix product on one core of 2024."""
PROBE = 2
"""Steps of a training by which its duration is estimated."""


@dataclass(frozen=True)
class PriorKind:
    """Which prior an adversary learns.

    Attributes:
        name: "principal", "vae", "wgan" or the user's `package.module:function`.
        latent: most numbers of a latent; of a trained generator, how many it has.
        steps: of the training; 0 of those that are not trained by steps.
        seed: of the training.
        given: what is known of the user's generator; None without one.
    """

    name: str
    latent: int
    steps: int = 0
    seed: int = 0
    given: Given | None = None


@dataclass(frozen=True)
class PriorJob(KeyedJob):
    """Job that fits the adversary's prior on the public records, once for all attacks, variants and targets.

    Attributes:
        store: store to write to.
        data: key of the public records.
        records: number of public records.
        shape: of one record.
        kind: which prior.
        device: on which a generator is trained.
    """

    store: Store
    data: str
    records: int
    shape: tuple[int, ...]
    kind: PriorKind
    device: str = "cpu"

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        kind = self.kind
        own: dict[str, Any] = {"kind": "prior", "prior": kind.name, "data": self.data, "latent": kind.latent}
        if kind.name in TRAINED:
            own |= {"steps": kind.steps, "seed": kind.seed, "shape": list(self.shape), "device": self.device}
        if kind.given is not None:
            own |= {"given": kind.given.fingerprint}
        return {**own, "code": package_code(__name__)}

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return f"prior {self.kind.name!r} of the public records"

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's generator, if there is one."""
        return () if self.kind.given is None else ("the generator",)

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return self.key

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        if self.kind.name == PRINCIPAL:
            return 4 * (self.kind.latent + 1) * int(np.prod(self.shape))
        networks = _empty(self.kind, self.shape) if self.kind.given is None else ()
        return 4 * sum(int(tensor.numel()) for one in networks for tensor in one.state_dict().values())

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: a training is tried for two steps."""
        if self.kind.name not in TRAINED:
            return PRODUCT * float(self.records**2 * (np.prod(self.shape) + self.records))
        drawn = np.random.default_rng(0).random((self.records, *self.shape), dtype=np.float32)
        records, passes = torch.from_numpy(drawn).to(self.device), []
        for steps in (1, 1 + PROBE):
            start = time.perf_counter()
            _trained(self.kind.name, records, self.kind.latent, steps, 0)
            passes.append(time.perf_counter() - start)
        return self.kind.steps * max(passes[1] - passes[0], 0.0) / PROBE

    def perform(self) -> None:
        """Fits and stores."""
        records = as_float(self.store.load(self.data)["inputs"])
        usual = {"mean": records.flatten(1).double().mean(0).float()}
        usual |= {"range": torch.tensor([records.min(), records.max()], dtype=torch.float64)}
        if self.kind.name == PRINCIPAL:
            found = fit_prior(records, self.kind.latent)
            tensors = {"directions": found.directions}
        elif self.kind.given is not None:
            tensors = _state({"network": built(self.kind.name, self.shape).module})
        else:
            device_records = records.to(self.device)
            networks = _trained(self.kind.name, device_records, self.kind.latent, self.kind.steps, self.kind.seed)
            if not all(finite(one) for one in networks):
                raise TrainingError("the generator must have finite weights, got NaN: take other prior_steps or seed")
            tensors = _state(dict(zip(("network", "critic"), networks, strict=False)))
        self.store.save(self.key, {**usual, **tensors}, self.definition)

    def load(self) -> Prior:
        """The prior, on the CPU."""
        found, kind = self.store.load(self.key), self.kind
        low, high = found["range"].tolist()
        if kind.name == PRINCIPAL:
            return Principal(found["mean"], found["directions"], self.shape, low, high)
        if kind.given is not None:
            networks: tuple[nn.Module, ...] = (built(kind.name, self.shape).module,)
        else:
            networks = _empty(kind, self.shape, (low, high))
        for name, network in zip(("network", "critic"), networks, strict=False):
            network.load_state_dict(
                {key.removeprefix(f"{name}."): one for key, one in found.items() if key.startswith(f"{name}.")}
            )
            inert(network)
        latent = kind.latent if kind.given is None else kind.given.latent
        judge = networks[1] if len(networks) > 1 else None
        return Generated(networks[0], judge, latent, self.shape, low, high, found["mean"])


def _trained(name: str, records: Tensor, latent: int, steps: int, seed: int) -> tuple[nn.Module, ...]:
    """The generator, and its critic if it has one."""
    if name == "vae":
        return (fit_vae(records, latent, steps, seed),)
    return fit_wgan(records, latent, steps, seed)


def _empty(
    kind: PriorKind, shape: tuple[int, ...], value_range: tuple[float, float] = (0.0, 1.0)
) -> tuple[nn.Module, ...]:
    """Networks of the form that `_trained` gives, with weights of no meaning."""
    maker = decoder(shape, kind.latent, value_range)
    return (maker,) if kind.name == "vae" else (maker, critic(shape, value_range))


def _state(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    """All weights and buffers, by network and name."""
    return {
        f"{name}.{key}": tensor.detach().cpu().clone()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
