"""Halves of an audited model as files: what they hold, that they are the model, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from audits import BASE
from families.split.games import audit, people
from safetensors.torch import load_file

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.models.weights import load_state
from dosimeter.pipeline import verbs
from dosimeter.training.deployment.portable import rebuilt

SCRAMBLE = {"name": "families.split.test_case:Scramble", "spread": 0.5}


@dataclass(frozen=True)
class Measured:
    """Takes a scale from the model, and cannot be restored."""

    paper: ClassVar[str] = "nobody"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple] = ({}, {}, {})

    def fitted(self, place):
        scale = float(place.features.std())
        return type("Own", (), {"send": lambda self, features, rng: features / scale})()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A run with two cuts, and variants that send noise, learned noise, and features in other units."""
    folder = tmp_path_factory.mktemp("partition") / "run"
    raw = audit([{"name": "ridge"}], attributes=[])
    learned = {"name": "learned_noise", "id": "learned", "tensors": 3, "steps": 20, "sample": "tensor"}
    defenses = [{**SCRAMBLE, "id": "noise"}, learned, {"name": "pipeline.recipe.test_partition:Measured", "id": "own"}]
    verbs.run(parse({**raw, "defense": defenses}, base=BASE), folder, workers=1)
    return dosimeter.load(folder)


def whole(result):
    """The audited model."""
    (threat,) = json.loads((result.folder / "run.json").read_text())["threats"]
    state = load_file(result.folder / "threats" / "split" / threat["partition"]["weights"])
    return load_state(rebuilt(threat["partition"]["model"]), state, "test")


@pytest.mark.parametrize("cut", ["2", "4"])
def test_both_halves_together_are_the_model(result, cut, tmp_path):
    place = result.save_partition(tmp_path / "halves", cut=cut, base=BASE)
    assert sorted(one.name for one in place.iterdir()) == ["device.safetensors", "partition.json", "server.safetensors"]
    device, server = dosimeter.load_device(place, base=BASE), dosimeter.load_server(place, base=BASE)
    records = torch.from_numpy(people(0).inputs[:50])
    with torch.no_grad():
        wanted = whole(result)(records)
    (sent,) = device.send(records)
    assert tuple(sent.shape[1:]) == {"2": (24,), "4": (8,)}[cut]
    torch.testing.assert_close(server.answer(sent), wanted, rtol=1e-6, atol=1e-6)
    manifest = json.loads((place / "partition.json").read_text())
    assert manifest["cut"] == cut
    assert manifest["sent"] == [{"name": cut, "shape": list(sent.shape[1:]), "dtype": "float32"}]


def test_no_half_holds_a_weight_of_the_other(result, tmp_path):
    place = result.save_partition(tmp_path / "halves", cut="2", base=BASE)
    device, server = (set(load_file(place / f"{one}.safetensors")) for one in ("device", "server"))
    assert device == {"1.weight", "1.bias"}
    assert server == {"3.weight", "3.bias", "5.weight", "5.bias"}
    (place / "server.safetensors").unlink()
    dosimeter.load_device(place, base=BASE)
    with pytest.raises(AuditError, match="server.safetensors: is missing"):
        dosimeter.load_server(place, base=BASE)


def test_the_device_sends_behind_the_defenses_of_the_cut(result, tmp_path):
    variant = dosimeter.load(result.folder / "variants" / "noise")
    place = variant.save_partition(tmp_path / "halves", cut="4", base=BASE)
    assert json.loads((place / "partition.json").read_text())["releases"] == [SCRAMBLE]
    records = torch.from_numpy(people(0).inputs[:50])
    first, again, other = (dosimeter.load_device(place, base=BASE, seed=one).send(records)[0] for one in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.std()) == pytest.approx(0.5, rel=0.2)
    fresh = [dosimeter.load_device(place, base=BASE).send(records)[0] for _ in range(2)]
    assert not torch.equal(*fresh)


def test_what_cannot_be_saved_or_loaded_is_told_in_one_line(result, tmp_path):
    cases = [
        ({}, "cut: must be one of those that were audited, 2, 4, got none"),
        ({"cut": "3"}, "got '3'"),
        ({"cut": "2", "threat": "other"}, "threat: must have a model in two halves, got 'other'"),
    ]
    for given, told in cases:
        with pytest.raises(AuditError, match=told):
            result.save_partition(tmp_path / "new", base=BASE, **given)
    place = result.save_partition(tmp_path / "halves", cut="2", base=BASE)
    with pytest.raises(AuditError, match="new or empty folder"):
        result.save_partition(place, cut="2", base=BASE)
    with pytest.raises(AuditError, match="holds no partition"):
        dosimeter.load_device(tmp_path)
    other = shutil.copytree(place, tmp_path / "other")
    shutil.copy(other / "server.safetensors", other / "device.safetensors")
    with pytest.raises(AuditError, match="got another: copy both again"):
        dosimeter.load_device(other, base=BASE)
    manifest = json.loads((other / "partition.json").read_text())
    (other / "partition.json").write_text(json.dumps({**manifest, "format": 9}))
    with pytest.raises(AuditError, match="must be of format 1, got 9"):
        dosimeter.load_server(other, base=BASE)


def test_several_tensors_cross_behind_a_defense_in_their_shapes():
    from dosimeter.pipeline.recipe.partition import Device

    class Two(torch.nn.Module):
        def forward(self, x):
            return x, x.flatten(1)[:, :3]

    class Double:
        def send(self, features, rng):
            return 2 * features

    records = torch.from_numpy(people(0).inputs[:5])
    first, second = Device(Two(), (Double(),), np.random.default_rng(0)).send(records)
    assert torch.equal(first, 2 * records)
    assert torch.equal(second, 2 * records.flatten(1)[:, :3])


def test_what_a_defense_took_from_the_model_is_saved_with_the_halves(result, tmp_path):
    folder = result.folder / "variants" / "learned"
    place = dosimeter.load(folder).save_partition(tmp_path / "halves", cut="4", base=BASE)
    records = torch.from_numpy(people(0).inputs[:60])
    device = dosimeter.load_device(place, base=BASE, seed=1)
    features, (sent,) = device.half(records)[0], device.send(records)
    noise = load_file(place / "releases.safetensors")["0-noise"]
    assert torch.equal(noise, load_file(folder / "threats" / "split" / "releases.safetensors")["1-0-noise"])
    assert noise.shape == (3, 8)
    apart = ((sent - features)[:, None] - noise).abs().amax(2)
    assert float(apart.amin(1).max()) < 1e-4  # one of the three patterns that the audit had
    assert dosimeter.load_server(place, base=BASE).answer(sent).shape == (60, 4)
    (place / "releases.safetensors").write_bytes(b"")
    with pytest.raises(AuditError, match="releases.safetensors: must be the file that was saved"):
        dosimeter.load_device(place, base=BASE)
    (place / "releases.safetensors").unlink()
    with pytest.raises(AuditError, match="releases.safetensors: is missing"):
        dosimeter.load_device(place, base=BASE)


def test_a_defense_of_which_not_all_can_be_saved_is_refused(result, tmp_path):
    found = dosimeter.load(result.folder / "variants" / "own")
    with pytest.raises(AuditError, match="got 'own', which takes scales from it that are not saved"):
        found.save_partition(tmp_path / "halves", cut="2", base=BASE)
    assert not (tmp_path / "halves").exists()
