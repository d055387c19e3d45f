"""Who sees what and could learn what: topologies made by hand, and laws that all topologies keep."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dosimeter.families.risks import AT_WILL, PASSING, risks
from dosimeter.families.rules import RULES
from dosimeter.families.sights import WIRE, StageRole, edge_problems, sights
from dosimeter.families.topology import Edge, Holding, ModelPart, Party, Topology

KNOWN = {"membership": {"labels", "probs", "logits", "weights"}}
NONE_YET = {}


def topology(parties, parts, edges=(), holds=()):
    """A topology and its one stage, "net", trained on "train"; parts run in the order in which they are given."""
    made = tuple(ModelPart(name, "net", at) for name, at in parts)
    made = tuple(
        ModelPart(one.name, "net", one.at, f"l{i}" if i else None, f"l{i + 1}" if i + 1 < len(made) else None)
        for i, one in enumerate(made)
    )
    whole = Topology(
        tuple(Party(*one) for one in parties),
        made,
        tuple(Edge(*one) for one in edges),
        tuple(Holding(*one) for one in holds),
    )
    return whole, [StageRole("net", "train", made)]


def seen(found, party):
    return {(one.sees, one.way) for one in found if one.party == party}


def learned(found, *adversary):
    """Rule, data and holder of what an adversary could learn."""
    return {(one.rule.name, one.data, one.holder) for one in found if one.adversary == adversary}


def one_of(found, rule, *adversary):
    (risk,) = [one for one in found if one.rule.name == rule and one.adversary == adversary]
    return risk


SPLIT = (
    [("phone", "full"), ("server", "honest-but-curious", "public")],
    [("device", "phone"), ("rest", "server")],
    [("device", "rest", "features"), ("rest", "device", "probabilities")],
    [("phone", "users", ("sex",))],
)
"""Privacy Partitioning: a few layers on the device, the others on a server that looks."""


def test_the_bipartite_example():
    whole, stages = topology(*SPLIT)
    found = sights(whole, stages)
    assert seen(found, "phone") == {("weights", "runs device"), ("probabilities", "rest -> device")}
    assert seen(found, "server") == {
        ("weights", "runs rest"), ("logits", "runs rest"), ("features", "device -> rest"),
    }  # fmt: skip
    assert seen(found, WIRE) == {("features", "device -> rest"), ("probabilities", "rest -> device")}
    assert {one.cut for one in found if one.sees == "features"} == {"l1"}
    risk = risks(whole, stages, KNOWN)
    users = {("reconstruction", "users", "phone"), ("attributes", "users", "phone")}
    users |= {("attributes-of-answers", "users", "phone")}
    trained = {("membership", "train", None), ("inversion", "train", None)}
    assert learned(risk, "server") == learned(risk, WIRE) == users | trained
    assert learned(risk, "phone") == set()  # it is trusted
    server = one_of(risk, "attributes", "server")
    assert (server.attributes, server.access, server.knows) == (("sex",), "features", "weights assumed known")
    assert one_of(risk, "reconstruction", WIRE).knows == "weights unknown"


def test_what_can_be_tested_and_why_not():
    whole, stages = topology(*SPLIT)
    risk = risks(whole, stages, KNOWN)
    server, wire = (one_of(risk, "membership", who) for who in ("server", WIRE))
    assert (server.tested, server.access, server.knows) == (True, "weights", "weights assumed known")
    assert server.remark == 'family = "membership", at_risk = "net", access = "weights"'
    assert (wire.tested, wire.access, wire.knows) == (False, "probabilities", PASSING)
    assert "choose the records" in wire.remark
    assert {one.remark for one in risk if one.rule.family == "split"} == {"this release has no attacks of family split"}
    assert not any(one.tested for one in risks(whole, stages, NONE_YET))
    assert all(one.remark for one in risk)


def test_features_are_tested_where_attacks_read_them():
    both = {**KNOWN, "split": {"features"}}
    whole, (net,) = topology(*SPLIT)
    found = risks(whole, [net], both)
    input_, attributes = (one_of(found, rule, "server") for rule in ("reconstruction", "attributes"))
    assert input_.remark == (
        'family = "split", at_risk = "net", access = "features", auxiliary = "public", victims = "users", '
        'cuts = ["l1"], knows = "weights"'
    )
    assert attributes.remark == input_.remark + ', attributes = ["sex"]'
    assert input_.tested
    assert attributes.tested
    wire = one_of(found, "reconstruction", WIRE)
    assert not wire.tested
    assert "records of the adversary's own" in wire.remark
    floor = one_of(found, "attributes-of-answers", "server")
    assert not floor.tested
    assert "`output_only`" in floor.remark
    parties, parts, edges, holds = SPLIT
    poor, stages = topology([parties[0], parties[1][:2]], parts, edges, holds)
    assert "`auxiliary`" in one_of(risks(poor, stages, both), "reconstruction", "server").remark
    later = [net, StageRole("after", "more")]
    assert "last stage" in one_of(risks(whole, later, both), "reconstruction", "server").remark


def test_nobody_is_an_adversary_of_records_that_they_have_already():
    parties, parts, edges, _ = SPLIT
    whole, stages = topology(parties, parts, edges, [("phone", "public", ("sex",))])
    found = risks(whole, stages, {**KNOWN, "split": {"features"}})
    assert not any(one.data == "public" for one in found if one.adversary == ("server",))
    assert any(one.data == "public" for one in found if one.adversary == (WIRE,))


def test_inversion_needs_records_of_others_and_the_last_stage():
    both = {**KNOWN, "inversion": {"weights"}}
    whole, (net,) = topology(*SPLIT)
    found = one_of(risks(whole, [net], both), "inversion", "server")
    assert (found.tested, found.remark[-33:]) == (True, 'access = "weights", public = "public"'[-33:])
    later = [net, StageRole("after", "more")]
    assert "last stage" in one_of(risks(whole, later, both), "inversion", "server").remark
    parties, parts, edges, holds = SPLIT
    poor, stages = topology([parties[0], parties[1][:2]], parts, edges, holds)
    assert "`auxiliary`" in one_of(risks(poor, stages, both), "inversion", "server").remark


def test_features_cross_even_if_no_edge_says_so():
    parties, parts, _, holds = SPLIT
    silent, stages = topology(parties, parts, [], holds)
    assert ("features", "device -> rest") in seen(sights(silent, stages), "server")
    assert ("reconstruction", "users", "phone") in learned(risks(silent, stages, KNOWN), WIRE)


def test_parts_of_one_party_send_nothing():
    whole, stages = topology(
        [("phone", "honest-but-curious")], [("a", "phone"), ("b", "phone")], [("a", "b", "features")],
        [("phone", "users")],
    )  # fmt: skip
    assert seen(sights(whole, stages), WIRE) == set()
    assert {one.rule.name for one in risks(whole, stages, KNOWN)} == {"membership", "inversion"}


def test_a_model_behind_an_address_sees_the_records():
    """The server runs all of it: it sees the records, the clients see answers, and nobody sees features."""
    whole, stages = topology(
        [("client", "honest-but-curious"), ("server", "honest-but-curious")],
        [("all", "server")],
        [],
        [("client", "users", ("sex",)), ("server", "train")],
    )
    found = sights(whole, stages)
    assert ("inputs", "client -> all") in seen(found, "server")
    assert ("inputs", "client -> all") in seen(found, WIRE)
    risk = risks(whole, stages, KNOWN)
    records = one_of(risk, "records", "server")
    assert (records.data, records.holder, records.tested) == ("users", "client", False)
    assert "nothing to test" in records.remark
    assert learned(risk, "client") == set()  # no edge gives it answers
    assert ("membership", "train", "server") not in learned(risk, "server")  # its own data


def test_a_client_that_asks_can_be_tested_for_membership_and_could_copy_the_model():
    whole, stages = topology(
        [("client", "honest-but-curious"), ("server", "full")],
        [("front", "client"), ("all", "server")],
        [("all", "front", "labels")],
        [("client", "users"), ("server", "train")],
    )
    risk = risks(whole, stages, KNOWN)
    member = one_of(risk, "membership", "client")
    assert (member.access, member.knows, member.tested, member.holder) == ("labels", AT_WILL, True, "server")
    copied = one_of(risk, "copy", "client")
    assert (copied.holder, copied.data, copied.tested) == ("server", None, False)


def test_the_device_holds_the_labels():
    """U-shaped: the device runs the first and the last part, so the server sees neither labels nor answers."""
    whole, stages = topology(
        [("phone", "full"), ("server", "malicious")],
        [("first", "phone"), ("middle", "server"), ("last", "phone")],
        [("last", "middle", "gradients"), ("middle", "first", "gradients")],
        [("phone", "train")],
    )
    found = sights(whole, stages)
    assert seen(found, "server") == {
        ("weights", "runs middle"), ("features", "first -> middle"), ("gradients", "last -> middle"),
    }  # fmt: skip
    risk = risks(whole, stages, KNOWN)
    names = {one.rule.name for one in risk if one.adversary == ("server",)}
    assert names == {"reconstruction", "attributes", "hidden-labels", "gradients", "steering", "membership"}
    assert one_of(risk, "steering", "server").malicious
    member = one_of(risk, "membership", "server")
    assert (member.access, member.tested) == ("features", False)
    assert "steering" not in {one.rule.name for one in risk if one.adversary == (WIRE,)}


def test_who_sees_no_answers_gets_threats_with_hidden_answers():
    whole, stages = topology(
        [("phone", "full"), ("server", "honest-but-curious", "public")],
        [("first", "phone"), ("middle", "server"), ("last", "phone")],
        holds=[("phone", "users")],
    )
    found = risks(whole, stages, {"split": {"features"}})
    hidden = one_of(found, "reconstruction", "server")
    assert hidden.tested
    assert hidden.threat["answers"] == "hidden"
    assert one_of(found, "hidden-labels", "server").threat["attributes"] == ("label",)
    two, stages = topology(*SPLIT)
    assert "answers" not in one_of(risks(two, stages, {"split": {"features"}}), "reconstruction", "server").threat


def test_only_a_party_that_returns_gradients_and_departs_from_the_protocol_steers():
    parts = [("first", "phone"), ("rest", "server")]
    back = [("rest", "first", "gradients")]
    for trust, edges, steers in (
        ("malicious", back, True), ("honest-but-curious", back, False), ("malicious", [], False),
    ):  # fmt: skip
        whole, stages = topology([("phone", "full"), ("server", trust)], parts, edges, [("phone", "users")])
        assert ("steering" in {one.rule.name for one in risks(whole, stages, KNOWN)}) == steers


def test_gradients_that_a_party_sends_itself_steer_nobody():
    whole, stages = topology(
        [("phone", "full"), ("server", "malicious")],
        [("first", "phone"), ("middle", "server"), ("last", "server")],
        [("last", "middle", "gradients")],
        [("phone", "users")],
    )
    assert "steering" not in {one.rule.name for one in risks(whole, stages, KNOWN)}


def test_labels_that_cross_are_seen_and_not_inferred():
    whole, stages = topology(
        [("phone", "full"), ("server", "honest-but-curious")],
        [("first", "phone"), ("middle", "server"), ("last", "phone")],
        [("first", "middle", "labels")],
        [("phone", "users")],
    )
    names = {one.rule.name for one in risks(whole, stages, KNOWN) if one.adversary == ("server",)}
    assert "labels" in names
    assert "hidden-labels" not in names


def test_two_parties_together():
    """Neither knows the whole model; together they do, so the weights are theirs."""
    whole, stages = topology(
        [("phone", "full"), ("edge", "honest-but-curious"), ("cloud", "honest-but-curious")],
        [("a", "edge"), ("b", "cloud")],
        [],
        [("phone", "users"), ("hospital", "train")],
    )
    whole = Topology((*whole.parties, Party("hospital", "full")), whole.parts, whole.edges, whole.holds)
    risk = risks(whole, stages, KNOWN)
    assert [one.access for one in risk if one.rule.name == "membership" and one.adversary == ("cloud",)] == ["weights"]
    alone, both = (one_of(risk, "membership", *who) for who in (("cloud",), ("edge", "cloud")))
    assert (alone.knows, both.knows) == ("weights assumed known", "weights known")
    # the first sees the records themselves, so together they see no more of them than it does
    assert "records" not in {one.rule.name for one in risk if one.adversary == ("edge", "cloud")}
    assert ("membership", "train", "hospital") not in learned(risk, "edge")


def test_an_update_tells_of_the_records_that_its_sender_trained_on():
    whole, stages = topology(
        [("bank", "full"), ("server", "honest-but-curious")],
        [("a", "bank"), ("b", "server")],
        [("a", "b", "weights")],
        [("bank", "train")],
    )
    risk = risks(whole, stages, KNOWN)
    assert one_of(risk, "updates", "server").ways == ("a -> b",)
    member = one_of(risk, "membership", "server")
    assert (member.access, member.knows) == ("weights", "weights known")
    assert one_of(risk, "reconstruction", "server").knows == "weights known"


def test_records_of_earlier_stages_are_at_risk_too():
    whole, (net,) = topology(*SPLIT)
    stages = [StageRole("before", "photos"), net]
    risk = [one for one in risks(whole, stages, KNOWN) if one.rule.name == "membership"]
    assert {(one.adversary, one.at_risk, one.data) for one in risk} == {
        ((who,), stage, data) for who in ("server", WIRE) for stage, data in (("before", "photos"), ("net", "train"))
    }
    unknown = [StageRole("before", None), net]
    untold = [one for one in risks(whole, unknown, KNOWN) if one.at_risk == "before"]
    assert [one.tested for one in untold] == [False, False]


def test_data_that_the_adversary_has_is_not_at_risk():
    parties, parts, edges, holds = SPLIT
    own = [parties[0], ("server", "honest-but-curious", "train")]
    whole, stages = topology(own, parts, edges, holds)
    assert {one.rule.name for one in risks(whole, stages, KNOWN) if one.data == "train"} == {"membership", "inversion"}
    assert {one.adversary for one in risks(whole, stages, KNOWN) if one.data == "train"} == {(WIRE,)}


@pytest.mark.parametrize(
    ("edge", "told"),
    [
        (("a", "c", "features"), "the part that runs next"),
        (("c", "a", "features"), "the part that runs next"),
        (("a", "b", "logits"), "the last part"),
        (("b", "a", "probabilities"), "the last part"),
    ],
)
def test_edges_against_the_order_of_the_parts_are_told(edge, told):
    whole, stages = topology([("p", "full"), ("q", "full")], [("a", "p"), ("b", "q"), ("c", "p")], [edge])
    (line,) = edge_problems(whole, stages)
    assert line.startswith("topology.edges[0]: ")
    assert told in line
    fine, stages = topology([("p", "full"), ("q", "full")], [("a", "p"), ("b", "q")], [("a", "b", "features")])
    assert edge_problems(fine, stages) == []


TRUST = st.sampled_from(["full", "honest-but-curious", "malicious"])


@st.composite
def topologies(draw):
    names = ["p", "q", "r"]
    parts = [(f"m{i}", draw(st.sampled_from(names))) for i in range(draw(st.integers(1, 4)))]
    pairs = [(a, b) for a, b in itertools.permutations([name for name, _ in parts], 2)]
    kinds = st.sampled_from(["gradients", "weights", "labels"])
    edges = draw(st.lists(st.tuples(st.sampled_from(pairs), kinds), max_size=4, unique=True)) if pairs else []
    holds = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(["train", "users"])), unique=True))
    parties = [(name, draw(TRUST)) for name in names]
    return parties, parts, [(*pair, kind) for pair, kind in edges], holds  # classes are made in the tests


@given(topologies())
def test_laws_of_all_topologies(drawn):
    whole, stages = topology(*drawn)
    found, risk = sights(whole, stages), risks(whole, stages, KNOWN)
    trust = {one.name: one.trust for one in whole.parties}
    for one in risk:
        assert all(name == WIRE or trust[name] != "full" for name in one.adversary)
        assert one.holder not in one.adversary
        assert one.remark
        assert not one.tested or one.rule.family in KNOWN
        assert not one.rule.active or one.malicious
        shown = {each.way for each in found if each.party in one.adversary}
        assert set(one.ways) <= shown
    # whatever crosses between two parties can be read on the wire
    crossing = {(one.sees, one.way) for one in found if one.crosses}
    assert {(one.sees, one.way) for one in found if one.party == WIRE} == crossing
    assert len(set(risk)) == len(risk)


@given(topologies())
def test_more_trust_is_never_more_risk(drawn):
    """Trusting a party wholly takes away its risks and those of its coalitions, and changes no others."""
    whole, stages = topology(*drawn)
    trusted = tuple(Party(one.name, "full" if one.name == "p" else one.trust) for one in whole.parties)
    fewer = risks(Topology(trusted, whole.parts, whole.edges, whole.holds), stages, KNOWN)
    assert list(fewer) == [one for one in risks(whole, stages, KNOWN) if "p" not in one.adversary]


def test_every_rule_names_its_source():
    assert len({one.name for one in RULES}) == len(RULES)
    for one in RULES:
        assert one.source.startswith("follows") or "https://" in one.source
