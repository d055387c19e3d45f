"""What shadows' keys are made of, through `dosimeter.audit` and an audit file."""

from __future__ import annotations

import json
import sys

import pytest
import supplied_models
from flat import flat
from supplied_models import SERIAL, fit, records, target
from torch import nn

import dosimeter
from dosimeter.cli.app import main
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.user_code import import_from
from dosimeter.pipeline.supplied.shadow_keys import keys_of_shadows, sources_of

INPUTS, LABELS = records(240)
PARTS = {"members": (INPUTS[:120], LABELS[:120]), "nonmembers": (INPUTS[120:], LABELS[120:])}
MODEL = target(PARTS["members"])
CONFIG = {"epochs": 30}
START = nn.Linear(2, 2)


def configured(dataset, seed):
    return supplied_models.fit(dataset, seed, epochs=CONFIG["epochs"])


def started(dataset, seed):
    return START and supplied_models.fit(dataset, seed)


def audited(out, **more):
    """A small audit, and how many of its shadows were kept from before."""
    seen = []
    wanted = {
        **PARTS,
        "shadows": 4,
        "attacks": ["loss"],
        "workers": SERIAL,
        "progress": lambda *step: seen.append(step),
    }
    result = dosimeter.audit(MODEL, **{**wanted, **more}, out=out, store=out.parent / "store")
    return result, next(step for step in seen if step[0] == "shadows")[1]


def warning(result):
    """The message of I6, or none."""
    return next((gate["message"] for gate in flat(result.content)["gates"] if gate["id"] == "I6"), "")


def test_a_changed_configuration_trains_anew(tmp_path, monkeypatch):
    first, kept = audited(tmp_path / "a", fit=configured)
    assert (kept, warning(first)) == (0, "")
    again, kept = audited(tmp_path / "a", fit=configured)
    assert (kept, again.content) == (4, first.content)
    monkeypatch.setitem(CONFIG, "epochs", 60)
    changed, kept = audited(tmp_path / "b", fit=configured)
    assert kept == 0
    assert flat(changed.content)["audit_key"] != flat(first.content)["audit_key"]


def test_what_no_key_can_hold_is_told_by_name_until_it_is_covered(tmp_path):
    told, _ = audited(tmp_path / "told", fit=started)
    assert warning(told).startswith("`fit` reads `START` (Linear), whose content is not part of the key under which")
    assert "`START` (Linear)" in (told.folder / "report.html").read_text("utf-8").replace("&#39;", "'")
    covered, kept = audited(tmp_path / "covered", fit=started, depends=[sys.modules[__name__]])
    assert (kept, warning(covered)) == (0, "")
    assert set(json.loads((covered.folder / "provenance.json").read_text())["sources"]["fit"]) == {"fit", __name__}


def test_the_readme_s_fit_is_not_warned_of():
    def train(inputs, labels, seed):
        return fit(supplied_models.Data(inputs, labels), seed)

    _, gates = sources_of(lambda dataset, seed: train(dataset.inputs, dataset.labels, seed), ())
    assert gates == []


@pytest.mark.parametrize(
    ("depends", "message"),
    [
        ("recipe", r"depends: must be a list of modules and functions.*got 'recipe': write depends=\["),
        (fit, r"must be a list .*got <function fit"),
        (["a b"], "got 'a b' in it: name the module"),
        ([3], "got 3 in it"),
        (["nowhere_at_all"], "depends: nowhere_at_all must be a module with a source file"),
        (["supplied_models:nothing"], "must define the function, got no 'nothing'"),
        ([sys], "depends: sys must be a module with a source file"),
    ],
)
def test_wrong_depends_are_told_in_one_line(tmp_path, depends, message):
    with pytest.raises(ConfigError, match=message) as caught:
        audited(tmp_path / "wrong", fit=fit, depends=depends)
    assert "\n" not in str(caught.value)


def test_modules_and_functions_in_depends_move_the_key(tmp_path):
    (tmp_path / "mine_too.py").write_text("x = 1\ndef made(): return x\n")
    import_from(tmp_path)
    import mine_too

    forms = [["mine_too"], [mine_too], ["mine_too:made"], [mine_too.made], ["mine_too:made", mine_too.made]]
    before = [sources_of(fit, one)[0] for one in forms]
    assert before[0] == before[1]
    assert before[2] == before[3]
    assert len(before[4]) == 3
    (tmp_path / "mine_too.py").write_text("x = 2\ndef made(): return x\n")
    after = [sources_of(fit, one)[0] for one in forms]
    assert all(one["fit"] == other["fit"] and one != other for one, other in zip(before, after, strict=True))


def test_a_module_called_fit_does_not_hide_the_fit(tmp_path):
    (tmp_path / "fit.py").write_text("x = 1\n")
    import_from(tmp_path)
    found = sources_of(fit, ["fit"])[0]
    assert list(found) == ["fit", "fit (depends)"]
    assert found["fit"] == sources_of(fit, ())[0]["fit"]


def test_many_names_are_counted():
    (gate,) = keys_of_shadows([f"a{n} (Linear)" for n in range(7)])
    assert "`a4` (Linear) and 2 more, whose content" in gate.message
    assert (gate.value, gate.status) == (7.0, "warn")


def test_a_plan_says_what_the_fit_of_an_audit_file_reads(tmp_path, monkeypatch, capsys):
    import numpy as np

    monkeypatch.chdir(tmp_path)
    for name, (inputs, labels) in PARTS.items():
        np.savez(f"{name}.npz", inputs=inputs, labels=labels)
    (tmp_path / "brought_here.py").write_text(
        "from supplied_models import fit as train\nfrom torch import nn\nnet, feed = nn.Linear(20, 5), iter(())\n"
        "def fit(dataset, seed): return feed and train(dataset, seed)\n"
    )
    text = (
        'name = "mine"\nseed = 0\n[target]\nmodel = "brought_here:net"\nmembers = "members.npz"\n'
        'nonmembers = "nonmembers.npz"\nfit = "brought_here:fit"\n{more}[threat]\nshadows = 4\n'
    )
    for more, told in (("", True), ('depends = ["brought_here"]\n', False)):
        (tmp_path / "audit.toml").write_text(text.format(more=more))
        assert main(["plan", "audit.toml"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert ("Keys of shadows: `fit` reads `feed` (tuple_iterator), whose content" in said) is told
