"""Small audits that ask for the records of batches."""

from __future__ import annotations

from typing import Any

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.jobs.job import ensure
from dosimeter.jobs.runners import SerialRunner
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, table


def records_table(method: str = "fedsgd", **threat: Any) -> dict[str, Any]:
    """An audit of a small joint training that asks for records, as an audit file has it."""
    raw = table(method)
    raw["threat"] = {
        "family": "exchange", "question": "records", "victim": "source", "adversary": "receiver", "auxiliary": "own",
        "steps": 20, "batches": 8, **threat,
    }  # fmt: skip
    raw["stage"][-1]["batch_size"] = 4
    channel = "update" if method == "fedavg" else "gradient"
    raw["attack"] = [
        {"name": "dense_inversion", "channel": channel}, {"name": "mean_record"}, {"name": "any_record"},
    ]  # fmt: skip
    return raw


def done(raw: dict[str, Any], folder: Any, *, until: str = "judging") -> Any:
    """The case of an audit, with its jobs done up to a phase."""
    store = Store(folder)
    (case,) = prepare(parse(raw, base=BASE), store=store).cases.values()
    for one in case.datasets():
        save_data(one, store)
    for name, jobs in case.phases():
        ensure(list(jobs), SerialRunner(), lambda count, total: None)
        if name == until:
            break
    return case
