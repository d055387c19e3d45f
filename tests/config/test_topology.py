"""`[topology]` in an audit file: read, validated by one line for each problem, and not ignored by `plan`."""

import dataclasses
import tomllib

import pytest

from dosimeter.config.audit import parse
from dosimeter.families.topology import Edge, Holding, ModelPart, Party
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

GOOD = """
name = "split"
[data.users]
data = "people.csv"
data_options = { attributes = ["sex"] }
[data.public]
data = "others.csv"
data_options = { attributes = ["sex"] }
[data.more]
data = "digits"
rows = "0:100"
[[stage]]
name = "finetune"
data = "users"
model = "mlp"
[topology]
parties = [{ name = "phone", trust = "full" }, { name = "server", trust = "honest-but-curious", auxiliary = "public" }]
parts = [{ name = "device", stage = "finetune", to = "backbone.1", at = "phone" },
         { name = "rest", stage = "finetune", from = "backbone.1", at = "server" }]
edges = [{ from = "device", to = "rest", sends = "features" }, { from = "rest", to = "device", sends = "logits" }]
holds = [{ party = "phone", data = "users", attributes = ["sex"] }]
"""


@pytest.fixture
def folder(tmp_path):
    rows = "".join(f"{i},{'fm'[i % 2]},{i % 3}\n" for i in range(40))
    (tmp_path / "people.csv").write_text("age,sex,label\n" + rows)
    others = "".join(f"{i + 0.5},{'fm'[i // 2 % 2]},{i % 3}\n" for i in range(60))
    (tmp_path / "others.csv").write_text("age,sex,label\n" + others)
    return tmp_path


def refused(text, folder):
    """Lines about an audit file."""
    with pytest.raises(AuditError) as caught:
        prepare(parse(tomllib.loads(text), base=folder), store=Store(folder / "store"))
    assert all(line.isprintable() and ": " in line for line in caught.value.problems)
    return list(caught.value.problems)


def test_a_topology_is_read(folder):
    found = parse(tomllib.loads(GOOD), base=folder).topology
    assert found.parties == (Party("phone", "full"), Party("server", "honest-but-curious", "public"))
    assert found.parts[0] == ModelPart("device", "finetune", "phone", None, "backbone.1")
    assert found.parts[1].first == "backbone.1"
    assert found.edges == (Edge("device", "rest", "features"), Edge("rest", "device", "logits"))
    assert found.holds == (Holding("phone", "users", ("sex",)),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.parties = ()


def test_tables_in_double_brackets_mean_the_same(folder):
    first = parse(tomllib.loads(GOOD), base=folder)
    text = (
        GOOD[: GOOD.index("holds = ")] + '[[topology.holds]]\nparty = "phone"\ndata = "users"\nattributes = ["sex"]\n'
    )
    assert parse(tomllib.loads(text), base=folder).topology == first.topology
    again = first.settings()["topology"]
    assert again["edges"][0] == {"from": "device", "to": "rest", "sends": "features"}
    assert parse({**tomllib.loads(GOOD), "topology": _without_none(again)}, base=folder).topology == first.topology


def _without_none(value):
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def test_a_file_without_one_is_as_before(folder):
    audit = parse(tomllib.loads(GOOD[: GOOD.index("[topology]")]), base=folder)
    assert audit.topology is None
    assert "topology" not in audit.settings()


def test_threats_follow_from_it(folder):
    audit = parse(tomllib.loads(GOOD), base=folder)
    assert not audit.written
    found = {row.id: row for row in audit.threats}
    assert list(found) == ["membership-server", "inversion-server", "split-server"]
    assert all(row.derived for row in audit.threats)
    split = found["split-server"].threat
    assert (split.cuts, split.auxiliary, split.victims, split.attributes) == (
        ("backbone.1",),
        "public",
        "users",
        ("sex",),
    )
    assert (found["membership-server"].threat.access, found["inversion-server"].threat.public) == ("weights", "public")


def test_threats_that_the_file_writes_win(folder):
    audit = parse(tomllib.loads(GOOD.replace("[topology]", "[threat]\nshadows = 4\n[topology]")), base=folder)
    assert audit.written
    assert [(row.id, row.threat.shadows, row.derived) for row in audit.threats] == [("membership", 4, False)]


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_topology_that_exposes_nothing_that_is_tested_is_refused(verb, folder):
    text = GOOD.replace('trust = "honest-but-curious"', 'trust = "full"')
    audit = parse(tomllib.loads(text), base=folder)
    with pytest.raises(AuditError) as caught:
        verbs.plan(audit, store=folder / "s") if verb == "plan" else verbs.run(audit, folder / "out")
    assert caught.value.problems[0].startswith("topology: must expose something that this release tests, got 2 parties")
    assert not list((folder / "s").rglob("*.safetensors"))


def test_a_variant_that_knows_more_needs_a_threat_that_it_changes(folder):
    text = GOOD + '[[variant]]\nid = "more"\nknows = ["initialisation"]\n'
    said = r"variant\[0\].knows: is a key of a \[threat\], got 'more' beside \[topology\]"
    with pytest.raises(AuditError, match=said):
        parse(tomllib.loads(text), base=folder)


CASES = [
    ('trust = "full"', 'trust = "half"', "topology.parties[0].trust: must be one of 'full', 'honest-but-curious'"),
    ('trust = "full"', 'trst = "full"', "topology.parties[0].trst: unknown key, did you mean 'trust'?"),
    ('name = "phone"', 'name = "a b"', "topology.parties[0].name: must be 1 to 64 letters"),
    ('name = "server"', 'name = "phone"', "topology.parties: names must be distinct, got 'phone' 2 times"),
    ('auxiliary = "public"', 'auxiliary = "publik"', "parties[1].auxiliary: no such part of data, got 'publik', did"),
    ('name = "rest", ', 'name = "device", ', "topology.parts: names must be distinct, got 'device' 2 times"),
    ('stage = "finetune", to', 'stage = "fintune", to', "topology.parts[0].stage: no such stage, got 'fintune', did"),
    ('at = "server"', 'at = "sever"', "topology.parts[1].at: no such party, got 'sever', did you mean 'server'?"),
    (', at = "server"', "", "topology.parts[1].at: is required and missing: add it"),
    ('to = "backbone.1", at', 'too = "backbone.1", at', "topology.parts[0].too: unknown key, did you mean 'to'?"),
    ('sends = "features"', 'sends = "feature"', "topology.edges[0].sends: must be one of 'features', 'logits'"),
    ('from = "device", to = "rest"', 'from = "rest", to = "rest"', "topology.edges[0]: must go from one part to anot"),
    ('{ from = "device", to = "rest"', '{ to = "rest"', "topology.edges[0].from: is required and missing: add it"),
    ('to = "rest", sends', 'to = "rst", sends', "topology.edges[0].to: no such part of a model, got 'rst', did you"),
    ('from = "rest", to = "device", sends = "logits"', 'from = "device", to = "rest", sends = "features"', "edges[1]"),
    ('{ party = "phone"', '{ party = "phne"', "topology.holds[0].party: no such party, got 'phne', did you mean 'pho"),
    ('party = "phone", data = "users"', 'party = "phone", data = "usrs"', "topology.holds[0].data: no such part of d"),
    ('attributes = ["sex"] }]', 'attributes = ["sxe"] }]', "holds[0].attributes: the records of 'users' have no such"),
    ('attributes = ["sex"] }]', 'attributes = ["sex", "sex"] }]', "topology.holds[0].attributes: must be distinct"),
    ('"users", attributes = ["sex"] }]', '"more", attributes = ["sex"] }]', "name it in the data_options.attribute"),
    ("holds = ", "hold = ", "topology.hold: unknown key, did you mean 'holds'?"),
    ('holds = [{ party = "phone", data = "users", attributes = ["sex"] }]', "holds = 3", "topology.holds: must be a"),
    (GOOD[GOOD.index("parties = ") :], "", "topology.parties: must have a row, got none: add one"),
    (GOOD[GOOD.index("[topology]") :], "[[topology]]", "topology: must be a table, got [{}]: write the table's head"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), CASES, ids=[case[2][:60] for case in CASES])
def test_a_wrong_topology_is_one_line(old, new, said, folder):
    assert old in GOOD
    problems = refused(GOOD.replace(old, new, 1), folder)
    assert len([line for line in problems if said in line]) == 1, problems
    assert len(problems) <= 3, problems


def test_a_topology_beside_a_supplied_model_is_refused(folder):
    text = '[target]\nmodel = "m:f"\nmembers = "a.npz"\nnonmembers = "b.npz"\n' + GOOD[GOOD.index("[topology]") :]
    assert any(line.startswith("topology: names stages, got it beside [target]") for line in refused(text, folder))
