"""What each adversary of a topology could learn about whose data, by which family, and what can be tested."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from dosimeter.families.rules import RULES, Rule
from dosimeter.families.sights import OUTPUTS, WIRE, Sight, StageRole, asks, sights
from dosimeter.families.topology import Holding, Topology

ACCESS = {
    "features": "features", "labels": "labels", "probabilities": "probs", "logits": "logits", "weights": "weights",
}  # fmt: skip
"""What an adversary sees, to the word of a `[[threat]]` for it."""
STRENGTH = ("features", *OUTPUTS, "gradients", "weights")
"""What an adversary sees, the least telling of a model's training data first."""

KNOWN, ASSUMED, UNKNOWN = "weights known", "weights assumed known", "weights unknown"
"""Of what made the features, or of the whole model: known by the file; or by what usually is so; or not."""
AT_WILL, PASSING = "asks at will", "sees queries of others"
"""Whether they choose the records that a model answers."""


@dataclass(frozen=True)
class Risk:
    """One thing that an adversary could learn.

    Attributes:
        adversary: names of the parties that act together, one or two, or `WIRE`.
        malicious: whether one of them may depart from the protocol.
        rule: how it is learned.
        stage: stage through whose model it is learned.
        at_risk: for records of training, the stage that was trained on them; else the stage again.
        holder: party whose data, or whose model, it is; None if the topology names none.
        data: name of the data; None for a model, or for data that the file does not name.
        attributes: private attributes that the topology names, for rules about them.
        access: strongest that the adversary sees of what the rule takes.
        ways: how it gets there.
        knows: what else decides how strong the attack is.
        tested: whether this release has attacks for it.
        remark: the `[[threat]]` that tests it, or why it is not tested.
        cuts: layers after which the features leave that they see, of what the rule takes.
        threat: keys of the `[[threat]]` that tests it; empty if none does.
    """

    adversary: tuple[str, ...]
    malicious: bool
    rule: Rule
    stage: str
    at_risk: str
    holder: str | None
    data: str | None
    attributes: tuple[str, ...]
    access: str
    ways: tuple[str, ...]
    knows: str
    tested: bool
    remark: str
    cuts: tuple[str, ...] = ()
    threat: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class _View:
    """What one adversary sees of one deployed stage.

    Attributes:
        who: names of the parties.
        malicious: names of those that may depart from the protocol.
        stage: the stage.
        seen: what they see of it.
        at_will: whether they can put in records of their own choice.
    """

    who: tuple[str, ...]
    malicious: frozenset[str]
    stage: StageRole
    seen: tuple[Sight, ...]
    at_will: bool

    @property
    def weights(self) -> frozenset[str]:
        """Parts whose weights they know."""
        return frozenset(one.part for one in self.seen if one.sees == "weights")

    @property
    def assumed(self) -> frozenset[str]:
        """Parts whose weights they know, or are taken to know: those that run before a part of theirs.

        Who runs a later part usually made the earlier one and sent it to the device.
        """
        own = [part for part in self.stage.parts if part.at in self.who]
        return self.weights | {one.name for part in own for one in self.stage.before(part)}

    def knowledge(self, parts: Collection[str]) -> str:
        """What they know of the weights of some parts."""
        return KNOWN if set(parts) <= self.weights else ASSUMED if set(parts) <= self.assumed else UNKNOWN

    @property
    def whole(self) -> str:
        """What they know of the whole model's weights."""
        return self.knowledge([part.name for part in self.stage.parts])

    def strongest(self, of: Collection[str]) -> str | None:
        """The most telling thing that they see, of some; weights count only if they are the whole model's."""
        mine = {one.sees for one in self.seen if one.sees in of and (one.sees != "weights" or self.whole != UNKNOWN)}
        return max(mine, key=_rank, default=None)

    def ways(self, sees: str) -> tuple[str, ...]:
        """How something reaches them."""
        return tuple(dict.fromkeys(one.way for one in self.seen if one.sees == sees))


def risks(
    topology: Topology, stages: Sequence[StageRole], available: Mapping[str, Collection[str]]
) -> tuple[Risk, ...]:
    """All that the adversaries of a topology could learn, by `RULES`.

    An adversary is a party whose trust is not "full", anyone on the wire, or two such parties together; of two, only
    what they can do better than each alone is listed. Nobody is an adversary of their own data.

    Args:
        topology: parties, parts, edges and holdings.
        stages: the chain in order, with the parts of each.
        available: families of this release, each with the words for access that its threats take.
    """
    seen = sights(topology, stages)
    suspects = [one for one in topology.parties if one.trust != "full"]
    malicious = frozenset(one.name for one in suspects if one.trust == "malicious")
    alone = {
        name: _of((name,), malicious & {name}, topology, stages, seen, available)
        for name in (*(one.name for one in suspects), WIRE)
    }
    together: list[Risk] = []
    for pair in combinations([one.name for one in suspects], 2):
        known: dict[tuple[object, ...], tuple[int, int]] = {}
        for one in (*alone[pair[0]], *alone[pair[1]]):
            known[_same(one)] = max(_strength(one), known.get(_same(one), (-1, -1)))
        both = _of(pair, malicious & set(pair), topology, stages, seen, available)
        together += [one for one in both if _strength(one) > known.get(_same(one), (-1, -1))]
    return (*(one for found in alone.values() for one in found), *together)


def _same(risk: Risk) -> tuple[object, ...]:
    """What two adversaries could both learn."""
    return risk.rule.name, risk.stage, risk.at_risk, risk.holder, risk.data


def _strength(risk: Risk) -> tuple[int, int]:
    """How much of it they see: the access, and what else they know."""
    access = STRENGTH.index(risk.access) if risk.access in STRENGTH else len(STRENGTH)
    return access, 2 if risk.knows in (KNOWN, AT_WILL) else int(risk.knows == ASSUMED)


def _rank(sees: str) -> int:
    """Place of something in `STRENGTH`; below all if it is not there."""
    return STRENGTH.index(sees) if sees in STRENGTH else -1


def _of(
    who: tuple[str, ...],
    malicious: frozenset[str],
    topology: Topology,
    stages: Sequence[StageRole],
    seen: Sequence[Sight],
    available: Mapping[str, Collection[str]],
) -> list[Risk]:
    """What one adversary could learn."""
    found: list[Risk] = []
    for index, stage in enumerate(stages):
        if not stage.parts:
            continue
        own = tuple(one for one in seen if one.party in who and one.stage == stage.name)
        at_will = stage.parts[0].at in who or any(
            one.party in who and asks(topology, one, stage, stages) for one in topology.holds
        )
        view = _View(who, malicious, stage, own, at_will)
        for rule in RULES:
            if rule.at_risk == "queries":
                found += _queries(view, rule, topology, stages)
            elif rule.at_risk == "training":
                found += _training(view, rule, topology, stages[: index + 1])
            else:
                found += _model(view, rule)
    own_data = next((one.auxiliary for one in topology.parties if one.name in who and one.auxiliary), None)
    blind = {one.stage for one in found if one.rule.name == "hidden-labels"}
    last = stages[-1].name
    return [_judged(one, available, own_data, last, blind=one.stage in blind) for one in found]


def _queries(view: _View, rule: Rule, topology: Topology, stages: Sequence[StageRole]) -> Iterator[Risk]:
    """Risks of records that pass through a deployed stage."""
    known = {one.auxiliary for one in topology.parties if one.name in view.who}
    for holding in topology.holds:
        if holding.party in view.who or holding.data in known or not asks(topology, holding, view.stage, stages):
            continue
        seen = [one for one in view.seen if one.sees in rule.sees and one.data in (None, holding.data)]
        if not seen or not _applies(view, rule, topology, holding):
            continue
        access = max((one.sees for one in seen), key=_rank)
        ways = tuple(dict.fromkeys(one.way for one in seen))
        attributes = holding.attributes if rule.name.startswith("attributes") else ()
        yield Risk(
            view.who, bool(view.malicious), rule, view.stage.name, view.stage.name, holding.party, holding.data,
            attributes, access, ways, _knows_before(view, seen, access), False, "",
            tuple(dict.fromkeys(str(one.cut) for one in seen if one.sees == "features")),
        )  # fmt: skip


def _applies(view: _View, rule: Rule, topology: Topology, holding: Holding) -> bool:
    """Returns whether a rule says more than that something is seen."""
    if rule.name == "hidden-labels":  # who sees the answers or the labels has no need to infer them
        return view.strongest((*OUTPUTS, "true labels")) is None
    if rule.active:
        mine = {part.name for part in view.stage.parts if part.at in view.malicious}
        others = {part.name for part in view.stage.parts if part.at not in view.who}
        return any(
            edge.sends == "gradients" and edge.sender in mine and edge.receiver in others for edge in topology.edges
        )
    return True


def _knows_before(view: _View, seen: Sequence[Sight], access: str) -> str:
    """Whether the adversary knows the weights of what made the features; otherwise what else they know."""
    if access in OUTPUTS:
        return AT_WILL if view.at_will or view.whole == KNOWN else PASSING
    if not any(one.sees == "features" for one in seen):
        return ""
    parts = {part.name: part for part in view.stage.parts}
    made = [view.stage.before(parts[one.part]) + (parts[one.part],) for one in seen if one.sees == "features"]
    told = {view.knowledge([part.name for part in one]) for one in made}
    return next(one for one in (KNOWN, ASSUMED, UNKNOWN) if one in told)


def _training(view: _View, rule: Rule, topology: Topology, chain: Sequence[StageRole]) -> Iterator[Risk]:
    """Risks of records that a stage, or one before it, was trained on."""
    stage = view.stage
    if rule.name == "updates":
        for one in view.seen:
            sender = next(part.at for part in stage.parts if part.name == one.part)
            held = [own.data for own in topology.holds if own.party == sender and own.data in stage.trained]
            for sent in held if one.sees == "weights" and one.crosses and sender not in view.who else ():
                yield Risk(
                    view.who, bool(view.malicious), rule, stage.name, stage.name, sender, sent, (), "weights",
                    (one.way,), "", False, "",
                )  # fmt: skip
        return
    access = view.strongest(rule.sees)
    if access is None:
        return
    knows = view.whole if access == "weights" else AT_WILL if view.at_will else PASSING
    own = {one.auxiliary for one in topology.parties if one.name in view.who}
    behind = chain if rule.name == "membership" else chain[-1:]
    for at_risk, data in [(one.name, data) for one in behind for data in one.trained]:
        holders: list[str | None] = [one.party for one in topology.holds if one.data == data]
        if set(holders) & set(view.who) or (data is not None and data in own):
            continue
        for holder in holders or [None]:
            yield Risk(
                view.who, bool(view.malicious), rule, stage.name, at_risk, holder, data, (), access,
                view.ways(access), knows, False, "",
            )  # fmt: skip


def _model(view: _View, rule: Rule) -> Iterator[Risk]:
    """Risk of a model that an adversary could imitate, for each party that runs a part that they do not know."""
    access = view.strongest(rule.sees)
    if access is None or not view.at_will:
        return
    for owner in dict.fromkeys(part.at for part in view.stage.parts if part.name not in view.weights):
        yield Risk(
            view.who, bool(view.malicious), rule, view.stage.name, view.stage.name, owner, None, (), access,
            view.ways(access), AT_WILL, False, "",
        )  # fmt: skip


def _judged(risk: Risk, available: Mapping[str, Collection[str]], own: str | None, last: str, *, blind: bool) -> Risk:
    """A risk with the threat that tests it, or the reason why none does.

    Args:
        risk: not judged yet.
        available: families of this release, each with the words for access that its threats take.
        own: data that the adversary has.
        last: name of the last stage.
        blind: whether the adversary sees no answers of the stage.
    """
    rule = risk.rule
    reason = _reason(risk, available)
    if not reason and rule.last and risk.at_risk != last:
        reason = f"attacks of family {rule.family} judge the last stage of a chain alone"
    if not reason and rule.auxiliary and own is None:
        reason = f"attacks of family {rule.family} need records of others: name them as `auxiliary` of the party"
    if reason:
        return replace(risk, remark=reason)
    threat: dict[str, Any] = {"family": rule.family, "at_risk": risk.at_risk, "access": _access(risk)}
    threat |= {rule.auxiliary: own} if rule.auxiliary else {}
    if _access(risk) == "features" and rule.at_risk == "queries":
        threat |= {"victims": risk.data, "cuts": risk.cuts, "knows": "weights"}
        threat |= {"attributes": risk.attributes} if risk.attributes else {}
        threat |= {"answers": "hidden"} if blind else {}
        threat |= {"attributes": ("label",)} if rule.name == "hidden-labels" else {}
        threat |= {"gradients": True} if risk.access == "gradients" else {}
        threat |= {"active": True} if rule.active else {}
    return replace(risk, tested=True, remark=as_written(threat), threat=threat)


def _access(risk: Risk) -> str | None:
    """The word of a `[[threat]]` for what an adversary sees; gradients at a cut belong to the features there."""
    at_cut = risk.access == "gradients" and risk.rule.family == "split" and bool(risk.cuts)
    return ACCESS["features"] if at_cut else ACCESS.get(risk.access)


def as_written(threat: Mapping[str, Any]) -> str:
    """Keys of a threat as an audit file has them.

    Args:
        threat: text, lists of text, and truth values, by key.

    >>> as_written({"at_risk": "finetune", "cuts": ("a", "b"), "active": True})
    'at_risk = "finetune", cuts = ["a", "b"], active = true'
    """
    return ", ".join(f"{key} = {_quoted(value)}" for key, value in threat.items())


def _quoted(value: object) -> str:
    """One value as an audit file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    assert isinstance(value, Iterable)
    return "[" + ", ".join(f'"{one}"' for one in value) + "]"


def in_words(risk: Risk) -> str:
    """One risk as a sentence without its end: what is learned of whose, and from what."""
    learns = risk.rule.learns
    if risk.attributes:
        learns += f" ({', '.join(risk.attributes)}, and others that nobody named)"
    whose = (
        f"stage {risk.stage}" if risk.rule.at_risk == "model" else risk.data or f"the records of stage {risk.at_risk}"
    )
    whose += f" of {risk.holder}" if risk.holder else ""
    knows = f"{risk.knows}; " if risk.knows else ""
    return f"{risk.rule.name} ({whose}): {learns}. From {risk.access} ({knows}{', '.join(risk.ways)})"


def _reason(risk: Risk, available: Mapping[str, Collection[str]]) -> str:
    """Why a risk is not tested, or empty."""
    family = risk.rule.family
    if risk.rule.name in ("records", "labels"):
        return "nothing to test: they see it as it is"
    if family is None:
        return "no attack that imitates models"
    if family not in available:
        return f"this release has no attacks of family {family}"
    if risk.rule.untested:
        return risk.rule.untested
    if risk.access in ("features", "gradients") and risk.knows == UNKNOWN:
        return (
            "the attacks of this release need what the first half makes of records of the adversary's own, its layers, "
            "or the second half"
        )
    if _access(risk) not in available[family]:
        return f"no attack of family {family} reads {risk.access} at a cut"
    if risk.data is None:
        return f"the file does not say what stage {risk.at_risk} was trained on"
    if risk.knows == PASSING:
        return "attacks of this release choose the records that are asked"
    return ""
