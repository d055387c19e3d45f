"""The chain of an audit as links, and trials of its models, before any job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dosimeter.config.audit import Audit, VariantRow
from dosimeter.config.tables import Stage
from dosimeter.data import Dataset
from dosimeter.data.views import unfit
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.user_code import is_file
from dosimeter.training.chain import Link
from dosimeter.training.defending import with_defenses
from dosimeter.training.preflight import Together, about, check_sources, try_models


def check_rows(audit: Audit, data: Sequence[Dataset | None]) -> None:
    """Refuses augmentation of images for other records, and that of texts for other records.

    Args:
        audit: the settings.
        data: of each stage, None for one without.
    """
    problems = []
    for index, (stage, dataset) in enumerate(zip(audit.stages, data, strict=True)):
        if dataset is not None:
            problems += unfit(f"stage[{index}].augment", stage.augment, dataset)
    if problems:
        raise ConfigError(*problems)


def links_of(audit: Audit, data: Sequence[Dataset | None]) -> tuple[Link, ...]:
    """The chain with the shapes and classes of its data; a given first stage takes those of the next."""
    links = []
    for index, stage in enumerate(audit.stages):
        own = next(one for one in data[index:] if one is not None)
        link = _link(stage, own, audit.base)
        hp = with_defenses(stage.hyperparameters, audit.defenses[index], joint=stage.joint)
        links.append(replace(link, hyperparameters=hp))
    return tuple(links)


def try_chains(
    audit: Audit, links: Sequence[Link], data: Sequence[Dataset | None], records: int, together: Together
) -> None:
    """Tries the models of an audit, and those of its variants that have other settings of training.

    Args:
        audit: the settings.
        links: its chain.
        data: of each stage, None for one without.
        records: number of records that one model of the first stage at risk is trained on.
        together: collects what is wrong; of a variant with its id in front.
    """
    try_models(links, data, records=_trained_on(audit, data, records), together=together)
    for row in audit.variants:
        if not isinstance(row, VariantRow) or not row.table.stage:
            continue
        own, its = Together(), links_of(row.audit, data)
        for link in its:
            with own:
                check_sources(link)
        with own:
            check_rows(row.audit, data)
        if not own.errors:
            try_models(its, data, records=_trained_on(row.audit, data, records), together=own)
        for error in own.errors:
            with together, about(f"variant {row.id!r}"):
                raise error


def _link(stage: Stage, dataset: Dataset, base: Path) -> Link:
    """One stage as a link, without its defenses."""
    names = (
        "name", "model", "transfer", "frozen", "last_k", "bn_mode", "lora_rank", "lora_alpha", "head", "options", "fit",
        "depends", "task",
    )  # fmt: skip
    weights = stage.weights
    if weights and is_file(base / weights):
        weights = str(base / weights)
    shape = tuple(int(side) for side in dataset.inputs.shape[1:])
    classes = dataset.vocabulary or stage.classes or len(dataset.classes)
    settings = {name: getattr(stage, name) for name in names}
    if stage.model == "causal-lm" and isinstance(stage.options.get("folder"), str):
        settings["options"] = {**stage.options, "folder": str(base / Path(stage.options["folder"]).expanduser())}
    return Link(shape=shape, classes=classes, weights=weights, **settings)


def _trained_on(audit: Audit, data: Sequence[Dataset | None], records: int) -> list[int]:
    """Number of records that one model of each stage trains on; 0 for a given stage."""
    sizes = [0 if own is None else len(own) for own in data]
    later = [max(1, round(stage.sample * size)) for stage, size in zip(audit.stages, sizes, strict=True)]
    return [*sizes[: audit.at_risk], records, *later[audit.at_risk + 1 :]]
