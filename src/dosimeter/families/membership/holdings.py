"""Holdings of a run's adversary beside signals: features and recipe, the records themselves, a way to train more."""

from __future__ import annotations

from collections.abc import Iterable

from dosimeter.data.record_features import few_columns
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.case import Case
from dosimeter.families.membership.frozen_head import frozen_head, head_retrain
from dosimeter.families.membership.game import Holdings
from dosimeter.families.membership.supplied_case import SuppliedCase
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.features import load_features


def recipe_holdings(case: Case) -> Holdings:
    """Holdings for a recipe, once its features are in the store; what no attack asks for is None."""
    return Holdings(frozen_head(case), _recipe_inputs(case), head_retrain(case))


def supplied_holdings(case: SuppliedCase) -> Holdings:
    """Holdings for a supplied model: its records."""
    if not _reads_records(case.attacks):
        return Holdings()
    pool, seed = case.system.pool, seed_for(case.system.seed, "columns") % 2**31
    return Holdings(inputs=few_columns(pool.inputs, seed, tokens=pool.tokens))


def _recipe_inputs(case: Case) -> Array | None:
    """Columns of candidates and population: frozen features if there are any, else the records.

    They are learned on all records of the stage at risk, of which nothing but the records enters.
    """
    if not _reads_records(case.attacks):
        return None
    inputs, frozen = case.system.at_risk.inputs, case.jobs.packs[0].features
    tokens = case.system.at_risk.tokens and not frozen
    if frozen:
        inputs = load_features(case.system.store, frozen).flatten(1).numpy()
    columns = few_columns(inputs, seed_for(case.system.seed, "columns") % 2**31, tokens=tokens)
    return columns[case.jobs.observations[0].rows]


def _reads_records(rows: Iterable[NamedAttack]) -> bool:
    """Returns whether some attack reads records."""
    return any(row.attack.needs.inputs for row in rows)
