"""Resources that each attack uses for one target: labelled records, shadows, trainings, queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.observe.probes import PROBES
from dosimeter.families.membership.observe.signals import SIGNALS, TEXT_SIGNALS
from dosimeter.families.membership.observe.text_queries import QUERIES
from dosimeter.families.resources import Resources
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.wording import quote


def resources_of(rows: Iterable[NamedAttack], shadows: int, views: int) -> Mapping[str, Resources]:
    """Resources of attacks by id.

    Args:
        rows: the attacks.
        shadows: models of the adversary.
        views: under which a record is queried.

    Raises:
        AuditError: an attack says no whole number of labelled records, or of shadows.
    """
    return {row.id: _resources(row, shadows, views) for row in rows}


def _resources(row: NamedAttack, shadows: int, views: int) -> Resources:
    """Resources of one attack."""
    attack, needs = row.attack, row.attack.needs
    reads = shadows if max(needs.in_shadows, needs.out_shadows) else 0
    asked = views if any(name in SIGNALS or name in TEXT_SIGNALS for name in attack.signals) else 0
    asked += sum(QUERIES[name].queries for name in attack.signals if name in QUERIES)
    probes = {id(PROBES[name]): PROBES[name].queries for name in attack.signals if name in PROBES}
    return Resources(
        labelled=_told(row, "labels", 0),
        shadows=min(reads, _told(row, "reads_shadows", reads)),
        trainings=row.trainings,
        queries=asked + sum(probes.values()),
    )


def _told(row: NamedAttack, name: str, otherwise: int) -> int:
    """A number that an attack may say of itself."""
    found = getattr(row.attack, name, None)
    if found is None:
        return otherwise
    if type(found) is not int or found < 0:
        raise AuditError(f"attack {row.id!r}: `{name}` must be a whole number from 0, got {quote(found)}: correct it")
    return found
