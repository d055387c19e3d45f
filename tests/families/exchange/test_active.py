"""An adversary that departs from the protocol: shared layers tell the property apart, and nothing where it is luck."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import auc
from sklearn.linear_model import LogisticRegression

from dosimeter.config.audit import parse
from dosimeter.families.exchange.attacks.batch_property import BatchProperty
from dosimeter.families.exchange.attacks.simulating import observed_of
from dosimeter.families.exchange.attacks.standing import Stand
from dosimeter.families.exchange.inverting.observed import holding
from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.families.exchange.sentences.first_page import not_tested, sentences
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, case_of, records, table
from families.exchange.test_attacks import found_auc, play_of


def deep(shape, classes):
    """Narrow layers, through which the task alone would pass."""
    return torch.nn.Sequential(
        torch.nn.Linear(shape[0], 16), torch.nn.ReLU(), torch.nn.Linear(16, 4), torch.nn.ReLU(),
        torch.nn.Linear(4, classes),
    )  # fmt: skip


def audit(method="coral", **threat):
    """An audit whose shared layers are narrow."""
    raw = table(method, **threat)
    raw["stage"][0]["model"] = "families.exchange.test_active:deep"
    return raw


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A case in which the adversary follows the protocol, and one in which it does not."""
    return {
        active: case_of(audit(active=active, mixtures=[[0.7, 0.3]]), tmp_path_factory.mktemp("case"))
        for active in (False, True)
    }


def told_apart(case):
    """AUC of the property of records that nobody trained on, by a linear classifier of what the trunk makes of them."""
    (job,) = case.plain
    trunk = SharedModel(job.links, job.store, None).trunk()
    whole = records(0)
    with torch.no_grad():
        rows = holding(trunk, job.trunk_of("source")).eval()(torch.from_numpy(whole.inputs)).numpy()
    has = whole.attributes["size"] == "yes"
    model = LogisticRegression(max_iter=1000).fit(rows[332:600], has[332:600])
    return auc(model.decision_function(rows[600:]), has[600:])


def test_the_shared_layers_tell_the_property_apart(cases):
    plain, steered = (told_apart(cases[one]) for one in (False, True))
    assert steered > plain + 0.1, (plain, steered)


def test_a_batch_is_told_better(cases):
    found = []
    for one in (False, True):
        case = cases[one]
        attack = BatchProperty("representations", simulated=2, heads=1)
        found.append(found_auc(case, attack, play_of(case, "representations").game()))
    assert found[1] > found[0] + 0.05, found
    assert found[1] > 0.85


def test_where_the_property_is_luck_nothing_is_told(tmp_path):
    case = case_of(audit(active=True, property="luck", mixtures=[[1.0, 0.0]], steps=120), tmp_path)
    attack = BatchProperty("representations", simulated=1, heads=1)
    found = found_auc(case, attack, play_of(case, "representations").game())
    assert abs(found - 0.5) < 0.16  # 120 coins: three standard errors


def test_its_own_part_of_a_secure_sum_is_what_it_gave(tmp_path):
    raw = table(adversary="third", active=True, steps=20)
    raw["data"]["more"] = {**raw["data"]["own"], "rows": "500:600"}
    raw["data"]["own"]["rows"] = "332:500"
    raw["stage"][0] |= {
        "parties": {"source": "source", "receiver": "receiver", "third": "more"}, "defenses": [{"name": "secure_sum"}],
        "momentum": 0.0,
    }  # fmt: skip
    case = case_of(raw, tmp_path)
    game = play_of(case, "gradient").game()
    assert game.own.active
    stand = Stand(game, [game.model.head(0)], np.random.default_rng(0))
    others, own = observed_of(game, "gradient", stand), stand.own_parts()
    total = case.runs[0][0].transcript().of("sum")
    assert len(others) == 20
    for step, one in others.items():
        for name, array in one.items():
            torch.testing.assert_close(array + own[step][name], total[step][name], rtol=1e-3, atol=1e-4)


WRONG = [
    ({"adversary": "coordinator"}, "threat.active: must be a party, which adds a loss to its own, got adversary 'coor"),
    ({"question": "records", "property": None, "mixtures": None}, "threat.active: is read for question = 'property'"),
]


@pytest.mark.parametrize(("changes", "line"), WRONG, ids=["coordinator", "records"])
def test_a_wrong_threat_is_one_line(changes, line, tmp_path):
    raw = table()
    raw["threat"] = {k: v for k, v in {**raw["threat"], "active": True, **changes}.items() if v is not None}
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert [one for one in caught.value.problems if one.startswith(line)], caught.value.problems


def test_plan_and_report_say_so(cases):
    case = cases[True]
    note = "active: 'receiver' departs from the protocol, by a loss about size"
    assert any(one.startswith(note) for one in case.notes())
    assert not any(one.startswith("active") for one in cases[False].notes())
    threat = {
        "parties": ["source", "receiver"], "victim": "source", "adversary": "receiver", "property": "size",
        "value": "yes", "targets": 1, "active": True, "method": "fedavg",
    }  # fmt: skip
    told = {
        **threat, "noun": "record", "failed": [], "needed": 0.7, "above_chance": True,
        "headline": {"mixture": "0.7/0.3", "value": 0.9, "low": 0.8, "high": 0.95, "labels": 0.5},
        "gain": {"value": 0.02, "low": 0.01, "high": 0.03}, "receiver": "receiver",
    }  # fmt: skip
    first, *rest = sentences("shown", told)
    assert first.startswith("The party “receiver”, which departs from the protocol, can tell how many records")
    assert "while it adds a loss about size to its own" in first
    assert any("than the one that its own records give" in one for one in rest)  # of `fedavg` too
    assert "otherwise than by a loss" in not_tested({"threat": threat})[0]
    assert "`active = true`" in not_tested({"threat": {**threat, "active": False}})[0]
