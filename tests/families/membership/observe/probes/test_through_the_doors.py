"""Probes through the doors: only attacks that ask cause them, the store holds them, refusals say what is lacking."""

import numpy as np
import pytest
import torch
from audits import BASE, table
from flat import flat
from sklearn.linear_model import LogisticRegression
from supplied_models import SERIAL, Data, fit, records
from torch import nn

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.membership.observe.probes import PROBES, Situation, boundary, lacking, probe
from dosimeter.families.membership.observe.signals import ACCESS, SIGNALS, TEXT_SIGNALS, readable
from dosimeter.families.membership.observe.supplied_probes import probing
from dosimeter.families.membership.section import adversary
from dosimeter.foundation.errors import TrainingError
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.models.supplied.adapt import adapt
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from families.membership.observe.probes.subjects import clouds, subject_of
from families.membership.observe.probes.test_gradient_norm import one_by_one

ASKED = [{"name": "loss"}, {"name": "gradient_norm"}, {"name": "boundary", "queries": 250}, {"name": "trajectory"}]


def prepared(tmp_path, attacks, **threat):
    """A small audit of perceptrons, ready to train."""
    raw = table(access="weights", shadows=4, targets=2, population=60, **threat)
    raw["stage"][0] |= {"rows": "0:140", "model": "mlp", "options": {"width": 8}}
    return prepare(parse(raw | {"attack": attacks}, base=BASE), store=Store(tmp_path))


def test_signals_and_probes_have_names_of_their_own_and_one_table_of_access():
    assert not SIGNALS.keys() & PROBES.keys()
    assert ACCESS.keys() == SIGNALS.keys() | PROBES.keys() | TEXT_SIGNALS.keys()
    assert not TEXT_SIGNALS.keys() & (SIGNALS.keys() | PROBES.keys())
    assert all(name in one.signals for name, one in PROBES.items())
    assert "activations" not in readable(PROBES, Access.LOGITS)
    assert "activations" in readable(PROBES, Access.FEATURES)
    assert readable(PROBES, Access.LABELS) == tuple(f"boundary_distance_{queries}" for queries in boundary.QUERIES)
    assert set(readable(PROBES, Access.WEIGHTS)) == set(PROBES)
    assert "gradient_norm" not in readable(PROBES, Access.LOGITS)


def test_only_what_attacks_ask_for_is_probed(tmp_path):
    plain, asked = (prepared(tmp_path, rows).case.jobs.observations[0] for rows in (ASKED[:1], ASKED))
    assert plain.probe_signals == ()
    assert "probes" not in plain.definition
    assert set(asked.probe_signals) == {
        "gradient_norm",
        "boundary_distance_250",
        *(f"trajectory_{e}" for e in range(1, 11)),
    }
    keys = {prepared(tmp_path, ASKED[:count]).case.jobs.observations[0].key for count in (1, 2, 3, 4)}
    assert len(keys) == 4


def work(here):
    """Do all jobs of an audit, one after another."""
    save_data(here.system.at_risk, here.system.store)
    for data in (one for one in here.system.data if one is not None):
        save_data(data, here.system.store)
    for job in (*here.case.jobs.common, *here.case.jobs.features, *here.case.jobs.packs, *here.case.jobs.observations):
        job.perform()
    return here.case.jobs.answers().load()


def test_the_store_keeps_what_probes_give(tmp_path):
    """Every signal for every model and record; the gradients are those of the stored weights."""
    here = prepared(tmp_path, ASKED)
    found = work(here)
    assert {values.shape for values in found.signals.values()} == {(6, 1, 140)}
    job = here.case.jobs.observations[3]
    (model,) = job.parts()
    rows = torch.from_numpy(job.rows)
    inputs, labels = (
        torch.from_numpy(here.system.at_risk.inputs)[rows],
        torch.from_numpy(here.system.at_risk.labels)[rows],
    )
    np.testing.assert_allclose(found.signals["gradient_norm"][3, 0], one_by_one(model, inputs, labels), atol=1e-4)
    distance = found.signals["boundary_distance_250"][:, 0]
    assert ((distance == 0) == ~found.correct).all()


def test_heads_are_probed_on_frozen_features(tmp_path):
    """In one pack; the boundary through the frozen part, gradients and the Hessian on its features."""
    given = {"name": "pretrain", "data": "digits", "rows": "200:400", "model": "mlp", "options": {"width": 12}}
    own = {"name": "tune", "data": "digits", "rows": "0:140", "transfer": "head", "standardise": True, "epochs": 5}
    raw = {
        "name": "heads",
        "stage": [given, own],
        "threat": {"access": "weights", "shadows": 4, "targets": 2, "population": 60},
        "attack": [*ASKED, {"name": "iha"}],
    }
    here = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    found = work(here)
    assert {values.shape for values in found.signals.values()} == {(6, 1, 140)}
    assert ((found.signals["boundary_distance_250"][:, 0] == 0) == ~found.correct).all()
    job = here.case.jobs.observations[0]
    data = here.system.store.load(job.pack.data)
    subject = job._subject(data, job.inputs_of("identity"), job.parts())
    for model in subject.models:
        whole = model.answer(subject.records)
        np.testing.assert_allclose(whole, model.trained(subject.inputs).detach(), atol=1e-4)
    with torch.no_grad():
        exact = torch.stack([one.trained(subject.inputs) for one in subject.models])
    np.testing.assert_array_equal(exact.argmax(2) == subject.labels, found.correct)
    assert "iha informed" in [row.id for row in here.audit.attacks]


class Shifting(nn.Module):
    """A supplied network that changes its records in place."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 3)

    def forward(self, x):
        return self.body(x.add_(1))


def test_a_brought_network_may_change_its_records_in_place_and_keeps_its_mode():
    x, labels = clouds(0)
    before, model = x.clone(), Shifting().train()
    adapted = adapt(model, classes=3, example=x.clone())
    found = probing(adapted, x, ["gradient_norm"], Access.WEIGHTS, "cpu")
    assert found.names == ("gradient_norm",)
    values = found.of(adapted, x, labels, 1)["gradient_norm"][0]
    assert torch.equal(x, before)
    assert model.training
    np.testing.assert_allclose(values, one_by_one(model.body, before + 1, labels), atol=1e-5)


BASIC = {
    "supplied": False,
    "network": True,
    "heads": True,
    "recipe": True,
    "continuous": True,
    "population": 50,
    "single": True,
}


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        ({"network": False}, "gradient_norm", "needs gradients, so a PyTorch module"),
        ({"cut": False}, "activations", "a PyTorch module that ends in a torch.nn.Linear"),
        ({"heads": False}, "iha", "or use transfer = 'head' with optimizer = 'sgd'"),
        ({"heads": False, "supplied": True}, "iha", "got other models: leave the attack out"),
        ({"single": False}, "iha", "use threat.unit = 'record' and no [spike]"),
        ({"continuous": False}, "boundary_distance_1000", "needs images or rows of real numbers"),
        ({"population": 49}, "trajectory_3", "needs a population of 50 to distil on, got 49: raise threat.population"),
        ({"recipe": False}, "trajectory_3", "leave `fit` or the attack out"),
        ({"recipe": False, "supplied": True}, "trajectory_3", "which a `fit` cannot train: leave it out"),
    ],
)
def test_what_a_situation_lacks(change, name, reason):
    assert lacking(Situation(**BASIC), PROBES) == {}
    found = lacking(Situation(**BASIC | change), PROBES)
    assert reason in found[name]
    both = {PROBES["activations"].lacks} if change.get("network") is False else set()
    assert {PROBES[one].lacks for one in found} == {PROBES[name].lacks} | both


def test_a_plan_refuses_what_models_cannot_give_and_counts_what_probes_cost(tmp_path, even_clock):
    rows = [*ASKED, {"name": "iha"}]
    here = prepared(tmp_path, rows)
    found = verbs.plan(here.audit, store=tmp_path)
    assert [bool(attack.refused) for attack in found.attacks] == [False] * 4 + [True, False, False]  # with two controls
    assert "needs linear heads on frozen features" in found.attacks[4].refused
    assert found.attacks[4].needs == "weights, all other training records"
    assert "iha" not in here.case.jobs.observations[0].signals
    dear = verbs.plan(prepared(tmp_path, [{"name": "boundary", "queries": 4000}]).audit, store=tmp_path)
    assert dear.seconds > verbs.plan(prepared(tmp_path, ASKED[:1]).audit, store=tmp_path).seconds


def test_weights_must_be_granted(tmp_path):
    raw = table(access="logits", shadows=4, targets=2) | {"attack": [{"name": "gradient_norm"}, {"name": "loss"}]}
    found = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    assert "needs weights, but threat.access grants logits: grant it or leave" in found.attacks[0].refused


def supplied(tmp_path, model, attacks, **more):
    """An audit of a supplied model."""
    x, y = records(240)
    parts = {"members": (x[:60], y[:60]), "nonmembers": (x[60:120], y[60:120]), "population": (x[120:], y[120:])}
    return dosimeter.audit(
        model, **parts, fit=fit, shadows=6, attacks=attacks, out=tmp_path / "run", workers=SERIAL, **more
    )


def test_a_brought_network_gives_gradients_and_distances(tmp_path):
    x, y = records(240)
    model = fit(Data(x[:60], y[:60]), seed=1)
    attacks = [
        dosimeter.families.membership.attacks.GradientNorm(),
        dosimeter.families.membership.attacks.Boundary(queries=250),
    ]
    rows = [
        *attacks,
        dosimeter.families.membership.attacks.Loss(),
        dosimeter.families.membership.attacks.IHA(),
        dosimeter.families.membership.attacks.Trajectory(),
    ]
    shown = supplied(tmp_path, model, rows, access="weights")
    reasons = {row["name"]: row["reason"] for row in flat(shown.content)["attacks"]}
    assert reasons["GradientNorm"] == reasons["Boundary"] == reasons["Loss"] == ""
    assert "needs linear heads" in reasons["IHA"]
    assert "which a `fit` cannot train" in reasons["Trajectory"]
    with np.load(tmp_path / "run" / "threats/membership/games/outputs.npz") as kept:
        norms, distances = kept["gradient_norm"][0, 0, :120], kept["boundary_distance_250"][0, 0, :120]
    exact = one_by_one(model, torch.from_numpy(x[:120]), torch.from_numpy(y[:120]))
    seen = exact > -25  # beyond it 1 - p has no digits left, even in float64
    assert seen.sum() > 100
    np.testing.assert_allclose(norms[seen], exact[seen], atol=1e-3)
    wrong = model(torch.from_numpy(x[:120])).argmax(1).numpy() != y[:120]
    np.testing.assert_array_equal(distances == 0, wrong)


def test_a_brought_classifier_gives_distances_and_no_gradients():
    x, y = records(120)
    model = LogisticRegression().fit(x, y)
    adapted, inputs = adapt(model, classes=5, example=x), torch.from_numpy(x)
    asked = probing(adapted, inputs, ["boundary_distance_250", "gradient_norm", "correctness"], Access.WEIGHTS, "cpu")
    assert asked.names == ("boundary_distance_250",)
    assert asked.withheld.keys() == {"gradient_norm"}
    found = asked.of(adapted, inputs, torch.from_numpy(y), 2)["boundary_distance_250"]
    assert found.shape == (2, 120)
    np.testing.assert_array_equal(found[0] == 0, model.predict(x) != y)
    pixels = torch.zeros(4, 1, 4, 5, dtype=torch.uint8)
    assert "boundary_distance_250" in probing(adapted, pixels, ["boundary_distance_250"], Access.LABELS, "cpu").withheld


def test_a_shadow_of_another_kind_is_told():
    x, y = records(60)
    model = fit(Data(x, y), seed=1)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    target, shadow = (adapt(one, classes=5, example=x) for one in (model, lambda records: model(records)))
    asked = probing(target, inputs, ["gradient_norm"], Access.WEIGHTS, "cpu")
    assert asked.of(target, inputs, labels, 1)["gradient_norm"].shape == (1, 60)
    with pytest.raises(TrainingError, match="every shadow must be of the target's kind, got one that needs gradients"):
        asked.of(shadow, inputs, labels, 1)


def test_values_that_are_not_finite_are_told():
    inputs, labels = clouds(0)
    broken = nn.Linear(6, 3)
    broken.weight.data[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="signal 'gradient_norm': must be finite, got 40 that are not"):
        probe(subject_of([broken], inputs, labels), ["gradient_norm"])


def test_the_report_says_what_these_adversaries_have_besides():
    attacks = [
        {"name": "Boundary", "mode": None, "status": "ok", "settings": {"queries": 4000}},
        {"name": "IHA", "mode": "informed", "status": "ok", "settings": {}},
    ]
    known = {"access": "weights", "shadows": 4, "targets": 1, "population": 0, "views": ["identity"]}
    data = {"name": "d", "records": 9, "candidates": 8, "classes": 2, "persons": None, "members_per_target": 4}
    result = {
        "door": "recipe",
        "noun": "record",
        "at_risk": "s",
        "adversary": known,
        "data": data,
        "attacks": attacks,
        "chain": [],
    }
    told = dict(adversary.facts(result))
    assert told["Asks the model"].endswith("The boundary attack asks for up to 4,000 moved copies besides.")
    assert "marked informed, and no other, also holds all other training records" in told["Holds"]
    told = dict(adversary.facts(result | {"attacks": [one | {"status": "refused"} for one in attacks]}))
    assert "moved" not in told["Asks the model"]
    assert "informed" not in told["Holds"]
