"""A network of the user's as a `Host`: taken apart where it can be cut, and refused where that is not one thing."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.data.cells import Held
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.wording import describe
from dosimeter.jobs.store import Store
from dosimeter.models.cuts.graph import ModelGraph, read_graph
from dosimeter.models.cuts.named import read_named
from dosimeter.models.last_layer import at_rest
from dosimeter.models.outputs import Meaning
from dosimeter.models.supplied.adapt import Adapted, difference
from dosimeter.models.supplied.fingerprint import of_network, of_state
from dosimeter.models.supplied.forms import Form, Kind
from dosimeter.models.supplied.networks import is_exported
from dosimeter.training.system import CHANGED, SuppliedSystem

SMALLEST = 1e-30
"""Least probability whose logarithm is taken, so that a gradient stays finite."""
SMOOTH: tuple[Kind, ...] = ("plain", "fractions", "levels", "exact")
"""Forms of records through which gradients flow; others round."""
FEW = 8
"""Records on which the network is tried."""
REMEDY = "give the network itself, or record what crosses its cut and give the transcript"


@dataclass(frozen=True, eq=False)
class SuppliedHost:
    """A network of the user's, copied and at rest; a `Host`.

    Attributes:
        store: the cache.
        device: where it runs.
        seed: root of all randomness.
        module: the network, in evaluation mode and without gradients of its own.
        form: how it takes records.
        output: what its answers are.
        columns: class of each of its columns.
        shape: of one record.
        digest: of its weights, its settings and its code.
        owned: key of records that it was trained on; None if none were given.
        took: seconds of one answer when it was asked.
        place: the model, in the user's words.
        named: layers after which it is cut, where its operations cannot be read; else empty.
    """

    store: Store
    device: str
    seed: int
    module: nn.Module = field(repr=False)
    form: Form
    output: Meaning
    columns: tuple[int, ...]
    shape: tuple[int, ...]
    digest: str
    owned: str | None = None
    took: float = 0.0
    place: str = "model"
    users_code: tuple[str, ...] = ("the model",)
    index: int = 0
    named: tuple[str, ...] = ()

    @property
    def closed(self) -> str:
        """Why no gradient flows to the records; empty where one does."""
        return "" if self.form.kind in SMOOTH else f"the model takes {self.form.words}, through which no gradient flows"

    @property
    def definition(self) -> list[Any]:
        """Implements `Host`."""
        asked = [self.digest, repr(self.form), self.output, list(self.columns), self.owned, list(self.named)]
        return ["supplied", *asked, package_code(__name__)]  # jobs know any host, and so not the code of this one

    @property
    def alike(self) -> object:
        """Implements `Host`."""
        return self.digest

    def graph(self, records: Tensor) -> ModelGraph:
        """Implements `Host`."""
        module, example = self.module.to(self.device), self.prepare(records[:2])
        return read_named(module, example, self.named) if self.named else read_graph(module, example)

    def prepare(self, records: Tensor) -> Tensor:
        """Implements `Host`."""
        given: Tensor = self.form.give(Held(records))
        like = next((one for one in self.module.parameters() if one.is_floating_point()), None)
        exact = self.form.kind == "exact" and like is not None and given.is_floating_point()
        return given.to(self.device, like.dtype) if exact and like is not None else given.to(self.device)

    def read(self, answer: Tensor) -> Float[Tensor, "b c"]:
        """Implements `Host`."""
        table = answer.reshape(len(answer), -1).float()
        single = table.shape[1] == 1
        if self.output == "probs":
            both = torch.cat([1 - table, table], 1) if single else table
            return both.clamp_min(SMALLEST).log()[:, self._order]
        return (torch.cat([torch.zeros_like(table), table], 1) if single else table)[:, self._order]

    @property
    def _order(self) -> list[int]:
        """Column of each class."""
        return [int(one) for one in np.argsort(self.columns)]

    def own(self, most: int) -> Tensor:
        """Implements `Host`.

        Raises:
            ConfigError: no training records were given.
        """
        if self.owned is None:
            raise ConfigError(
                "defenses: take scales from records that the model was trained on, got none: give them as `members`"
            )
        found: Tensor = self.store.load(self.owned)["inputs"][:most]
        return found.float().div(255.0) if found.dtype == torch.uint8 else found

    def seconds(self, pace: Any) -> float:
        """Implements `Host`: as measured when the network was first asked."""
        return self.took


def supplied_host(system: SuppliedSystem, name: str, records: Tensor, owned: str | None) -> SuppliedHost:
    """A network of the user's, after it was tried on a few records.

    Args:
        system: the model with its records.
        name: of the model in messages.
        records: a few of them, as dosimeter holds them.
        owned: key of records that it was trained on; None without any.

    Raises:
        ConfigError: it is no network that can be cut, or does not always answer alike.
    """
    adapted = system.adapted
    if reason := _closed(adapted):
        raise ConfigError(f"{name}: split cuts a PyTorch network that is here, got {reason}: {REMEDY}")
    if system.noise > CHANGED:
        raise ConfigError(
            f"{name}: must answer the same to the same record, alone or beside others, got log-confidences that change "
            f"by up to {system.noise:.2g} nats: take what draws at random or reads the batch out of it, and name noise "
            "at the cut as a defense"
        )
    assert adapted.module is not None
    try:
        module = copy.deepcopy(adapted.module).to(system.device).eval().requires_grad_(False)
        _unhook(module)
    except Exception as error:
        raise ConfigError(f"{name}: must be a network that can be copied, got {describe(error)}: {REMEDY}") from error
    host = SuppliedHost(
        system.store, system.device, system.seed, module, adapted.form, adapted.output, adapted.known_classes,
        tuple(int(side) for side in records.shape[1:]), _digest(adapted, module, records[:FEW]), owned,
        system.seconds, name,
    )  # fmt: skip
    _check_state(host, records[:FEW])
    _check_answers(host, adapted, records[:FEW])
    return host


def _unhook(module: nn.Module) -> None:
    """Takes the hooks of gradients away, which no adversary who has the weights would keep: they could make them 0."""
    for one in module.modules():
        one._backward_hooks.clear()  # noqa: SLF001
        one._backward_pre_hooks.clear()  # noqa: SLF001


def _closed(adapted: Adapted) -> str:
    """Why a model cannot be cut, seen without running it; empty where it may."""
    module = adapted.module
    if module is None:
        return f"a {adapted.kind}"
    if is_exported(module) or isinstance(module, torch.fx.GraphModule) and adapted.kind == "exported program":
        return "an exported program, which stays in one piece"
    if isinstance(module, torch.jit.ScriptModule):
        return f"a {adapted.kind}, whose operations cannot be read"
    if sorted(adapted.known_classes) != list(range(adapted.classes)):
        return "one that does not answer for all classes of the records"
    return ""


def _digest(adapted: Adapted, module: nn.Module, records: Tensor) -> str:
    """SHA-256 of a network with what it answers: recordings of another one would be taken for its own.

    Args:
        adapted: how it is asked.
        module: the network.
        records: a few of them; answers count to four decimals.
    """
    answers = of_state({"answers": adapted.query(records).double().cpu().mul(1e4).round()})
    return of_network(module, adapted.fingerprint, answers)


def _check_state(host: SuppliedHost, records: Tensor) -> None:
    """Refuses a network that keeps something from one call to the next.

    Raises:
        ConfigError: with the name of what changed.
    """
    before = {name: one.clone() for name, one in _tensors(host.module).items()}
    with at_rest(host.module):
        host.module(host.prepare(records))
    after = _tensors(host.module)
    changed = [name for name, one in before.items() if not torch.equal(one, after[name])]
    if changed:
        raise ConfigError(
            f"{host.place}: must keep nothing from one call to the next, got {changed[0]!r}, which changed: both "
            "halves would have it; compute it of each record anew"
        )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network's state, which may hold other things, such as types of quantised numbers."""
    return {name: one for name, one in module.state_dict().items() if isinstance(one, Tensor)}


def _check_answers(host: SuppliedHost, adapted: Adapted, records: Tensor) -> None:
    """Refuses a network that answers otherwise than when it is asked as its user asks it.

    Raises:
        ConfigError: it does, or it does not return one tensor.
    """
    with at_rest(host.module):
        answer: object = host.module(host.prepare(records))
    if not isinstance(answer, Tensor):
        raise ConfigError(
            f"{host.place}: must return one tensor to be cut, got {type(answer).__name__}: give a network that returns "
            "the logits alone"
        )
    try:
        kept = adapted.form.dtype if adapted.form.kind == "exact" and records.is_floating_point() else None
        asked = adapted.query(records if kept is None else records.to(kept))
        gap = difference(host.read(answer).double().cpu(), asked)
    except AuditError as error:
        raise ConfigError(f"{host.place}: cannot be cut as it is asked ({error.problems[0]}): {REMEDY}") from error
    if not gap <= CHANGED:
        raise ConfigError(
            f"{host.place}: its copy must answer as it does itself, got log-confidences that differ by {gap:.2g} nats: "
            f"{REMEDY}"
        )


def unlike(whole: Sequence[Tensor], halves: Sequence[Tensor]) -> float:
    """Largest difference between what two halves answer and what the whole answers, relative to the largest answer.

    Args:
        whole: answers of the whole, by batch.
        halves: of the halves.
    """
    gaps = [float((a.double() - b.double()).abs().max()) for a, b in zip(whole, halves, strict=True)]
    return max(gaps) / max(1e-12, *(float(a.double().abs().max()) for a in whole))
