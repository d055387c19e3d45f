"""Jobs of the shadows of a supplied model."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from dosimeter.data.entries import data_key
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.observe.shadow_job import ShadowJob
from dosimeter.families.membership.observe.supplied_probes import Probing
from dosimeter.families.membership.observe.text_queries import QUERIES
from dosimeter.families.membership.observe.text_shadow_job import TextShadowJob
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.access import Access
from dosimeter.training.system import SuppliedSystem

AnyShadow = ShadowJob | TextShadowJob


def shadows_of_classes(
    system: SuppliedSystem, design: Design, views: Sequence[str], access: Access, probing: Probing
) -> tuple[ShadowJob, ...]:
    """One job per shadow of a classifier; none without the user's training.

    Args:
        system: the model and its records.
        design: the design of the audit; the target stands before the shadows.
        views: query views.
        access: access to the shadows' outputs.
        probing: probes of the shadows themselves.
    """
    if system.fit is None:
        return ()
    return tuple(
        ShadowJob(
            store=system.store,
            data=data_key(system.pool),
            number=number,
            rows=np.flatnonzero(design.training[1 + number]),
            views=tuple(views),
            access=access,
            fit=system.fit,
            sources=tuple(sorted(system.sources.items())),
            seed=seed_for(system.seed, "shadow", number),
            classes=design.classes,
            output=system.adapted.output,
            device=system.device,
            form=system.adapted.form,
            names=system.pool.classes,
            tokens=system.pool.tokens,
            probing=probing,
        )
        for number in range(len(design.member) - 1)
    )


def shadows_of_texts(
    system: SuppliedSystem, design: Design, signals: Collection[str]
) -> tuple[TextShadowJob, ...]:  # fmt: skip
    """One job per shadow of a language model; none without a recipe and without the user's training.

    Args:
        system: the model, its base and its texts.
        design: the design of the audit; the target stands before the shadows.
        signals: that attacks read and the model gives.
    """
    recipe, language = system.finetuning or system.fit, system.language
    if recipe is None or language is None:
        return ()
    return tuple(
        TextShadowJob(
            store=system.store,
            data=data_key(system.pool),
            number=number,
            rows=np.flatnonzero(design.training[1 + number]),
            recipe=recipe,
            base=language.base if system.finetuning else None,
            start=language.start if system.finetuning else "",
            sources=tuple(sorted(system.sources.items())),
            seed=seed_for(system.seed, "shadow", number),
            vocabulary=system.pool.vocabulary or 0,
            population=len(design.population_ids),
            queries=tuple(name for name in sorted(signals) if name in QUERIES),
            device=system.device,
        )
        for number in range(len(design.member) - 1)
    )
