"""Priors of an audit: the key of the audit file, its job, what is refused, and whole audits with generators."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from audits import BASE, faces
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.inversion.play.priors import PriorJob, PriorKind
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

HERE = "families.inversion.test_priors"
TRAINED = {"prior": "vae", "prior_steps": 12, "latent": 16}


class Flat(nn.Module):
    """Grey pictures, brighter or darker."""

    def forward(self, latent):
        return torch.sigmoid(latent[:, :1, None, None] + torch.zeros(1, 1, 28, 23))


def flat(shape):
    return Flat(), 3


def negative(shape):
    return nn.Sequential(nn.Linear(3, 28 * 23), nn.Tanh(), nn.Unflatten(1, shape)), 3


def case_of(tmp_path, **threat):
    return prepare(parse(faces(**threat), base=BASE), store=Store(tmp_path)).cases["inversion"]


def test_the_key_of_a_trained_prior_holds_its_settings_its_data_and_the_seed_and_nothing_of_the_attacks(tmp_path):
    keys = {case_of(tmp_path, **TRAINED).prior.key}
    raw = faces(**TRAINED)
    raw["attack"] = [{"name": "ppa"}]
    assert prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases["inversion"].prior.key in keys
    raw["seed"] = 1
    other = faces(**TRAINED)
    other["data"]["others"]["where"] = {"label": other["data"]["others"]["where"]["label"][1:]}
    for one in (raw, other):
        keys.add(prepare(parse(one, base=BASE), store=Store(tmp_path)).cases["inversion"].prior.key)
    for change in (
        {"prior_steps": 13},
        {"latent": 17},
        {"prior": "wgan"},
        {"prior": "principal"},
        {"prior": f"{HERE}:flat"},
    ):
        settings = {**TRAINED, **change}
        if settings["prior"] not in ("vae", "wgan"):
            del settings["prior_steps"]
        keys.add(case_of(tmp_path, **settings).prior.key)
    assert len(keys) == 8


@pytest.mark.parametrize("name", ["vae", "wgan"])
def test_a_job_stores_a_generator_that_loads_as_it_was_trained(name, tmp_path):
    case = case_of(tmp_path, **{**TRAINED, "prior": name, "prior_steps": 1})
    public = torch.from_numpy(case.public.inputs)
    save_data(case.public, case.system.store)
    case.prior.perform()
    first, again = case.prior.load(), case.prior.load()
    latent = torch.randn(3, 16)
    made = first.decode(latent)
    assert made.shape == (3, 1, 28, 23)
    assert torch.equal(made, again.decode(latent))
    assert (first.low, first.high) == pytest.approx((float(public.min()) / 255, float(public.max()) / 255), abs=1e-6)
    assert torch.allclose(first.mean, (public.float() / 255).mean(0).flatten(), atol=1e-4)
    assert (first.critic is not None) == (name == "wgan")
    assert not first.network.training


WRONG = [
    (
        {"prior": "vea"},
        r"threat.prior: must be principal, vae, wgan or package.module:function, got 'vea': did you mean",
    ),
    (
        {"prior_steps": 9},
        r"threat.prior_steps: is for the priors that are trained here, vae and wgan, got prior = 'prin",
    ),
    ({"prior": "vae", "prior_steps": 0}, r"threat.prior_steps"),
    ({"prior": f"{HERE}:negative"}, r"threat.prior: .*:negative: records must lie from 0 to 1"),
    ({"prior": "no_such_module:make"}, r"threat.prior: no_such_module:make: the module must be importable"),
]


@pytest.mark.parametrize(("threat", "message"), WRONG)
def test_a_wrong_prior_is_told_in_one_line_before_anything_is_trained(threat, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as caught:
        case_of(tmp_path, **threat)
    assert all("\n" not in problem for problem in caught.value.problems)
    assert not [one for one in tmp_path.rglob("*.safetensors")]


def test_pictures_that_a_generator_is_not_made_for_are_refused(tmp_path):
    raw = faces(**TRAINED)
    for part in raw["data"].values():
        part["data_options"] = {"size": [15, 20]}
    with pytest.raises(ConfigError, match=r"threat.prior: 'vae' makes pictures of 1 or 3 channels and 16 to 64 pixels"):
        prepare(parse(raw, base=BASE), store=Store(tmp_path))


def test_attacks_on_pictures_are_refused_by_name_where_there_are_none(tmp_path):
    from dataclasses import replace

    raw = faces()
    raw["attack"] = [{"name": "ppa"}, {"name": "gmi", "copies": 2, "copied": "views"}, {"name": "miface"}]
    case = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases["inversion"]
    assert not case.refusals()
    inputs = case.public.inputs.reshape(len(case.public), -1)
    flattened = replace(case, public=replace(case.public, inputs=inputs))
    assert flattened.refusals() == dict.fromkeys(
        ("ppa", "gmi logit"), "needs pictures, but records have the shape (644,): leave the attack out"
    )


def test_a_plan_prices_the_training_of_a_generator(tmp_path):
    plans = [
        verbs.plan(parse(faces(**TRAINED | {"prior_steps": steps}), base=BASE), store=tmp_path, workers=1)
        for steps in (1, 100_000)
    ]
    assert plans[1].seconds > plans[0].seconds
    assert "prior: a generator is trained on the public records, 100,000 steps of 'vae'" in plans[1].notes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Runs with an autoencoder that is hardly trained, and with a generator of the user's, by prior."""
    folder, found = tmp_path_factory.mktemp("priors"), {}
    for name, threat in (("vae", TRAINED), ("given", {"prior": f"{HERE}:flat"})):
        raw = faces(**threat)
        raw["attack"] = [
            {"name": "gmi", "restarts": 1, "steps": 30},
            {"name": "ppa", "samples": 40, "restarts": 1, "steps": 10, "views": 3},
            {"name": "prior_best", "samples": 40},
            {"name": "mean_public"},
        ]
        verbs.run(parse(raw, base=BASE), folder / name, workers=1, store=folder / "store")
        found[name] = (
            json.loads((folder / name / "result.json").read_text()),
            (folder / name / "report.html").read_text("utf-8").replace("\xa0", " "),
        )
    return found


def test_the_report_says_which_prior_and_what_it_leaves_open(finished):
    result, page = finished["vae"]
    (threat,) = result["threats"]
    assert {key: threat["adversary"][key] for key in ("prior", "latent", "steps")} == {
        "prior": "vae",
        "latent": 16,
        "steps": 12,
    }
    assert "On them they train a generator (vae, 12 steps) with latents of 16 numbers." in page
    assert any("such as larger generators" in one for one in threat["not_tested"])
    given, other = finished["given"]
    assert given["threats"][0]["adversary"]["latent"] == 3
    assert f"They have a generator ({HERE}:flat) with latents of 3 numbers." in other


def test_a_generator_that_knows_no_faces_finds_nobody_and_the_null_audits_pass(finished):
    for result, _ in finished.values():
        (threat,) = result["threats"]
        assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    (threat,) = finished["given"][0]["threats"]  # flat pictures: how bright somebody's photos are is all that they tell
    shares = [
        one["value"] for one in threat["estimates"] if one["metric"] == "recognised" and one["conditions"]["top"] == 1
    ]
    assert max(shares) <= 0.2


def test_principal_components_are_stored_as_they_were(tmp_path):
    """The stored prior is the one that is fitted, and its trained siblings do not share its key."""
    case = case_of(tmp_path)
    save_data(case.public, case.system.store)
    case.prior.perform()
    found = case.prior.load()
    flat_records = torch.from_numpy(case.public.inputs).float().flatten(1).numpy() / 255
    assert np.allclose(found.mean, flat_records.mean(0), atol=1e-5)
    assert found.latent == 64
    job = PriorJob(case.system.store, case.prior.data, 200, (1, 28, 23), PriorKind("vae", 64, 3, 0))
    assert job.key != case.prior.key
