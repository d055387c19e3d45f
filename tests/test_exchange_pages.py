"""The pages on gradients and on whole sets say what was measured."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def stored(name):
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def inverted(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gradient_inversion

    yield gradient_inversion
    for name in ("gradient_inversion", "machine"):
        sys.modules.pop(name, None)


@pytest.fixture
def inferred(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import set_inference

    yield set_inference
    for name in ("set_inference", "machine"):
        sys.modules.pop(name, None)


def test_the_tables_on_gradients_are_what_the_stored_figures_say(inverted):
    content = stored("gradient_inversion")
    assert set(inverted.STEPS) <= set(content)
    for path, names in inverted.PAGES.items():
        text = path.read_text(encoding="utf-8")
        assert inverted.filled(text, content, names) == text


def test_the_table_on_records_is_what_the_stored_figures_say(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import exchange_records

    content, text = stored("exchange_records"), exchange_records.PAGE.read_text(encoding="utf-8")
    assert exchange_records.filled(text, content) == text
    rows, noisy = (content[f"dense 32, {how}"]["ridge_inversion representations"] for how in ("shown", "hidden"))
    assert rows["identified"][1] > content["dense 32"]["dense_inversion gradient"]["identified"][2]
    assert rows["psnr"][1] > content["dense 32, shown"]["mean_record"]["psnr"][2] + 6
    assert noisy["identified"][1] < 1 / 20 < noisy["identified"][2]
    shares = [content[f"dense {size}"]["dense_inversion gradient"]["recovered"][0] for size in (1, 8)]
    assert shares[0] > shares[1]
    for name in ("exchange_records", "machine"):
        sys.modules.pop(name, None)


def test_the_table_of_ways_is_what_the_report_says(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import joint_transfer

    content, text = stored("joint_transfer"), joint_transfer.PAGE.read_text(encoding="utf-8")
    assert joint_transfer.filled(text, content) == text
    found = content[joint_transfer.QUICK]
    assert len(list(joint_transfer.lines(found))) == len(joint_transfer.TABLE)
    assert set(found["threats"]) == {one["id"] for one in joint_transfer.THREATS}
    assert not any(one["failed"] for one in found["threats"].values())
    nothing = joint_transfer.numbers_of(found, "model-source", "alone", "pooled_discriminant")["auc"]
    assert nothing[1] < 0.5 < nothing[2]  # a model that learned nothing tells nothing
    gain = joint_transfer.numbers_of(found, "mapping-source", "none", "")["transfer_gain"]
    assert gain[1] > 0
    # What the text below the tables says.
    for seed in joint_transfer.SEEDS:
        report, pilot = content[f"report {seed}"], content[f"R6 {seed}"]
        for name, threat in (("mapping", "mapping-source"), ("parameters", "parameters-source")):
            own = joint_transfer.numbers_of(report, threat, "none", "batch_property")
            assert own["property_auc"][0] >= {"mapping": 0.9, "parameters": 0.79}[name]
            assert own["beyond_labels"][1] > 0
        for way in ("coral", "mmd"):
            assert joint_transfer.numbers_of(pilot, f"{way}-source", "none", "batch_property")["beyond_labels"][1] > 0
    dropped = [
        joint_transfer.numbers_of(content["R5 gradients"], "r5", name, "batch_property")["property_auc"]
        for name in ("none", "dropout", "top", "noise-1", "noise-5")
    ]
    assert min(one[1] for one in dropped[:3]) > 0.5
    assert max(one[1] for one in dropped[3:]) < 0.5
    for name in ("joint_transfer", "machine"):
        sys.modules.pop(name, None)


def test_what_the_page_says_of_sweeps_and_of_a_share_is_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import joint_transfer

    content = stored("joint_transfer")
    for seed in joint_transfer.SEEDS:
        found = content[f"sweeps {seed}"]
        gain, leak = joint_transfer.at(found, "none")
        assert gain[1] > 0
        for more, less in (
            ("frozen-2", "frozen-1"),
            ("frozen-1", "none"),
            ("none", "width-16"),
            ("width-16", "width-8"),
        ):
            assert joint_transfer.at(found, more)[1][0] > joint_transfer.at(found, less)[1][0]
        for less in ("frozen-1", "frozen-2"):
            assert joint_transfer.at(found, less)[0][0] < gain[0]
        for weight in ("alignment-0.03", "alignment-0.1", "alignment-0.3", "alignment-3"):
            own = joint_transfer.at(found, weight)[1]
            assert own[1] < leak[0] < own[2]
    assert joint_transfer.PICTURE.read_text("utf-8").count("</svg>") == 1
    few, many = (content["mixtures"][name]["property_auc"]["0.6/0.4"] for name in ("batch-8", "batch-128"))
    assert few[2] < many[1]
    shown, coin = (content[f"distribution {asked}"]["threats"]["distribution"] for asked in ("sex", "coin"))
    assert (shown["status"], shown["failed"], coin["failed"]) == ("shown", [], [])
    assert coin["status"] == "not_shown"
    areas = {name: one["distribution_auc"] for name, one in shown["numbers"]["none"].items() if name}
    assert areas["distribution_inference kl"][1] > 0.65
    for name in ("loss", "mean"):
        assert areas[f"distribution_inference {name}"][1] < 0.5 < areas[f"distribution_inference {name}"][2]
    for name in ("joint_transfer", "machine"):
        sys.modules.pop(name, None)


def test_fewer_records_leave_more_in_a_model_that_is_handed_over(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import handed_over

    content, text = stored("handed_over"), handed_over.PAGE.read_text(encoding="utf-8")
    assert handed_over.filled(text, content) == text
    for seed in handed_over.SEEDS:
        runs = [content[f"records {size}"]["none"][seed] for size in handed_over.SIZES]
        for attack in ("loss", "lira online"):
            areas = [one["attacks"][attack]["auc"] for one in runs]
            assert areas[0][1] > areas[1][2] > areas[1][1] > areas[2][2]
        lira = {
            name: one[seed]["attacks"]["lira online"]["auc"]
            for name, one in content["defenses"].items()
            if name != "seconds"
        }
        assert lira["dropout"][2] > lira["none"][0] > lira["clipped"][2] > lira["clipped"][0] > lira["noise"][2]
        noisy = {name: one[0] for name, one in content[f"langevin {seed}"].items() if name != "seconds"}
        assert noisy["none"] == content["defenses"]["none"][seed]
        areas = [noisy[str(one["id"])]["attacks"]["lira online"]["auc"] for one in handed_over.LANGEVIN.values()]
        assert areas[0][1] < lira["none"][0] < areas[0][2]
        assert lira["none"][1] > areas[2][2] > areas[2][1] > lira["stopped"][2]
        tests = [one["accuracy"]["test"] for one in (noisy["langevin-0.03"], content["defenses"]["stopped"][seed])]
        assert tests[0][0] < tests[1][2]  # no more accurate than the model that stops early
    for name in ("handed_over", "joint_transfer", "tmi_cifar10", "few_shadow_power", "shadow_free", "machine"):
        sys.modules.pop(name, None)


def test_a_dense_layer_gives_small_batches_away_and_large_ones_less(inverted):
    found = stored("gradient_inversion")["dense"]
    shares = [np.mean(found[f"{size} none"]["listed"]) for size in (1, 2, 4, 8, 16, 32)]
    assert shares == sorted(shares, reverse=True)
    assert shares[:3] == [1, 1, 1]
    assert shares[-1] < 0.3
    assert np.mean(found["1 none"]["equal"]) == 1
    medians = {how: np.median(found[f"1 {how}"]["psnr"]) for how in ("noise", "sign")}
    assert medians["noise"] > medians["sign"] + 10


def test_what_the_page_says_of_searches_is_what_was_measured(inverted):
    found = stored("gradient_inversion")
    good = {
        step: {name: np.mean(np.array(values) > inverted.GOOD) for name, values in found[step].items()}
        for step in inverted.STEPS
        if step.partition(" ")[0] in ("smooth", "relu", "default", "private")
    }
    assert good["smooth 1"]["idlg"] >= 0.8
    assert max(good["default 1"][name] for name in ("idlg", "inverting_gradients")) == 0
    relu = found["relu 1"]
    assert np.median(relu["inverting_gradients"]) >= np.median(relu["mean"]) + 6
    assert good["private 1"]["dlg, head unknown"] > 0.5
    assert good["private 2"]["dlg, head unknown"] == 0


def test_bins_isolate_as_many_records_as_the_formula_says():
    for one in stored("gradient_inversion")["imprint"].values():
        assert np.mean(one["shares"]) == pytest.approx(one["expected"], abs=0.05)


def test_noise_says_more_of_the_classes_than_equal_predictions():
    found = stored("gradient_inversion")["labels"]
    right = {how: [sum(found[f"smooth {size}"][how]) for size in (1, 2, 4, 8, 16)] for how in ("equal", "noise")}
    assert right["equal"][0] == right["noise"][0] == 20
    assert all(noise >= equal for noise, equal in zip(right["noise"], right["equal"], strict=True))
    assert right["noise"][2] >= right["equal"][2] + 5


def test_written_out_gradients_are_faster_and_twenty_times_only_where_the_page_says():
    found = stored("gradient_inversion")["speed"]
    assert found["81-32, 8"]["new"] > 20
    assert all(one["given"] < 20 for name, one in found.items() if name != "81-32, 8")
    assert all(one["new"] > 0.95 * one["vmap"] for one in found.values())


def test_the_tables_on_whole_sets_are_what_the_stored_figures_say(inferred):
    content, text = stored("set_inference"), inferred.PAGE.read_text(encoding="utf-8")
    assert set(inferred.STEPS) <= set(content)
    assert inferred.filled(text, content) == text


def test_what_the_page_says_of_people_is_what_was_measured():
    own = stored("set_inference")["people"]
    gap = np.mean(own["trained strong inner"]) - np.mean(own["untrained strong inner"])
    assert gap >= 0.1
    assert abs(np.mean(own["trained strong compact"]) - 0.5) < 0.1
    assert set(own["kept"]) == {13.0, 14.0}


def test_what_the_page_says_of_shares_is_what_was_measured():
    """The fitted cut reaches its bar at 80 % women, and no test is far beyond the mean prediction there."""
    found = stored("set_inference")
    own = {name: np.mean(values) for name, values in found["income 0.8"].items()}
    assert own["KL, fitted cut"] >= 0.65
    assert max(own[name] for name in ("threshold", "KL, fitted cut", "logits")) < own["mean prediction"] + 0.05
    assert all(np.mean(found[f"income {share}"]["KL, cut at 0"]) == 0.5 for share in (0.2, 0.35, 0.8))


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_worlds_have_the_share_that_they_say(inferred, share):
    woman = np.arange(1000) % 3 == 0
    rows = inferred.drawn(np.random.default_rng(0), np.arange(1000), woman, share, 100)
    assert len(set(rows.tolist())) == 100
    assert woman[rows].mean() == share


def test_many_perceptrons_are_trained_as_each_alone(inferred):
    import torch

    torch.manual_seed(0)
    inputs, labels = torch.randn(60, 5), torch.randint(2, (60,))
    start = inferred.fresh(3, 5)
    rows = np.stack([np.random.default_rng(one).permutation(60)[:40] for one in range(3)])
    made = inferred.trained(start, inputs, labels, rows, 2, 0)
    assert all(not torch.allclose(a, b) for a, b in zip(made[::2], start[::2], strict=True))
    logits = inferred.outputs(made, inputs)
    plain = inputs
    for place in range(0, len(made), 2):
        plain = plain @ made[place][1] + made[place + 1][1]
        plain = plain.relu() if place + 2 < len(made) else plain
    torch.testing.assert_close(logits[1], plain, rtol=1e-5, atol=1e-5)
