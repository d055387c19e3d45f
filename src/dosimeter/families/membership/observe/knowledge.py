"""What a run's adversary holds beside signals: features and recipe, the records themselves, a way to train more."""

from __future__ import annotations

from collections.abc import Iterable

from dosimeter.data.record_features import few_columns
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.observe.frozen_head import frozen_head, head_retrain
from dosimeter.families.membership.observe.holdings import Knowledge
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import seed_for
from dosimeter.pipeline.recipe.prepare import Prepared
from dosimeter.pipeline.supplied.prepared import PreparedTarget
from dosimeter.training.features import load_features


def recipe_knowledge(prepared: Prepared) -> Knowledge:
    """Of a recipe, once its features are in the store; what no attack asks for is None."""
    return Knowledge(frozen_head(prepared), _recipe_inputs(prepared), head_retrain(prepared))


def target_knowledge(prepared: PreparedTarget) -> Knowledge:
    """Of a brought model: its records."""
    if not _asked(prepared.brought.attacks):
        return Knowledge()
    pool, seed = prepared.pool, seed_for(prepared.brought.seed, "columns") % 2**31
    return Knowledge(inputs=few_columns(pool.inputs, seed, tokens=pool.tokens))


def _recipe_inputs(prepared: Prepared) -> Array | None:
    """Columns of candidates and population: of frozen features where there are any, else of the records.

    They are learned on all records of the stage at risk, of which nothing but the records enters.
    """
    if not _asked(prepared.audit.attacks):
        return None
    inputs, frozen = prepared.at_risk.inputs, prepared.jobs.packs[0].features
    tokens = prepared.at_risk.tokens and not frozen
    if frozen:
        inputs = load_features(prepared.store, frozen).flatten(1).numpy()
    columns = few_columns(inputs, seed_for(prepared.audit.seed, "columns") % 2**31, tokens=tokens)
    return columns[prepared.jobs.observations[0].rows]


def _asked(rows: Iterable[NamedAttack]) -> bool:
    """Whether some attack reads records."""
    return any(row.attack.needs.inputs for row in rows)
