"""The null audit and the controls fail on both sides of chance: who is always wrong knows the answer too."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.families.exchange.measures import checks as exchange
from dosimeter.families.exchange.measures.measured import Measured as Asked
from dosimeter.families.exchange.records.measures import checks as records
from dosimeter.families.exchange.records.measures.left import read_rebuilt
from dosimeter.families.exchange.records.measures.rebuilt import Rebuilt
from dosimeter.families.exchange.stored import evidence_file, read_left
from dosimeter.families.inversion.measures import checks as inversion
from dosimeter.families.inversion.measures.identified import Measured
from dosimeter.families.inversion.stored import Left
from dosimeter.families.split.measures import checks as split
from dosimeter.jobs.arrays import read_arrays, save_arrays
from dosimeter.statistics.identification import names_at_chance
from dosimeter.statistics.leakage.exchange import attributes_at_chance
from families.exchange import test_shown
from families.exchange.records import test_shown_records
from families.exchange.tasks import test_tasks_case
from families.split.test_shown import left as left_of_split

N = 40
SIDES = {"right": 1.0, "wrong": -1.0}


def spoilt(folder, index, name, values):
    """Changes one array of an attack's evidence."""
    save_arrays(evidence_file(folder, index), {**read_arrays(evidence_file(folder, index)), name: values})


def by_coins(coins, sign):
    """Guesses `[t n 2]` that are the coins, or their opposite."""
    told = sign * (2.0 * coins - 1)
    return np.stack([-told, told], -1)


@pytest.mark.parametrize("sign", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("left", [test_shown.left, test_tasks_case.left])
def test_of_coins_that_chose_nothing(left, sign, tmp_path):
    case = left(tmp_path, 0)
    found = Asked(read_left(case))
    assert {row.status for row in exchange.null_audit(found)} == {"pass"}
    assert exchange.controls(found).status == "pass"
    spoilt(tmp_path, 0, "null_guesses", by_coins(found.null_coins, sign))
    spoilt(tmp_path, 2, "guesses", by_coins(found.coins(0), sign)[None])
    found = Asked(read_left(case))
    assert [row.status for row in exchange.null_audit(found)] == ["fail", "pass", "pass"]
    assert exchange.controls(found).status == "fail"


@pytest.mark.parametrize("sign", SIDES.values(), ids=SIDES)
def test_of_records_that_were_in_no_batch(sign, tmp_path):
    case = test_shown_records.left(tmp_path, 0)
    found = Rebuilt(read_rebuilt(case))
    assert {row.status for row in records.null_audit(found)} == {"pass"}
    assert records.controls(found).status == "pass"
    shape = read_arrays(evidence_file(tmp_path, 2))["lineup"].shape
    spoilt(tmp_path, 0, "null_lineup", sign * np.eye(shape[-1])[None])
    spoilt(tmp_path, 2, "lineup", np.broadcast_to(sign * np.eye(shape[-1]), shape).copy())
    found = Rebuilt(read_rebuilt(case))
    assert [row.status for row in records.null_audit(found)] == ["fail", "pass", "pass"]
    assert records.controls(found).status == "fail"


@pytest.mark.parametrize("sign", SIDES.values(), ids=SIDES)
def test_of_victims_that_were_exchanged(sign):
    found = left_of_split(0)
    rng = np.random.default_rng(1)
    for attack, arrays in found.left.evidence.items():
        for name in ("lineup", "guesses-0"):
            if name in arrays:
                noise = rng.normal(size=arrays[name][:, :1].shape)
                arrays[f"null_{name}"] = noise[:, 0]
        found.left.attack(attack)["control"] = attack == "floor"
    assert {row.status for row in split.null_audit(found)} == {"pass"}
    assert split.controls(found).status == "pass"
    evidence, names = found.left.evidence, np.eye(30)[None]
    evidence["ridge"]["null_lineup"] = sign * names
    evidence["pool"]["null_guesses-0"] = by_coins(found.left.truth["value-0"], sign)[None]
    evidence["floor"]["lineup"] = sign * names[:, None]
    assert {row.attack for row in split.null_audit(found) if row.status == "fail"} == {"ridge", "pool"}
    assert split.controls(found).status == "fail"


@pytest.mark.parametrize("sign", SIDES.values(), ids=SIDES)
def test_of_names_that_were_exchanged(sign):
    rng, names = np.random.default_rng(0), np.eye(N)[None, :, None]
    noise = rng.normal(size=(4, 1, N, 1, N))

    def left(added):
        evidence = {
            "a": {"lineup": noise[0], "null_lineup": noise[1] + added},
            "mean": {"lineup": noise[2] + added, "null_lineup": noise[3]},
        }  # fmt: skip
        attacks = [{"id": "a", "control": False}, {"id": "mean", "control": True}]
        return Measured(Left({"seed": 0, "attacks": attacks, "threat": {"targets": 1}}, {}, evidence, None))

    fair, unfair = left(0.0 * names), left(9.0 * sign * names)
    assert {row.status for row in inversion.null_audit(fair)} == {"pass"}
    assert inversion.controls(fair).status == "pass"
    assert {row.attack: row.status for row in inversion.null_audit(unfair)} == {"a": "fail", "mean": "pass"}
    assert inversion.controls(unfair).status == "fail"


def test_both_tests_hold_their_level():
    """Of 200 noisy attacks the share below 0.1 is at most 0.1, but for luck; the same for ties."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        said, coins = rng.integers(4, size=(1, 20, 20)).astype(float), np.arange(20) % 2
        found.append(
            [
                names_at_chance(said, rng=rng, draws=199),
                *attributes_at_chance([said[..., :2]], coins, np.arange(20), rng=rng, draws=199),
            ]
        )
    small = (np.array(found) <= 0.1).mean(0)
    assert (small <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 200)).all()
    assert (small > 0).all()
