"""A network of the user's in two halves: audited as its traffic would be, and refused where it is not one thing."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from audits import BASE
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch import nn

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.defenses import Quantise
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.keys import package_code
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.pipeline import verbs
from dosimeter.pipeline.doors import plan_of, prepare_audit
from dosimeter.pipeline.supplied.prepare import prepare_supplied, read_supplied
from families.split.games import blind
from families.split.supplied_nets import (
    Around,
    Beside,
    Both,
    Branching,
    Counting,
    Drawing,
    Scaled,
    fitted,
    parts,
    plain,
    seeded,
)

ATTACKS = [
    {"name": "ridge"},
    {"name": "attribute_pool", "classifiers": ["logistic"]},
    {"name": "output_only", "mode": "attribute", "classifiers": ["logistic"]},
    {"name": "mean_input"},
]
THREAT = {"family": "split", "cuts": ["2", "4"], "attributes": ["side"]}
FILE = {
    "name": "supplied",
    "target": {
        "model": "families.split.supplied_nets:build",
        "data": {name: f"families.split.supplied_nets:{name}" for name in ("victims", "auxiliary")},
    },
    "threat": THREAT,
    "attack": ATTACKS,
}


def people(*, members=False, **more):
    """Victims and auxiliary records, and members if they are wanted."""
    found = parts(**more)
    own = found.pop("members")
    return {"data": found, **({"members": own} if members else {})}


def run(model, folder, *, threat=THREAT, **more):
    given = {"attacks": ATTACKS, "workers": 1, "store": folder / "store", **people(), **more}
    return dosimeter.audit(model, threats=[threat], out=folder / "run", **given)


def threat_of(result):
    (threat,) = result.content["threats"]
    return threat


def rows(result):
    """Values of one threat by what they are of."""
    return {
        (one["attack"], one["metric"], json.dumps(one["conditions"], sort_keys=True)): one["value"]
        for one in threat_of(result)["estimates"]
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on a supplied network."""
    folder = tmp_path_factory.mktemp("supplied")
    return run(plain(), folder), folder


def traffic(model, folder, form=as_float):
    """What crosses behind layers 2 and 4, written by hand."""
    folder.mkdir()
    for name, own in people()["data"].items():
        with torch.no_grad():
            x = form(torch.from_numpy(own.inputs))
            found = {"2": model[:3](x), "4": model[:5](x), "answers": model(x)}
        save_file({key: one.contiguous() for key, one in found.items()}, folder / f"{name}.safetensors")
    return folder


def test_it_gives_the_numbers_of_its_traffic(made, tmp_path):
    result, _ = made
    model = plain().eval()
    wanted = dosimeter.audit(
        transcript=traffic(model, tmp_path / "traffic"), threats=[THREAT], attacks=ATTACKS, workers=1,
        out=tmp_path / "run", **people(),
    )  # fmt: skip
    assert rows(result).keys() == rows(wanted).keys()
    assert rows(result) == pytest.approx(rows(wanted), abs=1e-4, nan_ok=True)
    assert result.status == wanted.status == "shown"


def test_what_is_known_of_the_model_is_said(made):
    result, folder = made
    threat = threat_of(result)
    assert result.content["door"] == "model"
    (stage,) = result.content["chain"]
    assert stage["data"] == "120 victims, 380 auxiliary"
    first, second = threat["details"]["cuts"]
    assert (first["parameters"], first["bytes"]["float32"]) == (37 * 24, 96)
    assert (second["parameters"], second["multiply_adds"]) == (37 * 24 + 25 * 8, 36 * 24 + 24 * 8)
    gates = {gate["id"]: gate for gate in threat["gates"]}
    assert {name: gates[name]["status"] for name in ("I1", "I7", "N1", "N2", "S3")} == {
        "I1": "pass", "I7": "pass", "N1": "pass", "N2": "pass", "S3": "warn",
    }  # fmt: skip
    assert "of a supplied model without `members`" in gates["S3"]["message"]
    assert "the records that you named" in gates["I7"]["message"]
    assert "A model that was supplied." in (folder / "run" / "report.html").read_text("utf-8")


def test_the_same_call_plays_nothing_again_and_gives_the_same_bytes(made):
    _, folder = made
    before = (folder / "run" / "result.json").read_bytes()
    told = []
    run(plain(), folder, progress=lambda phase, done, total: told.append((phase, done, total)))
    assert (folder / "run" / "result.json").read_bytes() == before
    first = {phase: (done, total) for phase, done, total in reversed(told)}
    assert all(done == total for phase, (done, total) in first.items() if phase in ("queries", "attacks", "judging"))


def test_the_users_network_stays_as_it_was(tmp_path):
    model = plain().train()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    run(model, tmp_path, attacks=[{"name": "white_box", "steps": 3}, {"name": "mean_input"}], threat={
        **THREAT, "attributes": []})  # fmt: skip
    assert model.training
    assert all(one.requires_grad for one in model.parameters())
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())


def test_nothing_is_shown_of_a_network_whose_features_tell_nothing(tmp_path):
    result = run(blind((1, 6, 6), 4), tmp_path, threat={**THREAT, "cuts": ["1"]})
    assert result.status == "not_shown"


def test_members_tell_whether_records_were_trained_on(made, tmp_path):
    own = people(members=True)
    own["data"]["victims"] = parts()["members"]
    result = run(plain(), tmp_path, **own)
    data = threat_of(result)["data"]
    assert (data["trained"], data["victims_trained_on"], data["auxiliary_trained_on"]) == (200, 200, 0)
    gates = {gate["id"]: gate for gate in threat_of(result)["gates"]}
    assert gates["S3"]["status"] == "warn"
    assert "its own training records" in gates["I7"]["message"]
    assert "and 200 of its training pictures" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_probabilities_and_bytes_are_read_as_the_user_means_them(made, tmp_path):
    result, _ = made
    inner = plain()
    soft = nn.Sequential(*inner, nn.Softmax(1))
    one = [{"name": "ridge"}, {"name": "mean_input"}]
    threat = {**THREAT, "attributes": []}
    found = run(soft, tmp_path / "probs", attacks=one, threat=threat)
    key = ("ridge", "mse", json.dumps({"cut": "2"}))
    known = {k: v for k, v in rows(result).items() if k[:2] == key[:2]}
    own = {k: v for k, v in rows(found).items() if k[:2] == key[:2]}
    assert own == pytest.approx(known, abs=1e-4)
    accuracy = [[row["value"] for row in each.content["utility"]] for each in (found, result)]
    assert accuracy[0] == pytest.approx(accuracy[1])
    levels = Scaled(inner, 1.0)
    levels.inner = nn.Sequential(nn.Flatten(), nn.Linear(36, 24), *list(inner)[2:])
    with torch.no_grad():  # a network that divides by 255 itself
        levels.inner[1].weight.copy_(inner[1].weight / 255)
        levels.inner[1].bias.copy_(inner[1].bias)
    bytes_too = run(
        levels, tmp_path / "levels", attacks=one, threat={**threat, "cuts": ["inner.2"]}, **people(bytes_too=True)
    )
    (ridge,) = [v for k, v in rows(bytes_too).items() if k[:2] == ("ridge", "mse")]
    assert ridge == pytest.approx(next(iter(known.values())), abs=2e-3)


def function():
    """A function, whose inside nobody sees."""
    model = plain()

    def asked(x):
        return model(x)

    return asked


def scripted():
    """A network that was compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(plain(), torch.zeros(2, 1, 6, 6))


@pytest.mark.parametrize(
    ("model", "changed", "told"),
    [
        (function, {}, "split cuts a PyTorch network that is here, got a function asked"),
        (lambda: LogisticRegression().fit(np.zeros((4, 36)), [0, 1, 2, 3]), {}, "model"),
        (scripted, {}, "whose operations cannot be read"),
        (lambda: Drawing(plain()), {"cuts": ["inner.2"]}, "must answer the same to the same record"),
        (lambda: fitted(Beside()), {"cuts": ["net.2"]}, "alone or beside others"),
        (lambda: Counting(plain()), {"cuts": ["inner.2"]}, "got 'calls', which changed"),
        (lambda: Both(plain()), {"cuts": ["inner.2"]}, "must return one tensor to be cut, got tuple"),
        (lambda: fitted(Around()), {"cuts": ["body.1"]}, "after 'body.1' 2 tensors cross"),
        (lambda: seeded(Branching), {"cuts": "all"}, "got 'all': name layers, up to which the model can be run"),
        (
            lambda: seeded(Branching, True),
            {"cuts": ["second"]},
            "both halves at 'second' must answer as the model does",
        ),
        (lambda: seeded(Branching), {"cuts": ["third"]}, "the model has no layer 'third'"),
        (plain, {"cuts": ["9"]}, "the model has no cut after '9'"),
        (plain, {"cuts": ["output"]}, "threats[0].cuts: must leave something on either side"),
        (plain, {"cuts": []}, "threats[0].cuts: is required and missing"),
        (plain, {"targets": 2}, "threats[0].targets: a supplied model is one model, got 2"),
        (plain, {"at_risk": "x"}, "threats[0].at_risk: names a stage, which a supplied model has not"),
        (plain, {"victims": "others"}, "threat.victims: no such part of data, got 'others'"),
        (plain, {"attributes": ["age"]}, "no such attribute, got 'age'"),
    ],
)
def test_what_is_not_one_thing_is_refused_in_one_line(model, changed, told, tmp_path):
    with pytest.raises(AuditError) as caught:
        run(model(), tmp_path, threat={**THREAT, **changed})
    assert any(told in line for line in caught.value.problems), caught.value.problems
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"data": None}, "data: is required and missing"),
        ({"fit": lambda dataset, seed: None}, "fit: no threat of this call reads it"),
        ({"nonmembers": ([[0.0]], [0])}, "nonmembers: no threat of this call reads it"),
    ],
)
def test_arguments_that_nothing_reads_are_refused(more, told, tmp_path):
    with pytest.raises(AuditError, match=told):
        run(plain(), tmp_path, **more)


def test_hooks_of_gradients_do_not_hide_a_first_half_from_who_has_its_weights(tmp_path):
    """No adversary keeps a hook that makes gradients 0, and the audit of one network is that of the other."""
    model = plain()
    model[1].register_full_backward_hook(lambda _, given, __: tuple(None if one is None else 0 * one for one in given))
    attacks = [
        {"name": "white_box", "steps": 5, "weights": [0.0]},
        {"name": "output_only", "mode": "input", "epochs": 1},
    ]
    found = [
        rows(run(one, tmp_path / name, threat={**THREAT, "cuts": ["2"], "attributes": []}, attacks=attacks))
        for name, one in (("hooked", model), ("plain", plain()))
    ]
    assert found[0] == found[1]
    assert len(model[1]._backward_hooks) == 1  # the user's own network stays as it was


class Told(nn.Linear):
    """A layer whose state holds more than tensors, as quantised ones have it."""

    def get_extra_state(self):
        return {"type": torch.qint8}

    def set_extra_state(self, state):
        pass


def test_a_network_with_other_things_in_its_state_is_audited_and_not_parted(tmp_path):
    model = plain()
    model[3].__class__ = Told
    attacks = [{"name": "ridge"}, {"name": "output_only", "mode": "input", "epochs": 1}]
    found = run(model, tmp_path, threat={**THREAT, "cuts": ["2"], "attributes": []}, attacks=attacks)
    assert found.status == "shown"
    with pytest.raises(AuditError, match="other things than tensors of plain numbers, such as quantised weights"):
        found.save_partition(tmp_path / "halves", model=model)


def test_all_of_a_branch_may_cross_where_that_is_said(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = fitted(Around())
    result = run(model, tmp_path, threat={**THREAT, "cuts": ["first + body.1"], "attributes": []}, attacks=[
        {"name": "ridge"}, {"name": "mean_input"}])  # fmt: skip
    (cut,) = threat_of(result)["details"]["cuts"]
    assert cut["bytes"]["float32"] == 4 * 16


def key_of(model, folder):
    """Key of the recording of a network."""
    prepared = prepare_supplied(replace(read_supplied(parse(FILE, base=BASE)), model=model), store=Store(folder))
    (job,) = prepared.cases["split"].recordings
    return job.key


def test_a_recording_is_kept_under_weights_code_and_plain_numbers(tmp_path):
    first = nn.Sequential(*plain()[:5], Scaled(plain()[5], 1.0))
    other = nn.Sequential(*plain()[:5], Scaled(plain()[5], 2.0))
    keys = [key_of(one, tmp_path) for one in (first, nn.Sequential(*plain()[:5], Scaled(plain()[5], 1.0)), other)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("module", ["models.cuts.named", "models.supplied.adapt", "training.deployment.supplied"])
def test_a_recording_is_kept_under_the_code_that_asks_the_network(module, tmp_path, monkeypatch):
    """A job of recording knows any host, so the host says which code of this package it runs."""
    before, read = key_of(nn.Sequential(*plain()), tmp_path), package_code._read

    def changed(source, name, is_package):
        digest, imported = read(source, name, is_package)
        return digest + ("changed" if name == f"dosimeter.{module}" else ""), imported

    monkeypatch.setattr(package_code, "_read", changed)
    package_code.package_code.cache_clear()
    try:
        assert key_of(nn.Sequential(*plain()), tmp_path) != before
    finally:
        package_code.package_code.cache_clear()


def test_an_audit_file_names_model_and_records(made, tmp_path):
    audit = parse(FILE, base=BASE)
    prepared = prepare_audit(audit, store=Store(tmp_path / "store"), device="cpu", trust_pickle=False)
    plan = verbs.plan(audit, store=tmp_path / "store")
    assert plan.stages[0].data == "120 victims, 380 auxiliary"
    assert any(note.startswith("cuts: 2 (24 numbers), 4 (8 numbers)") for note in plan.notes)
    assert any("give some as `members`" in note for note in plan.notes)
    assert prepared.door == "model"
    verbs.run(audit, tmp_path / "run", workers=1, store=made[1] / "store")
    assert rows(dosimeter.load(tmp_path / "run")) == pytest.approx(rows(made[0]), abs=1e-6, nan_ok=True)


def test_an_audit_file_without_records_or_with_useless_ones_is_refused():
    for change, told in (
        ({"data": {}}, "target.data: is required and missing"),
        ({"nonmembers": "x.npz"}, "target.nonmembers: no threat of this file reads it"),
        ({"members_rows": "0:9"}, "target.members_rows: choose from `members`"),
    ):
        with pytest.raises(AuditError) as caught:
            parse({**FILE, "target": {**FILE["target"], **change}}, base=BASE)
        assert any(told in line for line in caught.value.problems), caught.value.problems


NOISE = [{"name": "noise", "scale": 2.0, "id": "noisy"}, {"name": "quantise"}]


@pytest.fixture(scope="module")
def defended(tmp_path_factory):
    """A run on a supplied network, and behind two defenses of its cut."""
    folder = tmp_path_factory.mktemp("defended")
    return run(plain(), folder, defenses=NOISE, **people(members=True)), folder


def test_defenses_of_the_cut_are_variants_of_a_supplied_model(defended):
    result, _ = defended
    noisy, quantised = result.content["variants"]
    assert [one["status"] for one in (noisy, quantised)] == ["ok", "ok"]
    found = {
        one["variant"]: one["value"]
        for one in threat_of(result)["estimates"]
        if (one["attack"], one["metric"]) == ("ridge", "mse") and one["conditions"]["cut"] == "2"
    }
    assert found["noisy"] > 2 * found["none"]
    accuracy = {one["variant"]: one["value"] for one in result.content["utility"] if one["metric"] == "accuracy"}
    assert accuracy["noisy"] < accuracy["none"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([{"name": "l2"}], "defenses[0]: must act at the cut"),
        ({"name": "noise"}, "defenses: must be a list of tables"),
        ([{"name": "nose"}], "defenses[0]"),
        ([{"name": "noise"}, {"name": "noise"}], "defenses: ids must be distinct"),
        ([{"name": "fisher_noise"}], "takes scales from records that the model was trained on, got none"),
    ],
)
def test_other_defenses_are_refused(given, told, tmp_path):
    with pytest.raises(AuditError) as caught:
        run(plain(), tmp_path, defenses=given)
    assert any(told in line for line in caught.value.problems), caught.value.problems


def test_defenses_in_an_audit_file(tmp_path):
    target = {**FILE["target"], "members": "families.split.supplied_nets:members"}
    audit = parse({**FILE, "target": target, "defense": NOISE}, base=BASE)
    prepared = prepare_audit(audit, store=Store(tmp_path / "store"), device="cpu", trust_pickle=False)
    assert [row.id for row, _ in prepared.variants] == ["noisy", "quantise"]
    plan = plan_of(prepared, None)
    assert [one.how.partition(" (")[0] for one in plan.stages[1:]] == [
        "variant noisy: noise", "variant quantise: quantise",
    ]  # fmt: skip
    assert audit.settings()["defense"][0]["scale"] == 2.0
    with pytest.raises(AuditError, match="a supplied model is not trained here"):
        parse({**FILE, "defense": NOISE, "threat": [THREAT, {"family": "membership"}]}, base=BASE)
    with pytest.raises(AuditError, match=r"defense\[0\]: must act at the cut"):
        parse({**FILE, "defense": [{"name": "l2"}]}, base=BASE)


def test_halves_of_a_supplied_network_are_taken_away_and_answer_as_it_does(made, defended, tmp_path):
    result, _ = made
    model, fresh = plain().eval(), plain()
    for one in fresh.parameters():
        nn.init.zeros_(one)
    place = result.save_partition(tmp_path / "halves", cut="4", model=model)
    device, server = dosimeter.load_device(place, model=fresh), dosimeter.load_server(place, model=fresh)
    x = torch.from_numpy(people()["data"]["victims"].inputs)
    with torch.no_grad():
        torch.testing.assert_close(server.answer(*device.send(x)), model(x), rtol=1e-6, atol=1e-6)
    assert all(float(one.detach().abs().sum()) == 0 for one in fresh.parameters())
    quantised = dosimeter.load(defended[1] / "run" / "variants" / "quantise")
    place = quantised.save_partition(tmp_path / "other", cut="4", model=model)
    (sent,) = dosimeter.load_device(place, model=fresh).send(x)
    assert not torch.equal(sent, device.send(x)[0])
    assert len(sent.unique()) <= 2 ** Quantise().bits


def test_a_partition_needs_the_code_of_the_supplied_network(made, tmp_path):
    result, _ = made
    with pytest.raises(AuditError, match="was supplied to the audit, so its code is yours, got 'NoneType'"):
        result.save_partition(tmp_path / "halves", cut="4")
    other = nn.Sequential(*list(plain())[:4], nn.Tanh(), plain()[5])
    with pytest.raises(AuditError, match="must be of the code that was audited"):
        result.save_partition(tmp_path / "halves", cut="4", model=other)
    place = result.save_partition(tmp_path / "halves", cut="4", model=plain())
    with pytest.raises(AuditError, match="must be of the code that was audited"):
        dosimeter.load_device(place, model=other)


def test_victims_may_have_other_classes_than_the_model_where_members_tell_its_own(tmp_path):
    own = people(members=True)
    for name, one in own["data"].items():
        own["data"][name] = replace(one, classes=("e", "f", "g", "h"))
    result = run(plain(), tmp_path, attacks=[{"name": "ridge"}, {"name": "mean_input"}], threat={
        **THREAT, "attributes": []}, **own)  # fmt: skip
    assert result.content["utility"] == []
    assert result.status == "shown"


def test_a_network_whose_operations_cannot_be_read_is_cut_at_the_layers_that_are_named(tmp_path):
    model = seeded(Branching)
    attacks = [{"name": "ridge"}, {"name": "white_box", "steps": 5}, {"name": "mean_input"}]
    result = run(model, tmp_path, attacks=attacks, threat={**THREAT, "cuts": ["first", "second"], "attributes": []})
    assert result.status == "shown"
    assert [one["name"] for one in result.content["threats"][0]["details"]["cuts"]] == ["first", "second"]
    assert {one["status"] for one in threat_of(result)["attacks"]} == {"ok"}
    with pytest.raises(AuditError, match="cannot be saved in two halves"):
        result.save_partition(tmp_path / "halves", cut="first", model=model)
