"""Tables of scores that know nothing of membership: the door claims no leak. More: `benchmarks/null_claims.py`."""

from flat import result
from null_tables import material_of


def test_null_tables_claim_nothing_in_small():
    """8 tables: more than 3 claims happen with probability 0.04 % at a rate of 5 %."""
    claimed = held = 0
    for number in range(8):
        found = result(material_of("members are 80 %, coarse scores", number))
        claimed += found["verdict"]["status"] == "shown"
        row = next(
            row for row in found["estimates"] if (row["attack"], row["metric"]) == (found["verdict"]["attack"], "auc")
        )
        held += row["low"] <= 0.5 <= row["high"]
    assert claimed <= 3
    assert held >= 5
