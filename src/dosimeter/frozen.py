"""What a game tells of a frozen backbone: the features of the pool and the recipe of the heads on them."""

from __future__ import annotations

import numpy as np

from dosimeter.fleet import load_features
from dosimeter.games import FrozenHead
from dosimeter.preparation import Prepared


def has_frozen_head(prepared: Prepared) -> bool:
    """Whether the models at risk are linear heads on frozen features that SGD trains, by the built-in loop."""
    link = prepared.links[prepared.audit.at_risk]
    return link.transfer == "head" and link.fit is None and link.hyperparameters.optimizer == "sgd"


def frozen_head(prepared: Prepared) -> FrozenHead | None:
    """Features and recipe, once the features are in the store; None if there is no frozen backbone or nobody asks."""
    if not has_frozen_head(prepared) or not any(row.attack.needs.features for row in prepared.audit.attacks):
        return None
    hp, split, data = prepared.links[prepared.audit.at_risk].hyperparameters, prepared.split, prepared.at_risk
    features = load_features(prepared.store, prepared.jobs.packs[0].features).numpy()
    updates = hp.epochs * -(-(len(split.pool) // 2) // hp.batch_size)
    return FrozenHead(
        features=features[split.pool],
        labels=np.asarray(data.labels[split.pool], dtype=np.int64),
        classes=prepared.links[prepared.audit.at_risk].classes,
        candidates=split.candidates,
        rates=np.array([hp.lr_at(step, updates) for step in range(updates)]),
        momentum=hp.momentum,
        weight_decay=hp.weight_decay,
        standardise=hp.standardise,
    )
