"""What attacks use: in plan, result, provenance and report, and that a resumed run says the same."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import ClassVar

import numpy as np
import pytest
from audits import BASE, table

from dosimeter.cli.screen import plan_lines
from dosimeter.config.audit import parse
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.case.resources import resources_of
from dosimeter.families.membership.game import Needs
from dosimeter.families.membership.section import resources
from dosimeter.families.resources import Resources, UsesResources
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.rows import Row


def used(name, *, shadows=16, views=1, **settings):
    (found,) = resources_of([NamedAttack("one", name, ATTACKS[name](**settings))], shadows, views).values()
    return found


@dataclasses.dataclass(frozen=True)
class Tutored:
    """An attack that is told some labels and reads few shadows."""

    labels: object = 30
    reads_shadows: object = 4
    control: ClassVar[bool] = False
    paper: ClassVar[str] = "none, 2026"
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)
    needs: ClassVar[Needs] = Needs(Access.PROBS, out_shadows=1)

    def run(self, game, rng):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("loss", {}, Resources(0, 0, 0, 2)),
        ("lira", {}, Resources(0, 16, 0, 2)),
        ("bmia", {}, Resources(0, 2, 0, 2)),
        ("bmia", {"references": 3}, Resources(0, 6, 0, 2)),
        ("boundary", {"queries": 250}, Resources(0, 0, 0, 250)),
        ("trajectory", {}, Resources(0, 16, 0, 2)),
        ("count", {}, Resources(0, 0, 0, 0)),
    ],
)
def test_resources_are_what_an_attack_reads(name, settings, expected):
    assert used(name, views=2, **settings) == expected


def test_an_attack_that_trains_says_how_many_models():
    attack = ATTACKS["cascading"](rounds=2, references=8)
    assert used("cascading", rounds=2, references=8).trainings == attack.trainings > 0


def test_an_attack_may_say_what_it_is_told_and_reads():
    row = NamedAttack("own", "own", Tutored())
    assert resources_of([row], 16, 1) == {"own": Resources(30, 4, 0, 1)}
    assert resources_of([row], 2, 1)["own"].shadows == 2
    assert resources_of([row], 16, 1)["own"].in_words == "30 labelled records, 4 shadows, 1 query a record"


@pytest.mark.parametrize("key", ["labels", "reads_shadows"])
@pytest.mark.parametrize("value", [-1, 2.0, True, "many"])
def test_what_is_no_count_is_refused(key, value):
    row = NamedAttack("own", "own", Tutored(**{key: value}))
    with pytest.raises(AuditError, match=f"`{key}` must be a whole number from 0"):
        resources_of([row], 16, 1)


def test_it_is_refused_before_anything_is_trained(tmp_path):
    case = prepare(audit(), store=Store(tmp_path)).case
    wrong = dataclasses.replace(case, attacks=(NamedAttack("own", "own", Tutored(labels=-1)),))
    with pytest.raises(AuditError, match="attack 'own': `labels` must be a whole number from 0, got -1: correct it"):
        wrong.begin(lambda phase, done, total: None)


def audit():
    raw = table(shadows=4, targets=2)
    raw["stage"][0] |= {"rows": "0:200", "epochs": 1}
    raw["attack"] = [{"name": "loss"}, {"name": "base"}, {"name": "influence"}, {"name": "count"}]
    return parse(raw, base=BASE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("resources") / "run"
    verbs.run(audit(), out, workers=1)
    return out


def content(run, name):
    return json.loads((run / name).read_text())


def test_plan_and_result_say_the_same(run):
    case = prepare(audit(), store=Store(run.parent / "other")).case
    assert isinstance(case, UsesResources)
    told = {name: dataclasses.asdict(one) for name, one in case.resources().items()}
    assert set(told) == {"loss", "base online", "constant", "count"}  # and none for what is refused
    assert content(run, "result.json")["threats"][0]["details"]["resources"] == told
    lines = plan_lines(verbs.plan(audit(), store=run.parent / "other"))
    (line,) = [line for line in lines if line.startswith("  base online: ")]
    assert line.endswith("uses 4 shadows, 1 query a record")


def test_seconds_are_those_of_the_work_also_after_a_resume(run):
    work, result = content(run, "provenance.json")["work"], (run / "result.json").read_bytes()
    (own,) = work.values()
    assert own["models"] == 6
    assert set(own["attacks"]) == {"loss", "base online", "constant", "count"}
    assert all(value >= 0 for value in [own["training"], *own["phases"].values(), *own["attacks"].values()])
    assert own["phases"]["models"] == own["training"]
    verbs.run(audit(), run, workers=1)
    assert content(run, "provenance.json")["work"] == work
    assert (run / "result.json").read_bytes() == result


def test_seconds_that_nobody_noted_are_not_made_up(run, tmp_path):
    verbs.run(audit(), tmp_path / "run", workers=1)
    for path in (tmp_path / ".store").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest.pop("seconds", None)
        path.write_text(json.dumps(manifest))
    verbs.run(audit(), tmp_path / "run", workers=1)
    (own,) = content(tmp_path / "run", "provenance.json")["work"].values()
    assert own["training"] is None
    assert set(own["attacks"].values()) == {None}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What the attacks used" in page
    assert 'data-label="Seconds"' not in page
    assert "Leakage per minute" not in page


def test_the_report_shows_them_in_cards_that_fit_a_phone(run):
    page = (run / "report.html").read_text()
    section = re.search(r'<section id="resources">.*?</section>', page, re.DOTALL)[0]
    assert 'class="cards' in section
    for label in ("Labelled records", "Shadow models", "Models of its own", "Queries a record", "Seconds"):
        assert section.count(f'data-label="{label}"') == 4
    assert "The training of 6\u00a0models" in section
    assert "<b>Leakage per minute</b>" in section
    assert section.count("<svg") == 1
    assert section.count('<span class="num">') == 2  # loss and base are drawn, the controls are not


def test_the_figure_adds_the_shadows_that_an_attack_reads():
    def row(attack, value):
        conditions = {"fpr": 0.01, "threshold": "shadow"}
        return Row(
            "t", "membership", "s", "none", attack, "tpr", conditions=conditions, value=value, low=0.1, high=0.9
        )  # fmt: skip

    def result(attacks, used):
        return {
            "id": "membership", "verdict": {"fpr": 0.01}, "estimates": [row(name, 0.5) for name in attacks],
            "attacks": [{"id": name, "control": name == "count"} for name in attacks],
            "details": {"resources": {name: {"shadows": shadows} for name, shadows in used.items()}},
        }  # fmt: skip

    work = {"models": 10, "training": 40.0, "attacks": {"base": 0.5, "loss": 0.0, "count": 1.0, "lira": None}}
    one = result(["base", "loss", "count", "lira"], {"base": 4, "loss": 0, "count": 4, "lira": 4})
    found = resources._points(one, work)
    assert list(found) == ["loss", "base"]
    assert [point[0] for point in found.values()] == [resources.LEAST, 4 * 4.0 + 0.5]
    assert found["base"][1:] == (0.5, 0.1, 0.9)
    assert resources._points(one, work | {"training": None}) == {}


def test_older_results_have_no_table():
    assert resources.table({"details": {}, "attacks": [], "id": "membership"}, {}, {}) is None


def test_the_time_of_a_job_is_kept_with_its_entry(tmp_path):
    import torch

    from dosimeter.jobs.store import key_of, timing

    store, definitions = Store(tmp_path), [{"kind": "test", "n": number} for number in range(2)]
    keys = [key_of(one) for one in definitions]
    store.save(keys[0], {"x": torch.zeros(1)}, definitions[0])
    with timing():
        store.save(keys[1], {"x": torch.zeros(1)}, definitions[1])
    assert store.seconds(keys[0]) is None
    assert store.seconds("0" * 24) is None
    found = store.seconds(keys[1])
    assert found is not None
    assert 0 <= found < np.inf
    assert store.verify(keys[1])
    assert store.definition(keys[1]) == definitions[1]
