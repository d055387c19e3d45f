"""Decides which attacks a threat model allows, and why it refuses the others before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.game import BEFORE_TRANSFER, Needs, OwnRehearsal
from dosimeter.families.membership.known import enough
from dosimeter.families.membership.observe.signals import ACCESS, SIGNALS
from dosimeter.families.membership.threat import rehearses
from dosimeter.models.access import Access

MOST_CELLS = 4_000_000
"""Most records of the pool times classes for closed forms of heads: each takes about 1 kB, so 4 GB."""


FEW_SHADOWS = 6
"""Shadows below which most attacks that compare with shadows are refused or weak."""


def cheapest(rows: Sequence[NamedAttack], shadows: int, *, texts: bool = False) -> list[str]:
    """Remark of a plan: the cheapest audit, where there are hardly any shadows and nobody asks for it; or none."""
    if shadows >= FEW_SHADOWS or any(row.attack.needs.labelled for row in rows):
        return []
    own = " with features = 'texts'" if texts else ""
    return [
        f"labelled: with {shadows} shadows, the cheapest useful audit is of an adversary who knows the membership of a "
        f"few records: set `labelled = {enough(10)}` in [[threat]] and add attack simple_shot{own}, which trains "
        "nothing; it may show leakage, never its absence"
    ]


@dataclass(frozen=True)
class Offer:
    """Access, models and data that a threat model gives an attack.

    Attributes:
        access: to the target's outputs.
        population: records outside every model.
        shadows: models of the adversary.
        supplied: whether the target is the user's own, which decides what to do about a lack.
        trains: whether shadows can be trained.
        features: features of a frozen backbone, with heads of a known recipe on them.
        cells: records of the pool times classes.
        retrain: whether shadows can be trained anew for each target.
        withheld: signals of probes that the models cannot give, each with the reason.
        classes: whether a record's class is one of the deployed model's.
        transferred: whether the models at risk are transferred before they are deployed.
        views: under which a record is queried.
        labelled: fewest records that are known to be members of a model, or known not to be.
        untunable: why no copies of the models can be trained; empty if they can.
        tokens: after the first that half of the texts have; 0 for other records.
        baseless: why there is no model before the finetuning of a language model to compare with; empty if there is.
    """

    access: Access
    population: int
    shadows: int
    supplied: bool = False
    trains: bool = True
    features: bool = False
    cells: int = 0
    retrain: bool = False
    withheld: Mapping[str, str] = field(default_factory=dict)
    classes: bool = True
    transferred: bool = False
    views: int = 1
    labelled: int = 0
    untunable: str = ""
    tokens: float = 0
    baseless: str = "compares a finetuned language model with its base, and there is none: leave it out"


def refusals(rows: Sequence[NamedAttack], given: Offer) -> dict[str, str]:
    """Why attacks cannot run, by id; those that can are left out."""
    found = {row.id: refusal(row, given) for row in rows}
    return {name: reason for name, reason in found.items() if reason}


def refusal(row: NamedAttack, given: Offer) -> str:
    """Text: why an attack cannot run under this threat model; empty if it can."""
    needs = row.attack.needs
    if BEFORE_TRANSFER in row.attack.signals and not given.transferred:
        return "compares with the model at risk before its transfer, and here that is the deployed model: leave it out"
    if needs.weights and given.tokens:
        return (
            "trains copies of a model by all classes of its answer, which texts of a language model do not have: use "
            "simple_shot or laplacian_shot with features = 'texts'"
        )
    if lacks := _signals(row, given) or _holds(needs, given):
        return lacks
    most = max(needs.in_shadows, needs.out_shadows) + needs.per_view * (given.views - 1)
    if most and given.supplied and not given.trains:
        return (
            "needs shadow models: give `base`, and as `fit` the settings by which they are finetuned from it"
            if given.tokens
            else "needs shadow models: give `fit`, a function that trains one"
        )
    if given.population < needs.population:
        remedy = "give a population" if given.supplied else "raise threat.population"
        return f"needs a population of {needs.population}, got {given.population}: {remedy}"
    if given.labelled < needs.labelled:
        one_kind = " of one kind for one of them, or for its null audit" if given.labelled else ""
        return (
            f"needs {needs.labelled} known members and {needs.labelled} known non-members of each model, got "
            f"{given.labelled}{one_kind}: set `labelled = {enough(needs.labelled)}` in [[threat]]"
        )
    aside = int(rehearses(given.shadows) and not isinstance(row.attack, OwnRehearsal))
    if given.shadows // 2 - aside >= most:
        return ""
    when = " when one pair is set aside for thresholds" if aside else ""
    least = 2 * (most + 1) if rehearses(2 * most) and not isinstance(row.attack, OwnRehearsal) else 2 * most
    return (
        f"needs {most} shadows per record and side{when}, got {given.shadows // 2 - aside}: raise "
        f"{'' if given.supplied else 'threat.'}shadows to {least}"
    )


def _signals(row: NamedAttack, given: Offer) -> str:
    """Text: the signal of an attack that this model does not give; empty if it gives all."""
    lacking = [name for name in row.attack.signals if name not in (*ACCESS, BEFORE_TRANSFER)]
    if lacking:
        return f"needs the signal {lacking[0]!r}, which no model gives: use one of {', '.join(sorted(ACCESS))}"
    wanted = row.attack.needs.access
    for name in row.attack.signals:
        wanted |= ACCESS.get(name, Access.LABELS)
    granted = given.access.includes
    if wanted not in granted:
        names = " and ".join(str(one.name).lower() for one in wanted if one not in granted)
        own = str(given.access.name).lower()
        return f"needs {names}, but threat.access grants {own}: grant it or leave the attack out"
    if not given.classes and any(name in SIGNALS and SIGNALS[name].labels for name in row.attack.signals):
        return (
            "reads the answer for the record's own class, which is none of the deployed model's: leave it out, or use "
            "tmi, adapted_lira, discriminant or pooled_discriminant"
        )
    reasons = [given.withheld[name] for name in row.attack.signals if name in given.withheld]
    if reasons:
        return reasons[0]
    return ""


def _holds(needs: Needs, given: Offer) -> str:
    """Text: what an attack must hold beside answers and does not get; empty if it gets all."""
    if needs.features and not given.features:
        return (
            "needs the features of a frozen backbone and SGD heads on them, which "
            + ("no supplied model gives" if given.supplied else "the stage at risk does not train")
            + ": leave the attack out"
            + ("" if given.supplied else ", or use transfer = 'head' with optimizer = 'sgd' and no fit")
        )
    if needs.features and given.cells > MOST_CELLS:
        return (
            f"needs about 1 kB for each record and class, so {given.cells / 1e6:.0f} GB of memory where "
            f"{MOST_CELLS / 1e6:.0f} are the most: use fewer records, or leave the attack out"
        )
    if needs.base and given.baseless:
        return given.baseless
    if needs.tokens and given.tokens < needs.tokens:
        return (
            f"needs texts of which half have at least {needs.tokens} tokens after the first, got {given.tokens:g}: "
            "raise data_options.length, or leave it out"
        )
    if needs.weights and given.untunable:
        return given.untunable
    if needs.retrain and not given.retrain:
        return (
            "retrains its shadows for each target, which needs heads on a frozen backbone without defenses: leave the "
            "attack out" + ("" if given.supplied else ", or use transfer = 'head' and no fit")
        )
    return ""
