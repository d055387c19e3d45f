"""Chains of one audit file: which stages are in which where joint stages branch off, and whose threats they are."""

from __future__ import annotations

import pytest
from families.exchange.games import BASE, table

from dosimeter.config.audit import parse
from dosimeter.config.stages.leg_audits import split
from dosimeter.config.stages.legs import legs_of
from dosimeter.foundation.errors import ConfigError

NET = "families.exchange.games:net"


def life(**threats):
    """A file with two plain stages, a joint one after the first, another joint one, and a threat for each chain."""
    raw = table()
    joint = {**raw["stage"][0], "name": "joint", "after": "first"}
    del joint["model"], joint["test"]
    raw["stage"] = [
        {"name": "first", "data": "own", "model": NET, "epochs": 1},
        {"name": "second", "data": "later", "transfer": "head", "epochs": 1},
        joint,
        {**joint, "name": "anew", "after": None, "model": NET, "transfer": "coral"},
    ]
    raw["stage"][3].pop("after")
    exchange = raw.pop("threat")
    raw["threat"] = [
        {"id": "members", "shadows": 4, "targets": 2},
        {**exchange, "id": "joint", "at_risk": "joint"},
        {**exchange, "id": "anew", "at_risk": "anew"},
    ]
    del raw["attack"]
    for place, changes in threats.items():
        row = raw["threat"][int(place[1:])]
        raw["threat"][int(place[1:])] = {key: one for key, one in {**row, **changes}.items() if one is not None}
    return raw


def test_a_file_is_cut_into_chains_with_their_threats():
    audit = parse(life(), base=BASE)
    assert legs_of(audit.stages) == ((0, 1), (0, 2), (3,))
    found = split(audit)
    assert [[stage.name for stage in own.stages] for _, own in found] == [["first", "second"], ["first", "joint"],
                                                                         ["anew"]]  # fmt: skip
    assert [[row.id for row in own.threats] for _, own in found] == [["members"], ["joint"], ["anew"]]
    assert [audit.index_of(row) for row in audit.threats] == [1, 2, 3]
    assert [own.index_of(own.threats[0]) for _, own in found] == [1, 1, 0]
    early = parse(life(t0={"at_risk": "first"}), base=BASE)
    assert [row.id for row in split(early)[0][1].threats] == ["members"]


def test_a_chain_of_which_no_threat_asks_is_left_out():
    raw = life()
    raw["threat"] = raw["threat"][1:2]
    ((leg, own),) = split(parse(raw, base=BASE))
    assert leg == (0, 2)
    assert [stage.name for stage in own.stages] == ["first", "joint"]


def test_one_joint_stage_at_the_end_is_the_chain_itself():
    raw = table()
    audit = parse(raw, base=BASE)
    assert legs_of(audit.stages) == ((0,),)
    assert split(audit) == (((0,), audit),)
    assert legs_of([None, *audit.stages]) == ((0, 1),)


@pytest.mark.parametrize(
    ("stage", "changes", "line"),
    [
        (2, {"after": "frist"}, "stage[2].after: must be a plain stage of this file, got 'frist', did you mean"),
        (2, {"after": "anew"}, "stage[2].after: must be a plain stage of this file, got 'anew'"),
        (1, {"after": "first"}, "stage[1].after: only a joint stage branches off, got 'first': remove it"),
        (2, {"model": NET}, "stage[2].model: a stage that starts from 'first' takes its model, got"),
        (3, {"transfer": "l2-sp"}, "stage[3].transfer: 'l2-sp' stays near the weights of the stage before"),
        (1, {"transfer": "scratch", "sample": 0.5}, "stage[1].sample: only a stage after the one at risk draws"),
    ],
)  # fmt: skip
def test_a_stage_that_cannot_branch_off_is_one_line(stage, changes, line):
    raw = life()
    raw["stage"][stage] |= changes
    with pytest.raises(ConfigError) as caught:
        parse(raw, base=BASE)
    assert [one for one in caught.value.problems if one.startswith(line)], caught.value.problems


def test_a_threat_says_which_joint_stage_it_is_about():
    with pytest.raises(ConfigError) as caught:
        parse(life(t2={"at_risk": None}), base=BASE)
    assert (
        "threat[2].at_risk: is required where several joint stages are written, got none: write 'joint' or 'anew'"
        in (caught.value.problems)
    )
    with pytest.raises(ConfigError, match="must be the last stage, which the parties train together, got 'first'"):
        parse(life(t2={"at_risk": "first"}), base=BASE)
