"""Records a training with Flower as a transcript, at the server."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import cut
from dosimeter.training.joint.recording import TranscriptWriter
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Agreement

logger = logging.getLogger(__name__)
S = TypeVar("S")
PARTY = "party"
"""Record of a client's reply whose `name` says which party it is."""


class FlowerRecorder:
    """Writes what a Flower server sends and gets back as a transcript of "fedavg".

    Flower's `Strategy` (`flwr.serverapp.strategy`) is watched from outside, so any that averages alike can be. Flower
    itself is not imported. Each reply must name its party: `content["party"] = ConfigRecord({"name": "hospital"})`.

    Args:
        folder: where the transcript goes; must hold none.
        agreement: what every party knew beforehand; its method must be "fedavg".
        model: the network whose parameters are sent, under the names of its `state_dict`.
        example: two records `[2 ...]`, where the last layer is not to be found without.

    Raises:
        DataError: the method is another, or the folder holds a transcript.
        TrainingError: the last layer of the network cannot be found.
    """

    def __init__(
        self, folder: Path | str, agreement: Agreement, model: nn.Module, example: Tensor | None = None
    ) -> None:  # fmt: skip
        if agreement.method != "fedavg":
            raise DataError(f"flower: clients send what they trained, so method must be 'fedavg', got "
                            f"{quote(agreement.method)}: change the agreement")  # fmt: skip
        trunk, _ = cut(model, example)
        theirs = {id(one): name for name, one in model.named_parameters()}
        self._names = {theirs[id(one)]: name for name, one in trunk.named_parameters()}
        self._agreement, self._writer = agreement, TranscriptWriter(folder, agreement)
        self._trunk: dict[str, Tensor] = {}

    def watch(self, strategy: S) -> S:
        """The strategy, of which every round of training is recorded from now on.

        Args:
            strategy: with `configure_train` and `aggregate_train`, as Flower's have.
        """
        watched: Any = strategy
        configure, aggregate, weight = watched.configure_train, watched.aggregate_train, _weight_key(watched)

        def configured(server_round: int, arrays: Any, *rest: Any, **named: Any) -> Any:
            self.sent(server_round, arrays)
            return configure(server_round, arrays, *rest, **named)

        def aggregated(server_round: int, replies: Iterable[Any], *rest: Any, **named: Any) -> Any:
            kept = list(replies)
            self.returned(server_round, kept, weight)
            found = aggregate(server_round, kept, *rest, **named)
            if server_round == self._agreement.steps:
                self.sent(server_round + 1, found[0])
                self._writer.close()
            return found

        watched.configure_train, watched.aggregate_train = configured, aggregated
        return strategy

    def sent(self, server_round: int, arrays: Mapping[str, Any]) -> None:
        """Records what the server sends to all.

        Args:
            server_round: number of the round, from 1.
            arrays: by name, as Flower's `ArrayRecord`.
        """
        if server_round == 1 and (further := sorted(set(arrays) - set(self._names))):
            logger.warning("flower: %s cross too and are left out, so an audit tells less than there is", further)
        self._trunk = self._read(server_round, arrays)
        self._writer.add("trunk", COORDINATOR, ALL, server_round - 1, self._trunk)

    def returned(self, server_round: int, replies: Iterable[Any], weight: str) -> None:
        """Records what clients send back.

        Args:
            server_round: number of the round, from 1.
            replies: Flower's messages.
            weight: key of the metric by which clients are weighted.

        Raises:
            DataError: a party is missing, unknown, or weighs otherwise than another.
        """
        place, found, weights = f"flower: round {server_round}", dict[str, Any](), set[float]()
        for reply in replies:
            if reply.has_error():
                raise DataError(f"{place}: every party must answer, got an error of node {reply.metadata.src_node_id}: "
                                "record a training in which none fails")  # fmt: skip
            content = reply.content
            if PARTY not in content:
                raise DataError(f"{place}: each reply must name its party, got none: add "
                                "ConfigRecord({'name': ...}) to it as 'party'")  # fmt: skip
            found[str(content[PARTY]["name"])] = next(iter(content.array_records.values()))
            weights |= {float(one[weight]) for one in content.metric_records.values() if weight in one}
        if set(found) != set(self._agreement.parties):
            raise DataError(f"{place}: must hold replies of {', '.join(self._agreement.parties)}, got "
                            f"{', '.join(sorted(found)) or 'none'}: let all take part in every round")  # fmt: skip
        if len(weights) > 1:
            raise DataError(f"{place}: parties must weigh alike, since an audit takes their plain mean, got "
                            f"{sorted(weights)} as {weight!r}: send the same number")  # fmt: skip
        for name in self._agreement.parties:
            now = self._read(server_round, found[name])
            update = {key: one - self._trunk[key] for key, one in now.items()}
            self._writer.add("update", name, COORDINATOR, server_round - 1, update)

    def _read(self, server_round: int, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
        """The trunk among some arrays."""
        if missing := sorted(set(self._names) - set(arrays)):
            raise DataError(f"flower: round {server_round}: must hold every parameter before the last layer, got no "
                            f"{missing[0]!r}: give the network that is trained")  # fmt: skip
        return {own: torch.from_numpy(arrays[name].numpy().copy()) for name, own in self._names.items()}


def _weight_key(strategy: Any) -> str:
    """The metric by which a strategy weights its clients."""
    return str(getattr(strategy, "weighted_by_key", "num-examples"))
