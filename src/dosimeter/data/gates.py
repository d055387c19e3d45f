"""Checks of records: duplicates between parts, and copies within a part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate

COPIES = 0.01
"""Largest share of judged records with a copy, before the check warns."""


def near_duplicates(pairs: int, told: str, *, remarkable: bool, content: Int[Array, " n"] | None = None) -> Gate:
    """P9: members and non-members that are nearly the same record.

    Args:
        pairs: number of pairs.
        told: which, in words.
        remarkable: whether there are more than the non-members have among themselves.
        content: a number for what each record is, where copies within a part count as one; else None.
    """
    name, more = "Near duplicates across the split", ""
    if content is not None and (count := count_repeated(content)):
        more = (
            f" Within its part {count:,} of the {len(content):,} records are there more than once "
            f"({content.max() + 1:,} are different); copies count as one in every interval."
        )
    if not pairs:
        return Gate("P9", name, "pass", 0.0, f"No member is nearly the same as a non-member.{more}")
    if not remarkable:
        said = f"No more than such records have among themselves: {told}."
        return Gate("P9", name, "pass", float(pairs), said + more)
    return Gate(
        "P9", name, "warn", float(pairs),
        f"{told}. A model that remembers the one knows the other, so leakage is understated.{more}",
    )  # fmt: skip


def count_repeated(content: Int[Array, " n"]) -> int:
    """Number of records that occur more than once.

    Args:
        content: a number for what each record is, 0 to k - 1.
    """
    times = np.bincount(content)
    return int(times[times > 1].sum())


def copies(content: Int[Array, " n"], elsewhere: Mapping[str, int]) -> Gate:
    """P9 of a recipe: judged records that occur more than once, or also in other stages' data.

    Args:
        content: a number for what each judged record is.
        elsewhere: by name of another stage how many of the judged records are among its own.
    """
    count, n = count_repeated(content), len(content)
    name, most = "Near duplicates across the split", max(elsewhere.values(), default=0)
    if most > COPIES * n:
        listed = ", ".join(f"{found:,} in {place}" for place, found in elsewhere.items() if found)
        return Gate(
            "P9", name, "fail" if 2 * most > n else "warn", float(most),
            f"Of the {n:,} judged records there are also {listed}: one that counts as unused was used there, so the "
            f"numbers are not about this stage alone. Give each stage other records.",
        )  # fmt: skip
    if not count:
        return Gate("P9", name, "pass", 0.0, f"None of the {n:,} judged records is a copy of another.")
    told = f"{count:,} of the {n:,} judged records are there more than once ({content.max() + 1:,} are different)"
    if count <= COPIES * n:
        return Gate("P9", name, "pass", float(count), f"{told}; copies count as one in every interval.")
    return Gate(
        "P9", name, "warn", float(count),
        f"{told}. A model that did not use one copy may have used the other, so leakage is understated; copies count "
        f"as one in every interval.",
    )  # fmt: skip
