"""The default list against the stored measurement, and the page's figures against the same file."""

import json
from pathlib import Path

import pytest

from dosimeter.families.membership.attacks import DEFAULT

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "attacks.md").read_text("utf-8").splitlines()
RESULTS = ROOT / "benchmarks" / "results"
POWER = json.loads((RESULTS / "few_shadow_power.json").read_text("utf-8"))["fleets"]
SETTINGS = json.loads((RESULTS / "learned_ratio_settings.json").read_text("utf-8"))["fleets"]
NAMES = ("loss", "influence", "base online", "lira online", "fused online", "learned_ratio")
BESIDE = ("base online", "lira online", "fused online")
VARIANCES = [f"lira {mode} {one}" for mode in ("online", "offline") for one in ("bayesian", "shrunken", "global")]
every_fleet = pytest.mark.parametrize("fleet", POWER)


def cell(pair):
    """A mean with its error as the page shows it."""
    return "" if pair is None else "{:.3f} ± {:.3f}".format(*pair)


def row(fleet, label, pairs):
    """A line of a table."""
    cells = [fleet, label, *map(cell, pairs)]
    return "| " + " | ".join(cells) + " |"


def label(name):
    """An attack as the page names it."""
    first, *rest = name.split()
    return " ".join([f"`{first}`", *rest])


@every_fleet
def test_the_page_shows_the_curves_that_were_measured(fleet):
    shadows = POWER[fleet]["shadows"]
    for name in NAMES:
        pairs = [at["attacks"].get(name, {}).get("tpr") for at in shadows.values()]
        if any(pairs):
            assert row(fleet, label(name), pairs) in PAGE
    chosen = [at.get("choice", {}).get("tpr") for at in shadows.values()]
    assert row(fleet, "the audit's choice", chosen) in PAGE


@every_fleet
def test_the_page_shows_the_variances_that_were_measured(fleet):
    for name in VARIANCES:
        pairs = [POWER[fleet]["shadows"][number]["attacks"][name]["tpr"] for number in ("8", "16", "64")]
        assert row(fleet, " ".join(name.split()[1:]), pairs) in PAGE


@every_fleet
@pytest.mark.parametrize("number", ["4", "8", "16", "32", "64"])
def test_the_default_list_has_an_attack_within_noise_of_the_best(fleet, number):
    """Of all that can rehearse: within two paired standard errors over targets."""
    attacks = POWER[fleet]["shadows"][number]["attacks"]
    best = min((one for one in attacks.values() if one["rehearses"]), key=lambda one: one["behind"][0])
    own = [one for name, one in attacks.items() if name in listed() and one["rehearses"]]
    nearest = min(own, key=lambda one: one["behind"][0])
    assert nearest["behind"][0] - best["behind"][0] <= 2 * max(nearest["behind"][1], best["behind"][1])


LEARNED = [fleet for fleet in POWER if "two_against_eight" in POWER[fleet]]


def test_six_fleets_were_measured_with_few_shadows():
    assert len(LEARNED) >= 6


def test_base_with_two_shadows_ranks_as_lira_with_global_variance_and_eight():
    """Its AUC is lower by more than two paired standard errors on one at most of the six fleets of the bar.

    The two that were measured later, the nets and the miniature, are behind as well; the page says so.
    """
    behind = []
    for fleet in LEARNED:
        gain, error = POWER[fleet]["two_against_eight"]["auc"]
        behind += [fleet] * (gain < -2 * error)
    assert set(behind) == {"sparse", "cifar10 nets", "miniature"}
    assert len(set(behind) - {"cifar10 nets", "miniature"}) <= 1
    assert any("By AUC it is behind by more than two standard errors on three of eight" in line for line in PAGE)


@pytest.mark.parametrize("fleet", LEARNED)
def test_halves_reach_their_rate_with_two_shadows_and_the_shadows_themselves_do_not(fleet):
    at = POWER[fleet]["shadows"]["2"]
    value, error = at["attacks"]["base online"]["fpr_reached"]
    assert value - 2 * error <= 0.01
    for far, spread in at["thresholds"].values():
        assert abs(far - 0.01) > 4 * spread


@pytest.mark.parametrize("number", ["4", "8", "16"])
def test_the_learned_ratio_is_never_behind_and_often_ahead(number):
    """By AUC, of `base`, `lira` and `fused` whichever is best on the fleet; two paired standard errors."""
    ahead = 0
    for fleet in LEARNED:
        found = POWER[fleet]["shadows"][number]
        best = max((one for one in BESIDE if one in found["attacks"]), key=lambda one: found["attacks"][one]["auc"][0])
        gain, error = found["learned_ratio_ahead"][best]["auc"]
        assert gain >= -2 * error, fleet
        ahead += gain > 2 * error
    assert ahead >= 3


@pytest.mark.parametrize("fleet", SETTINGS)
def test_the_cheaper_settings_of_the_learned_ratio_lose_nothing_of_note(fleet):
    """At most .002 in TPR beyond two standard errors, .0005 in AUC; the page shows what was measured."""
    found, cells = SETTINGS[fleet]["shadows"], []
    for at in found.values():
        for name, most in (("tpr", 0.002), ("auc", 0.0005)):
            gain, error = at[name]
            assert gain + 2 * error >= -most
        assert at["seconds"][0] < at["seconds"][1]
        cells.append("; ".join("{:+.4f} ± {:.4f}".format(*at[name]) for name in ("tpr", "auc")))
    assert "| " + " | ".join([fleet, *cells]) + " |" in PAGE


@pytest.mark.parametrize("number", ["4", "8", "16"])
def test_the_learned_ratio_names_as_many_members_as_the_best(number):
    """By TPR at 1 % FPR, likewise."""
    for fleet in LEARNED:
        found = POWER[fleet]["shadows"][number]
        best = max((one for one in BESIDE if one in found["attacks"]), key=lambda one: found["attacks"][one]["tpr"][0])
        gain, error = found["learned_ratio_ahead"][best]["tpr"]
        assert gain >= -2 * error, fleet


def signed(pair):
    """A difference with its error as the page shows it."""
    return "{:+.3f} ± {:.3f}".format(*pair)


@pytest.mark.parametrize("fleet", LEARNED)
def test_the_page_shows_what_few_shadows_are_worth(fleet):
    cells = [fleet, signed(POWER[fleet]["two_against_eight"]["auc"])]
    for number in ("4", "8", "16", "64"):
        found = POWER[fleet]["shadows"][number]
        best = max((one for one in BESIDE if one in found["attacks"]), key=lambda one: found["attacks"][one]["auc"][0])
        cells.append(signed(found["learned_ratio_ahead"][best]["auc"]))
    assert "| " + " | ".join(cells) + " |" in PAGE


@pytest.mark.parametrize("fleet", LEARNED)
@pytest.mark.parametrize("number", ["4", "8", "16", "64"])
def test_the_learned_ratio_sets_thresholds_that_are_not_too_low(fleet, number):
    value, error = POWER[fleet]["shadows"][number]["attacks"]["learned_ratio"]["fpr_reached"]
    assert value <= 0.0125 + 2 * error
    assert value >= 0.003 - 2 * error


def listed():
    """The default list in every mode."""
    return {f"{name}{mode}" for name in DEFAULT for mode in ("", " online", " offline")}


def test_the_page_shows_what_is_reached_without_shadows():
    path = ROOT / "benchmarks" / "results" / "shadow_free.json"
    names = {
        "badge": "photos of 40 people, 1,280 features",
        "cifar10": "CIFAR-10, 1,280 features",
        "digits": "digits, 64 features",
    }
    for name, case in json.loads(path.read_text("utf-8"))["cases"].items():
        attacks = case["attacks"]
        shown = [cell(attacks[one]["tpr_at_1_percent"]) for one in ("loss", "lira_16", "lira_256", "influence")]
        seconds = ["{:.1f}".format(attacks[one]["seconds"]) for one in ("lira_256", "influence")]
        shares = [format(case["share_of_tpr"], ".2f"), format(case["share_of_seconds"], ".2f")]
        assert "| " + " | ".join([names[name], f"{case['records']:,}", *shown, *seconds, *shares]) + " |" in PAGE
