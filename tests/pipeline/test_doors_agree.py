"""One set of scores through two doors gives one set of numbers."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audits import QUICK, gaussian, material
from flat import flat, result

from dosimeter.pipeline import table as table_module
from dosimeter.results.rounding import round_numbers

ROWS = tuple(row for row in QUICK if not row.attack.control)


def exported(found, design, path):
    """A recipe's evidence as a table: targets are measured, and each fold's rehearsals calibrate its targets."""
    columns: dict[str, list] = {
        name: [] for name in ("attack", "target", "model", "id", "score", "is_member", "split", "group")
    }

    def add(attack, target, model, scores, bits, split):
        block = {
            "attack": attack, "target": f"t{target}", "model": model, "id": design.ids, "score": scores,
            "is_member": bits, "split": split, "group": design.groups,
        }  # fmt: skip
        for name, value in block.items():
            columns[name] += [value] * len(scores) if isinstance(value, str) else list(value)

    for attack, values in found.scores.items():
        for target, bits in enumerate(found.truth.is_member):
            add(attack, target, f"t{target}", values[target], bits, "test")
            block = found.calibration.block[target]
            pairs = zip(found.calibration.scores[attack][block], found.calibration.is_member[block], strict=True)
            for number, (scores, inside) in enumerate(pairs):
                add(attack, target, f"rehearsal {number}", scores, inside, "calibration")
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("targets", [1, 4])
def test_a_recipes_scores_give_the_same_estimates_as_a_table(tmp_path, targets):
    design, observations = gaussian(11, leakage=1.0, n=400, shadows=8, targets=targets)
    groups = np.where(np.arange(400) % 3 == 0, "a", "b")
    found = material(dataclasses.replace(design, groups=groups), observations, rows=ROWS)
    path = tmp_path / "evidence.parquet"
    exported(found, dataclasses.replace(design, groups=groups), path)
    table = flat(table_module.measure_scores(path, tmp_path / "out"))
    recipe = round_numbers(result(found))
    for row in recipe["estimates"]:
        row["stage"] = "unknown"
        row["threshold"] = "split" if row["threshold"] == "shadow" else row["threshold"]
    assert table["estimates"] == recipe["estimates"]
    assert table["curves"] == recipe["curves"]
    assert table["histograms"] == recipe["histograms"]
    assert [one["headline"] for one in table["attacks"]] == [one["headline"] for one in recipe["attacks"]]
    assert table["verdict"]["status"] == recipe["verdict"]["status"] == "shown"
    assert len([row for row in table["estimates"] if row["group"]]) == 4
