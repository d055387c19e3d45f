"""From a topology to threats: what is merged, named, covered by threats of a file, and told as not tested."""

import pytest

from dosimeter.families.derived import Listed, Unfit, access_words, answered, by_names, derived
from dosimeter.families.registry import FAMILIES
from dosimeter.families.risks import risks
from dosimeter.families.sights import StageRole
from dosimeter.families.split.threat import SplitThreat
from dosimeter.families.topology import Edge, Holding, ModelPart, Party, Topology

AVAILABLE = {name: access_words(family.settings) for name, family in FAMILIES.items()}
PARTS = (ModelPart("device", "net", "phone", None, "a"), ModelPart("rest", "net", "server", "a", None))


USERS = (Holding("phone", "users", ("sex",)),)


def made(*parties, holds=USERS, parts=PARTS, edges=()):
    return Topology((Party("phone", "full"), *parties), parts, edges, tuple(holds))


def of(topology, family="split"):
    stages = by_names(topology, [StageRole("net", "train")])
    return derived(topology, stages, family, FAMILIES[family].settings)


SERVER = Party("server", "honest-but-curious", "others")


def test_rows_of_one_adversary_become_one_threat():
    (one,) = of(made(SERVER))
    assert one == {
        "id": "split-server", "family": "split", "at_risk": "net", "access": "features", "auxiliary": "others",
        "victims": "users", "cuts": ("a",), "knows": "weights", "attributes": ("sex",),
    }  # fmt: skip
    assert SplitThreat.model_validate(one).attributes == ("sex",)


def test_each_kind_of_victims_is_a_threat_and_ids_are_distinct():
    more = [Holding("phone", "users", ("sex",)), Holding("phone", "queries")]
    tables = of(made(SERVER, holds=more))
    assert [one["id"] for one in tables] == ["split-server", "split-server-2"]
    assert [one["victims"] for one in tables] == ["users", "queries"]
    assert "attributes" not in tables[1]


def test_each_adversary_has_a_threat_and_equal_ones_share_it():
    both = made(SERVER, Party("cloud", "malicious", "others"), parts=(
        PARTS[0], ModelPart("rest", "net", "server", "a", "b"), ModelPart("last", "net", "cloud", "b", None),
    ))  # fmt: skip
    cuts = {one["id"]: one["cuts"] for one in of(both)}
    assert cuts == {"split-server": ("a",), "split-cloud": ("b",)}
    same = [one for one in of(both, "membership") if one["at_risk"] == "net"]
    assert len(same) == len({tuple(sorted(one.items()))[1:] for one in same})


@pytest.mark.parametrize("family", FAMILIES)
def test_no_table_of_a_family_that_nothing_exposes(family):
    assert of(Topology((Party("phone", "full"),), (ModelPart("all", "net", "phone"),)), family) == []


def test_without_auxiliary_records_nothing_follows_and_the_reason_is_told():
    poor = made(Party("server", "honest-but-curious"))
    assert of(poor) == []
    stages = by_names(poor, [StageRole("net", "train")])
    rows = answered(risks(poor, stages, AVAILABLE), {}, "net", {})
    (row,) = [one for one in rows if one.risk.rule.name == "reconstruction" and one.risk.adversary == ("server",)]
    assert row.threats == ()
    assert row.sentence.startswith("server, reconstruction (users of phone): the input. From features (weights assumed")
    assert "Not tested: attacks of family split need records of others: name them as `auxiliary`" in row.sentence
    assert all(one.threats or one.reason for one in rows)


def rows_of(threat, unfit=None):
    topology = made(SERVER, edges=(Edge("device", "rest", "features"),))
    stages = by_names(topology, [StageRole("net", "train")])
    found = answered(risks(topology, stages, AVAILABLE), {"mine": threat} if threat else {}, "net", unfit or {})
    return {one.risk.rule.name: one for one in found if one.risk.adversary == ("server",)}


FULL = SplitThreat(cuts=("a", "b"), auxiliary="others", victims="users", attributes=("sex",))
WEAKER = {
    "no attribute": ({"attributes": ()}, ["reconstruction"]),
    "another cut": ({"cuts": ("b",)}, []),
    "other victims": ({"victims": "queries"}, []),
    "an adversary who knows less": ({"knows": "queries"}, []),
    "an adversary who sees no answers, so that features are judged against nothing": ({"answers": "hidden"}, []),
    "another stage": ({"at_risk": "before"}, []),
    "other records of others": ({"auxiliary": "more"}, ["reconstruction", "attributes"]),
    "the same": ({}, ["reconstruction", "attributes"]),
}


@pytest.mark.parametrize("case", WEAKER)
def test_a_threat_of_the_file_tests_what_it_is_as_strong_as(case):
    change, tested = WEAKER[case]
    rows = rows_of(FULL.model_copy(update=change))
    assert [name for name, one in rows.items() if one.threats == ("mine",)] == tested
    for name in {"reconstruction", "attributes"} - set(tested):
        assert rows[name].reason.startswith("no threat of this file does; one with family = ")


def test_a_threat_that_does_not_fit_the_records_is_the_reason():
    rows = rows_of(None, {"split-server": Unfit(FULL, "victims: got none")})
    assert rows["attributes"].reason == "threat split-server does not fit the records (victims: got none)"


def test_parts_are_ordered_by_the_layers_at_which_they_end():
    parts = (
        ModelPart("c", "net", "q", "y"),
        ModelPart("a", "net", "p", None, "x"),
        ModelPart("b", "net", "q", "x", "y"),
    )
    topology = Topology((Party("p", "full"),), parts)
    (role,) = by_names(topology, [StageRole("net", None)])
    assert [one.name for one in role.parts] == ["a", "b", "c"]
    odd = Topology(topology.parties, (parts[0], ModelPart("a", "net", "p", None, "z")))
    assert by_names(odd, [StageRole("net", None)]) == (StageRole("net", None, odd.parts),)


def not_met(found, threat):
    """Rules of the rows of the server that a threat would test if it were as strong."""
    rows = answered(found, {"split": threat}, "net", {})
    return {one.risk.rule.name for one in rows if one.risk.threat and not one.threats}


LOOP = (
    PARTS[0], ModelPart("middle", "net", "server", "a", "b"), ModelPart("last", "net", "phone", "b", None),
)  # fmt: skip
BACK = (Edge("last", "middle", "gradients"), Edge("middle", "device", "gradients"))


@pytest.mark.parametrize(
    ("trust", "more"),
    [("honest-but-curious", {"gradients": True}), ("malicious", {"gradients": True, "active": True})],
)
def test_gradients_that_cross_are_keys_of_the_threats_that_follow(trust, more):
    """U-shaped: the server in the middle gets gradients and no labels; if it is malicious it may return others."""
    whole = made(Party("server", trust, "others"), parts=LOOP, edges=BACK)
    stages = by_names(whole, [StageRole("net", "train")])
    found = risks(whole, stages, {"split": {"features"}})
    mine = {one.rule.name: one for one in found if one.adversary == ("server",) and one.rule.family == "split"}
    hidden = mine["hidden-labels"]
    assert (hidden.tested, hidden.access, hidden.knows) == (True, "gradients", "weights assumed known")
    assert (hidden.threat["gradients"], hidden.threat["access"]) == (True, "features")
    assert "gradients = true" in hidden.remark
    assert "gradients" not in mine["reconstruction"].threat
    (threat,) = of(whole)
    assert {key: threat[key] for key in ("gradients", "active") if key in threat} == more
    assert threat["attributes"] == ("sex", "label")
    table = SplitThreat.model_validate(threat)
    assert not_met(found, table) == set()
    for key, rule in (("gradients", "hidden-labels"), ("active", "steering")):
        if key in more:  # a weaker threat does not test the row, and one without an attack for it neither
            assert rule in not_met(found, table.model_copy(update={key: False}))
            others = [played(goal, (flag,)) for goal in ("input", "attribute") for flag in set(more) - {key}]
            row = row_of(found, table, [*others, played("input"), played("attribute")], rule)
            assert row.reason == f"threat split has {key} and no attack that makes use of it"


def played(seeks, uses=(), refused=""):
    """An attack of split."""
    return Listed(f"{seeks} attack", seeks, {key: key in uses for key in ("gradients", "active")}, refused)


def row_of(found, table, attacks, rule):
    """One row of the server, with a threat that is strong enough and these attacks."""
    told = answered(found, {"split": table}, "net", {}, {"split": attacks})
    (row,) = [one for one in told if one.risk.rule.name == rule and one.risk.adversary == ("server",)]
    return row


LISTS = {
    "all that is sought": ([played("input"), played("attribute"), played("input", ["active"])], {}),
    "inputs alone": (
        [played("input")],
        {"attributes": "has no attack on what crosses that seeks private", "steering": "has active and no attack"},
    ),
    "a server that steers alone": (
        [played("input", ["active"])],
        {
            "reconstruction": "threat split has no attack on what crosses that seeks the input",
            "attributes": "has no attack on what crosses",
        },
    ),
    "refused": (
        [played("input"), played("attribute", refused="needs labels"), played("input", ["active"], "needs a training")],
        {
            "attributes": "no attack of threat split that would can run, attribute attack needs labels",
            "steering": "no attack of threat split that would can run, input attack needs a training",
        },
    ),
    "one of two is refused": (
        [played("input", refused="is slow"), played("input"), played("attribute"), played("input", ["active"])], {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_a_row_is_tested_by_an_attack_that_seeks_it_and_can_run(case):
    attacks, left = LISTS[case]
    whole = made(Party("server", "malicious", "others"), edges=(Edge("rest", "device", "gradients"),))
    found = risks(whole, by_names(whole, [StageRole("net", "train")]), {"split": {"features"}})
    (table,) = [SplitThreat.model_validate(one) for one in of(whole)]
    for rule in ("reconstruction", "attributes", "steering"):
        row = row_of(found, table, attacks, rule)
        assert bool(row.threats) == (rule not in left)
        assert left.get(rule, "") in row.reason
        assert bool(row.reason) == (rule in left)


def test_who_returns_gradients_and_sees_answers_steers_only_if_they_are_malicious():
    back = (Edge("rest", "device", "gradients"),)
    for trust in ("honest-but-curious", "malicious"):
        (threat,) = of(made(Party("server", trust, "others"), edges=back))
        assert threat.get("active", False) == (trust == "malicious")
        assert "gradients" not in threat
