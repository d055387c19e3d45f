"""Records of known membership: how they are drawn, who gets them, at both doors; and few-shot attacks in whole runs."""

import json

import numpy as np
import pytest
from audits import BASE, table
from flat import flat
from supplied_models import SERIAL, fit, records, target

import dosimeter
from dosimeter.cli.app import main
from dosimeter.config.audit import parse
from dosimeter.data.dataset import Dataset
from dosimeter.families.membership.design.draw import design_of, matrix_of, split_of
from dosimeter.families.membership.design.labelled import draw_judged, draw_labelled, set_apart
from dosimeter.families.membership.design.supplied import stated_design
from dosimeter.families.membership.game import Holdings, Needs
from dosimeter.families.membership.known import Known, enough, fewest_of
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

PERCEPTRON = {"model": "mlp", "options": {"width": 16}, "epochs": 40, "lr": 0.1}
NAMES = ("simple_shot", "laplacian_shot", "transductive_tuning")


def few(*names, **threat):
    """An audit of digits with attacks by name, in 4 episodes of 5 shots."""
    raw = table(**{"labelled": 60, "targets": 2, "shadows": 6, "candidates": 120, **threat})
    settings = {"shots": 5, "episodes": 4}
    tuned = {"epochs": 1}
    raw["attack"] = [
        {"name": name, **(settings if name in NAMES else {}), **(tuned if name == NAMES[2] else {})} for name in names
    ]
    return raw


def prepared(tmp_path, *names, **threat):
    return prepare(parse(few(*names, **threat), base=BASE), store=Store(tmp_path)).case


def some(n, persons=None):
    """A data set of n distinct records."""
    inputs = np.arange(n, dtype=np.float32)[:, None]
    return Dataset(inputs, np.arange(n) % 2, ("0", "1"), np.arange(n).astype(str), persons)


def test_they_are_in_the_pool_and_nobody_judges_them(tmp_path):
    case = prepared(tmp_path, "simple_shot")
    split, design = case.split, case.design
    assert len(split.known) == 60
    assert len(split.candidates) == 120
    assert not set(split.known) & set(split.candidates)
    assert not set(design.labelled.ids) & set(design.ids)
    assert np.array_equal(design.labelled.member, case.matrix[:, split.known])
    assert (case.matrix.sum(1) == len(split.pool) // 2).all()
    assert np.array_equal(design.labelled.ids, case.system.at_risk.ids[split.pool[split.known]])
    assert np.array_equal(case.jobs.observations[0].rows[120:180], split.pool[split.known])


def test_without_them_the_candidates_are_those_of_before(tmp_path):
    ours, others = (
        prepared(tmp_path, "loss", labelled=0, candidates=120).split,
        split_of(Threat(population=40, candidates=120), 0, prepared(tmp_path, "loss").system.at_risk),
    )
    assert np.array_equal(ours.candidates, others.candidates)
    assert len(ours.known) == 0


def test_the_null_audit_makes_their_bits_false_too(tmp_path):
    case = prepared(tmp_path, "simple_shot")
    design = case.design
    m, n, z = len(design.member), len(design.ids), len(design.population_ids)
    signals = {"logit_confidence": np.arange(m * (n + 60 + z), dtype=float).reshape(m, 1, -1)}
    true, false = design.game(0, signals), design.game(0, signals, case.null_matrix)
    null = matrix_of(case.threat, 0, case.system.at_risk, case.split, "null membership")
    rows, others = design.seats(0)
    assert np.array_equal(true.known.is_member, case.matrix[rows][:, case.split.known])
    assert np.array_equal(false.known.is_member, null[rows][:, case.split.known])
    assert np.array_equal(false.known.shadow_in, null[others][:, case.split.known])
    whole = signals["logit_confidence"]
    assert np.array_equal(true.known.outputs["logit_confidence"], whole[rows][:, :, n : n + 60])
    assert np.array_equal(true.population.outputs["logit_confidence"], whole[rows][:, :, n + 60 :])
    assert np.array_equal(false.known.shadow_outputs["logit_confidence"], whole[others][:, :, n : n + 60])


def test_a_shadow_that_plays_target_brings_its_own_bits(tmp_path):
    case = prepared(tmp_path, "simple_shot")
    design = case.design
    signals = {"logit_confidence": np.random.default_rng(0).normal(size=(len(design.member), 1, 120 + 60 + 40))}
    game = design.game(0, signals)
    played, _ = game.rehearse(1)
    assert np.array_equal(played.known.is_member, game.known.shadow_in[2:4])
    assert np.array_equal(played.known.shadow_in, np.delete(game.known.shadow_in, [2, 3], axis=0))
    for name in signals:
        assert np.array_equal(played.known.outputs[name], game.known.shadow_outputs[name][2:4])


def test_who_does_not_ask_gets_none_and_the_right_inputs(tmp_path):
    case = prepared(tmp_path, "simple_shot")
    game = case.design.game(0, {"logit_confidence": np.zeros((len(case.design.member), 1, 220))})
    inputs = np.arange(220.0)[:, None]
    told = Holdings(inputs=inputs).tell(game, Needs(Access.PROBS, inputs=True))
    assert told.known is None
    assert told.inputs[-1, 0] == 119
    assert told.population.inputs[:, 0].tolist() == list(range(180, 220))
    assert Holdings().tell(game, Needs(Access.PROBS, labelled=1)).known is game.known


def test_whole_persons_and_all_copies_of_a_record_are_drawn_together():
    cluster = np.repeat(np.arange(20), 3)
    known = draw_labelled(cluster, 10, seed=3)
    assert len(known) == 12
    assert (np.bincount(cluster[known], minlength=20) % 3 == 0).all()
    judged = draw_judged(60, known, 30, seed=3)
    assert len(judged) == 30
    assert not set(judged) & set(known)
    persons = np.repeat([f"p{i}" for i in range(30)], 4)
    threat = Threat(shadows=4, unit="person", labelled=10)
    data = some(120, persons)
    split = split_of(threat, 0, data)
    owners = data.persons[split.pool]
    assert not set(owners[split.known]) & set(owners[split.candidates])
    assert design_of(threat, 0, data, split).known_of_each <= len(split.known) // 2


def test_both_sides_of_a_supplied_model_are_filled():
    parts = {"members": some(40), "nonmembers": some(60).take(np.arange(20, 60)), "population": some(5)}
    with pytest.raises(AuditError, match="must leave records to be judged, got 80 labelled"):
        set_apart(parts, 80, seed=0)
    parts = {"members": some(40), "nonmembers": some(100).take(np.arange(40, 100)), "population": some(5)}
    apart = set_apart(parts, 20, seed=0)
    assert list(apart) == ["members", "nonmembers", "labelled members", "labelled non-members", "population"]
    assert [len(one) for one in apart.values()] == [30, 50, 10, 10, 5]
    design = stated_design(apart, shadows=4, rehearsals=1, seed=0)
    assert design.labelled.member[0].tolist() == [True] * 10 + [False] * 10
    assert (design.training[1:].sum(1) == 50).all()
    assert np.array_equal(design.training[1], ~design.training[2])
    assert set_apart(parts, 0, seed=0) == parts


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        ({"labelled": 300}, "threat.labelled: must leave 120 records to be judged, got 300 labelled records"),
        ({"labelled": 1000}, "threat.labelled: must leave 120 records to be judged, got 360 labelled records"),
        ({"labelled": -1}, "threat.labelled"),
        ({"labelled": 1.5}, "threat.labelled"),
    ],
)
def test_too_many_are_refused_before_training(tmp_path, threat, message):
    with pytest.raises(ConfigError, match=message):
        prepare(parse(few("simple_shot", **threat), base=BASE), store=Store(tmp_path))


def test_an_attack_says_what_is_missing_and_the_remedy_works(tmp_path):
    """With no labelled record, with too few, and with as many as the message names."""
    names = ("simple_shot",)
    case = prepared(tmp_path, *names, labelled=0)
    assert case.refusals()["simple_shot mended"] == (
        "needs 5 known members and 5 known non-members of each model, got 0: set `labelled = 40` in [[threat]]"
    )
    few_known = prepared(tmp_path, *names, labelled=8)
    lack = f"got {few_known.design.known_of_each} of one kind for one of them"
    assert lack in few_known.refusals()["simple_shot mended"]
    assert prepared(tmp_path, *names, labelled=enough(5)).refusals() == {}


def test_so_many_labelled_records_suffice_for_every_model():
    """By simulation: the draw gives each of 64 models enough members and non-members."""
    rng = np.random.default_rng(0)
    for each in (1, 5, 10, 25):
        count = enough(each)
        for _ in range(20):
            pool = np.stack([rng.permutation(1000) < 500 for _ in range(32)])
            assert fewest_of(np.concatenate([pool, ~pool])[:, :count]) >= each


def test_a_table_of_known_records_must_fit():
    bits = np.zeros((2, 3), bool)
    values = {"logit_confidence": np.zeros((3, 1, 3))}
    with pytest.raises(ValueError, match=r"known\.outputs\['logit_confidence'\] must have 2 models and 3 records"):
        Known(np.arange(3), np.zeros(3, np.int64), bits, bits[:0], values, {})


@pytest.mark.parametrize(
    ("shadows", "names", "offered"), [(4, ["loss"], True), (4, ["simple_shot"], False), (6, ["loss"], False)]
)
def test_a_plan_with_hardly_any_shadow_offers_the_cheapest_audit(tmp_path, shadows, names, offered):
    notes = prepared(tmp_path, *names, shadows=shadows, targets=1).notes()
    told = [note for note in notes if note.startswith("labelled: ")]
    assert len(told) == offered
    assert not told or f"`labelled = {enough(10)}` in [[threat]] and add attack simple_shot" in told[0]


def test_a_plan_for_a_supplied_model_offers_it_too_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    """Also where more shots are asked for than there are members."""
    monkeypatch.chdir(tmp_path)
    for name, (inputs, labels) in zip(("members", "nonmembers"), world(80), strict=True):
        np.savez(f"{name}.npz", inputs=inputs, labels=labels)
    (tmp_path / "offered_here.py").write_text("from torch import nn\nnet = nn.Linear(20, 5)\n")
    text = (
        'name = "mine"\nseed = 0\n[target]\nmodel = "offered_here:net"\nmembers = "members.npz"\n'
        'nonmembers = "nonmembers.npz"\n[threat]\n'
    )

    def said(more):
        (tmp_path / "audit.toml").write_text(text + more)
        code = main(["plan", "audit.toml"])
        read = capsys.readouterr()
        return code, " ".join((read.out + read.err).split())

    code, told = said('[[attack]]\nname = "loss"\n')
    assert (code, "labelled: with 0 shadows, the cheapest useful audit" in told) == (0, True)
    few = '[[attack]]\nname = "simple_shot"\nshots = 10\n[[attack]]\nname = "loss"\n'
    code, told = said(f"labelled = 10\n{few}")
    lack = "needs 10 known members and 10 known non-members of each model, got 2 of one kind for one of them, or for "
    assert (code, lack in told) == (0, True)
    code, told = said(f"labelled = 200\n{few}")
    assert (code, "`labelled` must leave records to be judged, got 200 labelled records" in told) == (2, True)


def statuses(found):
    return {row["id"]: row["status"] for row in found["attacks"]}


def test_a_recipe_is_audited_with_all_three(tmp_path):
    raw = few(*NAMES, "loss", "constant", access="weights", population=20)
    raw["stage"][0] |= PERCEPTRON
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    found = flat(content)
    assert set(statuses(found).values()) == {"ok"}
    assert content["threats"][0]["adversary"]["labelled"] == 60
    assert found["data"]["candidates"] == 120
    page = (tmp_path / "out" / "report.html").read_text()
    assert "know of 60\xa0further records whether the target was trained" in page
    truth = np.load(tmp_path / "out" / "threats" / "membership" / "truth" / "truth.npz")
    assert truth["correct"].shape == (2, 140)


def test_a_model_with_a_frozen_backbone_and_a_network_of_pictures_are_tuned(tmp_path):
    raw = few(NAMES[2], access="weights", population=0)
    raw["stage"] = [
        {"name": "first", "data": "digits", "rows": "400:800", "model": "mlp", "epochs": 1},
        {"name": "head", "data": "digits", "rows": "0:400", "transfer": "head", "epochs": 2},
    ]
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    assert set(statuses(flat(json.loads((tmp_path / "out" / "result.json").read_text()))).values()) == {"ok"}


def test_no_shadow_is_needed_at_a_recipe(tmp_path):
    raw = few("simple_shot", "laplacian_shot", "loss", shadows=0, targets=2, population=0)
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(statuses(flat(content)).values()) == {"ok"}
    assert content["threats"][0]["adversary"]["shadows"] == 0
    used = {name: own["labelled"] for name, own in content["threats"][0]["details"]["resources"].items()}
    assert used == {"simple_shot mended": 10, "laplacian_shot mended": 10, "loss": 0, "constant": 0, "count": 0}


def test_canaries_are_judged_with_the_same_known_records(tmp_path):
    raw = few("simple_shot", "loss", population=60, candidates=100)
    raw["threat"]["spike"] = {"count": 4, "copies": [2], "kinds": ["plain", "noise"]}
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = np.load(tmp_path / "out" / "threats" / "membership" / "evidence" / "canaries-00.npz")
    assert found["scores"].shape == (2, 8)
    assert np.isfinite(found["scores"]).all()


def world(n=300):
    x, y = records(n)
    half = n // 2
    return (x[:half], y[:half]), (x[half:], y[half:])


def asked(*attacks, **threat):
    settings = [{"name": name, "shots": 5, **more} for name, more in attacks]
    return {"attacks": [*settings, "loss"], "threats": [{"labelled": 60, **threat}]}


def test_a_supplied_model_without_fit_is_audited_with_all_three(tmp_path):
    members, others = world()
    plan = asked((NAMES[0], {}), (NAMES[1], {}), (NAMES[2], {"epochs": 1, "episodes": 4}), access="weights")
    found = dosimeter.audit(
        target(members), members=members, nonmembers=others, out=tmp_path / "a", workers=SERIAL, **plan
    )
    content = flat(found.content)
    assert set(statuses(content).values()) == {"ok"}
    assert content["data"]["candidates"] == 240
    assert content["data"]["members_per_target"] == 150


def test_a_supplied_model_with_fit_is_audited_but_not_tuned(tmp_path):
    members, others = world()
    plan = asked((NAMES[0], {"features": "base-relative"}), (NAMES[2], {}), access="weights")
    found = dosimeter.audit(
        target(members), members=members, nonmembers=others, fit=fit, shadows=6, out=tmp_path / "a", workers=SERIAL,
        **plan,
    )  # fmt: skip
    content = flat(found.content)
    ran = {"simple_shot mended": "ok", "transductive_tuning mended": "refused", "loss": "ok"}
    assert statuses(content) == {**ran, "constant": "ok", "count": "ok"}
    reason = next(row["reason"] for row in content["attacks"] if row["status"] == "refused")
    assert reason.endswith("the weights of shadows that `fit` trains are not kept: leave out fit, or the attack")


def test_a_model_that_is_no_network_is_not_tuned(tmp_path):
    members, others = world(200)
    net = target(members)

    def answer(x):
        return net(x).detach()

    with pytest.raises(AuditError, match="needs a PyTorch module that takes the records as floats"):
        dosimeter.audit(
            answer, members=members, nonmembers=others, out=tmp_path / "a", workers=SERIAL, output="logits",
            attacks=[{"name": NAMES[2], "shots": 5}], threats=[{"labelled": 60, "access": "weights"}],
        )  # fmt: skip
