"""Yardsticks and controls that checks need stand beside every list of attacks, once, whoever wrote the list."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dosimeter.config.attack_rows import named_attacks, share_attacks
from dosimeter.families.exchange.attacks import Coin
from dosimeter.families.inversion.attacks import MeanPublic
from dosimeter.families.registry import FAMILIES
from dosimeter.families.split.attacks import FSHA, MeanInput, OutputOnly, RawInput

BASE = Path(__file__).parent
ANSWERS = "output_only input", "output_only attribute"
BESIDE = {
    # Neither plays on the answers too, so nothing would say what those tell alone.
    "a server that steers": ("split", {}, ["fsha"], [ANSWERS[0], "mean_input"]),
    "a linear map": ("split", {}, ["ridge"], [ANSWERS[0], "mean_input"]),
    "one of the people": ("split", {}, ["attribute_pool"], [ANSWERS[1], "raw_input", "attribute_coin"]),
    "both": (
        "split", {}, ["attribute_pool", "ridge"],
        [ANSWERS[0], "mean_input", ANSWERS[1], "raw_input", "attribute_coin"],
    ),
    "who cannot learn a ceiling": ("split", {"knows": "nothing"}, ["attribute_pool"], [ANSWERS[1], "attribute_coin"]),
    "a ceiling": ("split", {}, ["decensor", "raw_input"], [ANSWERS[1], "attribute_coin"]),
    "a search with a counterpart": ("split", {}, ["white_box"], [ANSWERS[0], "mean_input"]),
    "a search that has nothing else to be judged by": ("split", {"knows": "nothing"}, ["unsplit"], ["mean_input"]),
    "a search that is refused": ("split", {"knows": "queries"}, ["ridge", "white_box"], [ANSWERS[0], "mean_input"]),
    "no answers, no floor": (
        "split", {"answers": "hidden"}, ["fsha", "attribute_pool"], ["mean_input", "raw_input", "attribute_coin"],
    ),
    "messages": ("exchange", {}, [{"name": "batch_property", "channel": "update"}], ["label_only", "coin"]),
    "records": (
        "exchange", {"question": "records"}, [{"name": "dlg", "channel": "update"}], ["mean_record", "any_record"],
    ),
    "tasks": ("exchange", {"question": "tasks"}, ["task_inference"], ["task_coin"]),
    "a class": ("inversion", {}, ["miface"], ["mean_public"]),
}  # fmt: skip


def served(family, threat):
    return [(FAMILIES[family], FAMILIES[family].settings.model_validate({"family": family, **threat}), "threat")]


def ids(rows):
    return [row.id for row in rows]


@pytest.mark.parametrize("case", BESIDE)
def test_a_short_list_gets_what_it_lacks_at_both_doors(case):
    family, threat, names, beside = BESIDE[case]
    tables = tuple({"name": one} if isinstance(one, str) else one for one in names)
    (own,), problems = share_attacks(tables, BASE, served(family, threat), [False])
    assert not problems
    assert ids(own)[len(names) :] == beside
    assert [row.default for row in own] == [False] * len(names) + [True] * len(beside)
    (python,) = named_attacks(tables, BASE, served(family, threat))
    assert ids(python) == ids(own)


@pytest.mark.parametrize("family", FAMILIES)
def test_default_lists_lack_nothing(family):
    settings = FAMILIES[family].settings.model_validate({"family": family})
    (own,), _ = share_attacks((), BASE, served(family, {}), [False])
    assert len(own) == len(FAMILIES[family].default_attacks(settings, transferred=False))


def test_the_ceiling_has_the_classifiers_of_the_attack_that_it_is_above():
    (python,) = named_attacks([{"name": "attribute_pool", "classifiers": ["svm"]}], BASE, served("split", {}))
    table = {"name": "attribute_pool", "classifiers": ("svm",)}
    (file,), _ = share_attacks((table,), BASE, served("split", {}), [False])
    for own in (python, file):
        (ceiling,) = [row.attack for row in own if row.id == "raw_input"]
        assert ceiling == RawInput(("svm",))


def test_what_is_named_is_not_run_twice():
    named = [{"name": "fsha"}, {"name": "mean_input", "id": "nothing"}, {"name": "output_only", "mode": "input"}]
    (own,) = named_attacks(named, BASE, served("split", {}))
    assert ids(own) == ["fsha", "nothing", "output_only input"]
    (objects,) = named_attacks([FSHA(), MeanInput(), OutputOnly("input")], BASE, served("split", {}))
    assert len(objects) == 3
    (coins,) = named_attacks(["batch_property", "label_only", Coin()], BASE, served("exchange", {}))
    assert len(coins) == 3
    (means,) = named_attacks(["miface", MeanPublic()], BASE, served("inversion", {}))
    assert len(means) == 2


def test_an_attack_of_the_users_with_the_name_of_a_yardstick_is_not_taken_for_it():
    named = [{"name": "ridge", "id": "mean_input"}, {"name": "output_only", "mode": "input"}]
    (own,) = named_attacks(named, BASE, served("split", {}))
    assert ids(own) == ["mean_input", "output_only input", "mean_input beside"]


@dataclass(frozen=True)
class Loud(MeanInput):
    """A control of somebody's own that is far from any record."""


def test_a_control_of_the_users_does_not_stand_for_the_mean_record():
    (own,) = named_attacks(["ridge", Loud()], BASE, served("split", {}))
    assert [type(row.attack).__name__ for row in own] == ["RidgeInverse", "Loud", "OutputOnly", "MeanInput"]
