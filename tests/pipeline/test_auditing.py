"""`dosimeter.audit`: supplied models, with and without shadows."""

import dataclasses
import functools
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import supplied_models
import torch
from flat import flat, problems
from supplied_models import SERIAL, fit, records, target, untrained
from torch import nn

import dosimeter
from dosimeter.foundation.errors import AccessError, AuditError, ConfigError, DataError, StoreError, TrainingError
from dosimeter.pipeline import table as table_module
from dosimeter.pipeline import verbs

INPUTS, LABELS = records(700)
PARTS = {
    "members": (INPUTS[:300], LABELS[:300]),
    "nonmembers": (INPUTS[300:600], LABELS[300:600]),
    "population": (INPUTS[600:], LABELS[600:]),
}
MODEL = target(PARTS["members"])


def row(result, attack, metric, **wanted):
    """The one estimate with these properties."""
    (found,) = [
        one
        for one in result.estimates
        if (one.attack, one.metric) == (attack, metric) and all(getattr(one, k) == v for k, v in wanted.items())
    ]
    return found


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory):
    return dosimeter.audit(
        MODEL, **PARTS, fit=fit, shadows=8, out=tmp_path_factory.mktemp("runs") / "shadowed", workers=SERIAL
    )


def test_a_model_that_remembers_is_shown_to_leak(shadowed):
    assert shadowed.status == "shown"
    assert row(shadowed, "lira online", "auc").estimate.low > 0.6
    assert row(shadowed, "constant", "auc").estimate.value == 0.5
    assert row(shadowed, "count", "auc").estimate.value == 0.5
    assert row(shadowed, "lira online", "tpr", fpr=0.1, threshold="shadow").fpr_reached < 0.2
    assert problems(dict(shadowed.content)) == []
    gates = {gate["id"]: gate["status"] for gate in flat(shadowed.content)["gates"]}
    assert {gates[one] for one in ("P9", "P11", "I1", "N1", "N2")} == {"pass"}


def test_the_report_speaks_of_a_brought_model(shadowed):
    page = (shadowed.folder / "report.html").read_text("utf-8")
    assert "by the training function that came with the model" in page
    assert "supplied" in page
    assert "never ask the model" in page
    assert "membership was stated, not drawn" in page  # whatever classifiers that never ask the model found
    assert str(shadowed).startswith("Of 300 records used, our strongest attacker recognised about ")
    assert "They hold all 600 candidate records and their labels; with the training function they train" in page


def test_again_trains_nothing_and_gives_the_same_bytes(shadowed):
    before = (shadowed.folder / "result.json").read_bytes()
    seen = []
    dosimeter.audit(
        MODEL, **PARTS, fit=fit, shadows=8, out=shadowed.folder, workers=SERIAL,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert next(step for step in seen if step[0] == "shadows") == ("shadows", 8, 8)
    assert (shadowed.folder / "result.json").read_bytes() == before
    verbs.measure(shadowed.folder)
    assert (shadowed.folder / "result.json").read_bytes() == before


def test_other_processes_and_closures_give_the_same_numbers(tmp_path):
    epochs = 40

    def closed(dataset, seed):
        return supplied_models.fit(dataset, seed, epochs=epochs)

    wanted = {**PARTS, "shadows": 4, "attacks": ["loss"]}
    serial = dosimeter.audit(MODEL, **wanted, fit=fit, out=tmp_path / "audit", workers=SERIAL)
    found = dosimeter.audit(MODEL, **wanted, fit=closed, out=tmp_path / "other" / "audit", workers=2)
    assert flat(found.content)["estimates"] == flat(serial.content)["estimates"]
    assert flat(found.content)["audit_key"] != flat(serial.content)["audit_key"]


def test_a_closure_over_another_number_trains_anew(tmp_path):
    def closed(epochs):
        return lambda dataset, seed: supplied_models.fit(dataset, seed, epochs=epochs)

    wanted = {**PARTS, "shadows": 4, "attacks": ["loss"], "workers": SERIAL}
    found = [dosimeter.audit(MODEL, **wanted, fit=closed(n), out=tmp_path / f"{n}") for n in (30, 40)]
    assert flat(found[0].content)["estimates"] != flat(found[1].content)["estimates"]


def test_without_fit_halves_of_the_records_set_thresholds_for_each_other(tmp_path):
    found = dosimeter.audit(MODEL, **PARTS, out=tmp_path / "bare")
    loss = row(found, "loss", "auc")
    assert loss.estimate.low > 0.5
    assert loss.estimate.n_members == 300
    assert row(found, "loss", "tpr", fpr=0.1, threshold="split").estimate.status == "ok"
    refused = {one["id"]: one["reason"] for one in flat(found.content)["attacks"] if one["status"] == "refused"}
    assert refused["lira online"] == "needs shadow models: give `fit`, a function that trains one"
    table = pq.read_table(tmp_path / "bare" / "threats" / "membership" / "scores.parquet").to_pandas()
    assert "split" not in table
    assert len(table) == 600 * table["attack"].nunique()


def test_scores_of_a_run_give_the_same_numbers_through_the_scores_door(tmp_path):
    found = dosimeter.audit(MODEL, **PARTS, out=tmp_path / "bare", attacks=["loss"])
    again = flat(
        table_module.measure_scores(
            tmp_path / "bare" / "threats" / "membership" / "scores.parquet", tmp_path / "scores"
        )
    )
    assert again["estimates"] == [{**one, "stage": "unknown"} for one in flat(found.content)["estimates"]]
    gate = next(one for one in flat(found.content)["gates"] if one["id"] == "P1")
    assert gate["status"] == "warn"  # above chance, but 300 records do not show it above the blind baseline,
    assert "not shown to be above them" in gate["message"]
    assert (found.status, again["verdict"]["status"]) == ("not_shown", "shown")  # which a table has not
    assert "differences that the records have without the model" in found.sentences[0]


def test_a_model_that_learned_nothing_is_at_chance(tmp_path):
    model = untrained(supplied_models.Data(*PARTS["members"]), 5)
    found = dosimeter.audit(model, **PARTS, fit=untrained, shadows=8, out=tmp_path / "null", workers=SERIAL)
    assert found.status == "not_shown"
    for one in found.estimates:
        if one.metric == "auc":
            assert one.estimate.low <= 0.5 <= one.estimate.high


def test_shadows_unlike_the_target_are_warned_of(tmp_path):
    found = dosimeter.audit(MODEL, **PARTS, fit=untrained, shadows=4, out=tmp_path / "unlike", workers=SERIAL)
    gate = next(gate for gate in flat(found.content)["gates"] if gate["id"] == "P11")
    assert gate["status"] == "fail"
    assert gate["value"] > 0.1
    assert found.status == "withdrawn"


def test_answers_that_change_are_measured(tmp_path):
    class Noisy(nn.Module):
        def forward(self, x):
            return MODEL(x) + 0.1 * torch.randn(len(x), 5)

    found = dosimeter.audit(Noisy(), **PARTS, out=tmp_path / "noisy")
    gate = next(gate for gate in flat(found.content)["gates"] if gate["id"] == "I1")
    assert gate["status"] == "warn"
    assert 0.001 < gate["value"] < 1


def test_persons_are_resampled_as_a_whole(tmp_path):
    def dataset(part, name):
        inputs, labels = PARTS[part]
        ids = np.array([f"{name}{i}" for i in range(len(inputs))])
        persons = np.array([f"{name}{i // 10}" for i in range(len(inputs))])
        return dosimeter.Dataset(inputs, labels.astype(np.int64), tuple("abcde"), ids, persons=persons)

    own = {"members": dataset("members", "m"), "nonmembers": dataset("nonmembers", "n")}
    found = dosimeter.audit(MODEL, **own, out=tmp_path / "persons", attacks=["loss"])
    assert flat(found.content)["data"]["persons"] == 60
    assert row(found, "loss", "auc").estimate.n_nonmembers == 30


def test_exact_duplicates_are_refused_or_left_out(tmp_path):
    members = tuple(np.concatenate([part, other[:3]]) for part, other in zip(*list(PARTS.values())[:2], strict=True))
    parts = {"members": members, "nonmembers": PARTS["nonmembers"]}
    with pytest.raises(DataError, match="no record may be in both, got 3 exact duplicates") as caught:
        dosimeter.audit(MODEL, **parts, out=tmp_path / "both")
    assert "duplicates = 'exclude'" in str(caught.value)
    assert not (tmp_path / "both").exists()
    found = dosimeter.audit(MODEL, **parts, out=tmp_path / "both", duplicates="exclude", attacks=["loss"])
    assert flat(found.content)["data"]["records"] == 597


WRONG = [
    ({"fit": "recipe:fit"}, ConfigError, r"fit: must be a function fit\(dataset, seed\), got 'recipe:fit'"),
    ({"fit": lambda dataset: None}, ConfigError, r"must take \(dataset, seed\)"),
    ({"fit": lambda dataset, seed: None, "shadows": 2}, TrainingError, "must return the trained model, got None"),
    ({"fit": lambda dataset, seed: 1 / 0, "shadows": 2}, TrainingError, "shadow 0: fit: raised ZeroDivisionError"),
    ({"fit": fit, "shadows": 5}, ConfigError, "shadows: must be even"),
    ({"attacks": []}, ConfigError, "attack: name at least one"),
    ({"attacks": ["lire"]}, ConfigError, "did you mean 'lira'"),
    ({"attacks": [object()]}, ConfigError, "the attack's `needs` must be a Needs"),
    ({"attacks": ["lira"]}, AccessError, "needs shadow models: give `fit`"),
    ({"attacks": ["constant"]}, AccessError, "at least one must be no control"),
    ({"members": "nowhere.csv"}, DataError, "nowhere.csv"),
    ({"members": (INPUTS[:0], LABELS[:0])}, DataError, "needs at least one record"),
    ({"members": (INPUTS[:1], LABELS[:1])}, DataError, "members: must have at least 2 records, got 1"),
    ({"nonmembers": (INPUTS[300:600, :5], LABELS[300:600])}, DataError, "nonmembers"),
    ({"members": (INPUTS[:300], np.eye(5)[LABELS[:300]])}, DataError, r"members: labels must have shape \(n,\), got"),
    ({"members": (INPUTS[:300], LABELS[:300] + 0.5)}, DataError, "members: labels .* as of a regression"),
    ({"model": 3}, ConfigError, "must be a torch.nn.Module"),
    ({"model": nn.Linear(20, 3)}, TrainingError, "5"),
    ({"device": "tpu"}, ConfigError, "device: must be cpu"),
]


@pytest.mark.parametrize(("change", "kind", "message"), WRONG)
def test_wrong_inputs_are_told_in_one_line_and_leave_nothing(tmp_path, change, kind, message):
    arguments = {"model": MODEL, **PARTS, "out": tmp_path / "wrong", "workers": SERIAL, **change}
    with pytest.raises(AuditError, match=message) as caught:
        dosimeter.audit(arguments.pop("model"), **arguments)
    assert isinstance(caught.value, kind)
    assert "\n" not in str(caught.value) or kind is AccessError
    assert not (tmp_path / "wrong" / "result.json").exists()


def test_a_loss_that_wants_floats_is_told_with_what_to_write(tmp_path):
    binary = {part: (inputs, labels % 2) for part, (inputs, labels) in PARTS.items()}

    def one_logit(dataset, seed, labels=lambda dataset: dataset.labels, loss=nn.functional.binary_cross_entropy):
        model = nn.Sequential(nn.Linear(20, 1), nn.Sigmoid(), nn.Flatten(0))
        loss(model(dataset.inputs), labels(dataset)).backward()
        return nn.Sequential(model[0])

    def with_logits(dataset, seed):
        return one_logit(dataset, seed, loss=nn.functional.binary_cross_entropy_with_logits)

    def embedded(dataset, seed):
        nn.functional.embedding(dataset.inputs, torch.ones(2, 2))

    wanted = {**binary, "shadows": 2, "workers": SERIAL, "attacks": ["loss"]}
    model = nn.Linear(20, 1)
    for fit_, remedy in (
        (one_logit, r"give the loss dataset.labels.float\(\), since labels are whole numbers .int64."),
        (with_logits, r"give the loss dataset.labels.float\(\)"),
        (embedded, "correct it$"),
    ):
        with pytest.raises(TrainingError, match=r"shadow 0: fit: raised RuntimeError: .*" + remedy) as caught:
            dosimeter.audit(model, **wanted, fit=fit_, out=tmp_path / fit_.__name__)
        assert "\n" not in str(caught.value)
    mended = functools.partial(one_logit, labels=lambda dataset: dataset.labels.float())
    dosimeter.audit(model, **wanted, fit=mended, out=tmp_path / "mended")


def test_a_folder_of_another_audit_is_refused(shadowed):
    with pytest.raises(StoreError, match="holds another audit"):
        dosimeter.audit(MODEL, **PARTS, out=shadowed.folder)


def test_a_result_can_be_loaded_framed_and_reported(shadowed, tmp_path):
    again = dosimeter.load(shadowed.folder / "result.json")
    assert again.content == shadowed.content
    frame = again.to_frame()
    assert len(frame) == len(again.estimates)
    assert set(frame["metric"]) == {"auc", "tpr", "fpr", "precision", "exposure", "dose", "log_mia"}
    assert again.report(tmp_path / "copy.html").read_bytes() == (shadowed.folder / "report.html").read_bytes()
    limits = tmp_path / "policy.toml"
    limits.write_text('[[limit]]\nmetric = "auc"\nattack = "loss"\nmax = 0.501\n')
    assert not again.check(limits).passed
    limits.write_text('[[limit]]\nmetric = "auc"\nattack = "constant"\nmax = 0.6\n')
    assert again.check(limits).passed


def test_a_run_of_the_first_format_is_read(tmp_path):
    from audits import audit

    verbs.run(audit(shadows=4, targets=1), tmp_path / "run", workers=1)
    of_then = tmp_path / "run" / "run.json"
    summary = json.loads(of_then.read_text())
    (entry,) = summary["threats"]
    del entry["data"]["most_frequent_class"], entry["gates"][1:], entry["resources"]
    of_then.write_text(json.dumps(summary))
    verbs.measure(tmp_path / "run")
    before = (tmp_path / "run" / "result.json").read_bytes()
    path = tmp_path / "run" / "run.json"
    summary = json.loads(path.read_text())
    (entry,) = summary.pop("threats")
    old = {key: value for key, value in summary.items() if key not in ("door", "dosimeter")}
    old |= {key: entry[key] for key in ("threat", "data", "attacks")}
    path.write_text(json.dumps({**old, "schema": 1, "saturation": entry["gates"][0]}))
    for name in ("games", "truth", "evidence"):
        (tmp_path / "run" / "threats" / "membership" / name).rename(tmp_path / "run" / name)
    verbs.measure(tmp_path / "run")
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    result = flat(json.loads(before))
    del result["door"]
    (tmp_path / "run" / "result.json").write_text(json.dumps({**result, "schema": 1}))
    assert flat(dosimeter.load(tmp_path / "run").content) == flat(json.loads(before))


def test_a_run_of_a_later_format_names_the_version_that_wrote_it(shadowed, tmp_path):
    folder = tmp_path / "later"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"schema": 9, "dosimeter": "7.1"}))
    with pytest.raises(StoreError, match=r"must be of format 1 to 3, .* got 9, written by dosimeter 7.1: use that"):
        verbs.measure(folder)


def test_estimates_are_objects(shadowed):
    first = shadowed.estimates[0]
    assert dataclasses.is_dataclass(first)
    assert first.estimate.low <= first.estimate.value <= first.estimate.high


def test_records_of_which_halves_have_one_class_are_refused_before_they_are_asked(tmp_path):
    def asked(x):
        raise AssertionError("no record may be asked")

    parts = {}
    for name in ("members", "nonmembers"):
        inputs, labels = PARTS[name]
        ids, persons = np.array([f"{name} {i}" for i in range(300)]), np.full(300, "anna")
        parts[name] = dosimeter.Dataset(inputs, labels, tuple("abcde"), ids, persons)
    with pytest.raises(DataError, match="and both need both kinds, got 1 persons .* give records of more persons"):
        dosimeter.audit(asked, **parts, out=tmp_path / "one")
    assert not (tmp_path / "one").exists() or not list((tmp_path / "one").glob("evidence*"))


def test_features_are_an_access_in_python_too(tmp_path):
    found = dosimeter.audit(MODEL, **PARTS, attacks=["loss"], access="features", out=tmp_path / "audit")
    assert flat(found.content)["threat"]["access"] == "features"


def test_threats_are_named_in_the_call_with_and_without_fit(tmp_path):
    """A threat without shadows of its own has those of the call, where `fit` trains any; lists are as in Python."""
    threats = [{"id": "labels", "access": "labels"}, {"id": "all", "views": ["identity"]}]
    rows = ["gap", {"name": "loss", "threats": ["all"]}]
    for train in (None, functools.partial(fit, epochs=2)):
        how = {"fit": train, "shadows": 4, "workers": SERIAL}
        found = dosimeter.audit(MODEL, **PARTS, threats=threats, attacks=rows, out=tmp_path / str(train is None), **how)
        told = {one["id"]: one for one in found.content["threats"]}
        assert {name: one["adversary"]["access"] for name, one in told.items()} == {"labels": "labels", "all": "logits"}
        assert {one["adversary"]["shadows"] for one in told.values()} == {0 if train is None else 4}
        assert [len(one["attacks"]) for one in told.values()] == [3, 4]  # with two controls beside each list


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"threats": {}}, "threats: must be a list of tables"),
        ({"threats": [3]}, "threats[0]: must be a table, got 3"),
        ({"threats": [{"family": ["x"]}]}, "threats[0].family: unknown family"),
        ({"threats": [{"shadows": 4}]}, "threats[0].shadows: shadows are trained by"),
        ({"threats": [{"acces": "labels"}]}, "threats[0].acces: unknown key, did you mean 'access'"),
        ({"threats": [{}, {}]}, "threat: ids must be distinct, got 'membership' 2 times"),
        ({"data": [1]}, "data: must be a table of names to records, got [1]"),
        ({"data": {"more": PARTS["members"]}}, "data: no threat of this call reads it, got ['more']"),
        ({"transcript": "x"}, "transcript: no threat of this call reads it, got 'x'"),
        ({"show_records": True}, "show_records: no threat of this call reads it, got True"),
    ],
)
def test_threats_and_more_that_are_wrong_are_one_line(given, line, tmp_path):
    with pytest.raises(ConfigError) as caught:
        dosimeter.audit(MODEL, **PARTS, **given, out=tmp_path / "out")
    assert line in str(caught.value)
    assert not (tmp_path / "out").exists()
