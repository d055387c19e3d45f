"""A deployed network answers as the job that queries the fleet says, for every way to transfer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from audits import BASE

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.deployment.network import answers, deployed, opened

FIRST = {"name": "before", "data": "digits", "rows": "0:100", "model": "mlp", "options": {"width": 12, "depth": 2}}


def packs_of(tmp_path, **stage):
    last = {"name": "train", "data": "digits", "rows": "100:180", "epochs": 2, "lr": 0.05, **stage}
    stages = [last] if stage.get("model") else [{**FIRST, "epochs": 1}, last]
    audit = parse({"stage": stages, "threat": {"shadows": 2}, "attack": [{"name": "loss"}]}, base=BASE)
    system = prepare(audit, store=Store(tmp_path)).system
    for dataset in system.datasets:
        save_data(dataset, system.store)
    features = system.features(system.at_risk, ("identity",))
    packs = system.fleet(np.stack([np.arange(40), np.arange(40, 80)]), features)
    for job in (*system.before, *features, *packs):
        job.perform()
    return system, packs, features


WAYS = [
    {"model": "linear"},
    {"model": "convnet", "options": {"widths": [8, 8]}},
    {"transfer": "head"},
    {"transfer": "last-k", "last_k": 1},
    {"transfer": "full"},
    {"transfer": "full", "defenses": [{"name": "mid"}]},
    {"transfer": "lora", "lora_rank": 2},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(str(one) for one in way.values())[:24])
def test_it_answers_as_the_fleet_does(tmp_path, way):
    system, packs, features = packs_of(tmp_path, **way)
    records, labels = torch.from_numpy(system.at_risk.inputs), torch.from_numpy(system.at_risk.labels)
    for pack in packs:
        job = ObserveJob(
            pack=pack, rows=np.arange(len(records)), population=0, views=("identity",), features=features,
            test=None, test_features=(), signals=("logit_confidence",), access=Access.LOGITS, defenses=(), data=None,
        )  # fmt: skip
        job.perform()
        seen = system.store.load(job.key)
        for number in range(len(pack.models)):
            model = deployed(pack, number)
            logits = answers(model, records, "cpu")
            others = logits.double().scatter(1, labels[:, None], -torch.inf)
            odds = logits.double().gather(1, labels[:, None])[:, 0] - others.logsumexp(1)
            assert torch.allclose(odds, seen["logit_confidence"][number, 0].double(), atol=1e-4, rtol=1e-4)
            assert torch.equal((logits.argmax(1) == labels).to(torch.uint8), seen["correct"][number])


@pytest.mark.parametrize("way", WAYS[:-1], ids=lambda way: "-".join(str(one) for one in way.values())[:24])
def test_whoever_holds_it_has_features_and_gradients(tmp_path, way):
    system, packs, _ = packs_of(tmp_path, **way)
    one, pack = opened(packs[-1], 0), packs[-1]
    x = torch.from_numpy(system.at_risk.inputs[:3]).clone().requires_grad_(True)
    features, logits = one.answer(x)
    again = torch.nn.functional.linear(features, one.head.weight, one.head.bias)
    assert torch.allclose(again, logits, atol=1e-5)
    assert torch.allclose(logits.detach(), answers(deployed(pack, 0), x.detach(), "cpu"), atol=1e-5)
    (slope,) = torch.autograd.grad(logits[:, 0].sum(), x)
    step = torch.zeros_like(x)
    step[0].view(-1)[20] = 1e-2
    with torch.no_grad():
        finite = (one.answer(x + step)[1][0, 0] - one.answer(x - step)[1][0, 0]) / 2e-2
    assert float(slope[0].view(-1)[20]) == pytest.approx(float(finite), abs=2e-3)
    assert not [p for p in one.model.parameters() if p.requires_grad]


def test_two_models_of_a_fleet_differ(tmp_path):
    system, packs, _ = packs_of(tmp_path, transfer="head")
    records = torch.from_numpy(system.at_risk.inputs)
    first, second = (answers(deployed(packs[0], number), records, "cpu") for number in (0, 1))
    assert not torch.allclose(first, second)
    assert replace(packs[0], models=(0,)).heads
