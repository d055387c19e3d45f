"""`dosimeter plan --topology`: its tables, its JSON, and what it refuses."""

import json

import jaxtyping
import pytest

from dosimeter.cli.app import main

GOOD = """
name = "split"
[data.users]
data = "people.csv"
data_options = { attributes = ["sex"] }
[[stage]]
name = "finetune"
data = "users"
model = "mlp"
options = { width = 8, depth = 2 }
[topology]
parties = [{ name = "phone", trust = "full" }, { name = "server", trust = "honest-but-curious" }]
parts = [{ name = "device", stage = "finetune", to = "backbone.1", at = "phone" },
         { name = "rest", stage = "finetune", from = "backbone.1", at = "server" }]
edges = [{ from = "device", to = "rest", sends = "features" }, { from = "rest", to = "device", sends = "logits" }]
holds = [{ party = "phone", data = "users", attributes = ["sex"] }]
"""


@pytest.fixture(autouse=True)
def no_type_checks():
    """Types are not checked inside: `torch.fx` follows stand-ins for tensors, as it does outside of tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def plan(folder, capsys):
    """Runs the verb on a file's text: exit code, standard output and standard error."""
    rows = "".join(f"{i},{'fm'[i % 2]},{i % 3}\n" for i in range(40))
    (folder / "people.csv").write_text("age,sex,label\n" + rows)

    def call(text, *more):
        (folder / "audit.toml").write_text(text)
        code = main(["plan", "audit.toml", "--topology", *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_both_tables(plan, folder):
    code, out, err = plan(GOOD)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = lines[2 : next(i for i, line in enumerate(lines) if "is a cut of the topology" in line)]
    cuts = {line[2:26].strip(): line.split() for line in rows}
    # one number in, eight hidden: 1 x 8 + 8 weights, 8 multiply-adds, 32 bytes
    assert cuts["backbone.1"] == ["*", "backbone.1", "8", "32", "16", "8", "16", "8"]
    assert cuts["output"][-2:] == [str(16 + 72 + 27), str(8 + 64 + 24)]
    assert "    features after backbone.1: device -> rest" in lines
    assert "attributes (users of phone): private attributes (sex, and others that" in out
    told = " ".join(out.split())
    assert 'threat membership-server: family = "membership", at_risk = "finetune", access = "weights"' in told
    assert "1 of 10 are tested by 1 threat of this file. The others are listed in the result." in told
    assert "NOT TESTED: attacks of family split need records of others" in " ".join(out.split())
    assert sorted(path.name for path in folder.iterdir()) == ["audit.toml", "people.csv"]  # nothing is trained or kept


def test_the_same_as_json(plan):
    code, out, _ = plan(GOOD, "--json")
    found = json.loads(out)
    assert code == 0
    (stage,) = found["stages"]
    assert (stage["stage"], stage["used"]) == ("finetune", ["backbone.1"])
    cut = next(one for one in stage["cuts"] if "backbone.1" in one["names"])
    assert cut["bytes"] == {"float32": 32, "float16": 16, "int8": 8}
    assert (cut["parameters"], cut["multiply_adds"], cut["counted"], cut["modes"]) == (16, 8, True, [])
    assert [one["kind"] for one in stage["operations"]] == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert {one["sees"] for one in found["sights"] if one["party"] == "server"} == {"weights", "logits", "features"}
    assert all(one["remark"] for one in found["risks"])
    assert found["topology"]["holds"] == [{"party": "phone", "data": "users", "attributes": ["sex"]}]
    assert plan(GOOD, "--json")[1] == out  # no address in memory, no order of a set


def test_without_a_topology_the_cuts_of_the_last_stage_are_shown(plan):
    code, out, _ = plan(GOOD[: GOOD.index("[topology]")])
    assert code == 0
    assert "Cuts of stage finetune" in out
    assert "No [topology]" in out


def test_weights_of_a_given_stage_are_not_read(plan, folder):
    (folder / "given.safetensors").write_text("no weights at all")
    given = (
        '[[stage]]\nname = "given"\nmodel = "mlp"\noptions = { width = 8, depth = 2 }\nweights = "given.safetensors"\n'
    )
    text = GOOD.replace("[[stage]]", f"{given}[[stage]]").replace(
        'model = "mlp"\noptions = { width = 8, depth = 2 }\n[t', 'transfer = "head"\n[t'
    )
    code, out, err = plan(text)
    assert (code, err) == (0, "")
    assert "* backbone.1" in out
    assert "membership (the records of stage given)" in out  # they are at risk too, and the file does not name them


def test_a_stage_that_parties_train_is_read_and_what_it_cannot_be_asked_is_listed(plan):
    joint = GOOD.replace(
        'name = "finetune"\ndata = "users"\nmodel',
        'name = "finetune"\ntransfer = "coral"\nparties = { source = "users", receiver = "others" }\nmodel',
    )
    joint = joint.replace(
        "[[stage]]", '[data.others]\ndata = "people.csv"\ndata_options = { attributes = ["sex"] }\n[[stage]]'
    )
    code, out, err = plan(joint)
    assert (code, err) == (0, "")
    told = " ".join(out.split())
    assert "messages (others): private attributes of batches. From weights (messages of coral)" in told
    assert "NOT TESTED: no threat of family membership can be asked of a stage that parties train together" in told


WRONG = {
    "unknown party": ('at = "server"', 'at = "severs"', "topology.parts[1].at: no such party"),
    "a part that nobody runs": (', at = "server"', "", "topology.parts[1].at"),
    "data that are not declared": ('data = "users", att', 'data = "usrs", att', "topology.holds[0].data: no such"),
    "an attribute that they have not": ('attributes = ["sex"] }]', 'attributes = ["hair"] }]', "no such attribute"),
    "a cut that the model has not": (
        'to = "backbone.1"',
        'to = "block2"',
        "parts[0].to: the model of stage 'finetune'",
    ),
    "a gap": ('from = "backbone.1"', 'from = "backbone.2"', "none from 'backbone.1' to 'backbone'"),
    "an overlap": ('from = "backbone.1"', 'from = "backbone.0"', "must begin where the part before it ends"),
    "no end": ('from = "backbone.1", at', 'from = "backbone.1", to = "backbone.2", at', "to 'output'"),
    "backwards": ('from = "backbone.1", at', 'from = "backbone.1", to = "backbone.0", at', "must end after it begins"),
    "features backwards": (
        'sends = "logits"',
        'sends = "features"',
        "edges[1]: features must go to the part that runs",
    ),
    "answers too early": ('sends = "features"', 'sends = "logits"', "edges[0]: logits must come from the last part"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_in_one_line(plan, case):
    old, new, told = WRONG[case]
    assert old in GOOD
    code, out, err = plan(GOOD.replace(old, new, 1))
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert sum(told in line for line in lines) == 1
    assert all(line.startswith("error: ") and ": " in line[7:] for line in lines)
    assert "Traceback" not in err


def test_a_supplied_model_is_refused(plan):
    text = '[target]\nmodel = "m.safetensors"\nmembers = "people.csv"\nnonmembers = "people.csv"\n'
    code, _, err = plan(text)
    assert code == 2
    assert "plan --topology: needs a model that can be cut" in err


LONG_WAY = """
import torch

class LongWay(torch.nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.first = torch.nn.Linear(width, 4)
        self.head = torch.nn.Linear(4 + width, classes)

    def forward(self, x):
        return self.head(torch.cat([self.first(x).relu(), x], dim=1))

def build(shape, classes):
    return LongWay(shape[0], classes)
"""


def test_records_that_go_around_the_device_are_seen(plan, folder):
    (folder / "longway.py").write_text(LONG_WAY)
    own = GOOD.replace('model = "mlp"\noptions = { width = 8, depth = 2 }', 'model = "longway:build"')
    code, out, err = plan(own.replace("backbone.1", "first"))
    assert (code, err) == (0, "")
    assert "* first                    input and 1" in out
    assert "    the records themselves: device -> rest" in out.splitlines()
    assert "records (users of phone): the records themselves." in out


def test_a_large_model_shows_its_blocks(plan):
    deep = GOOD.replace("depth = 2", "depth = 45")
    code, out, _ = plan(deep)
    rows = out[: out.index("is a cut of the topology")].splitlines()[2:-1]
    assert code == 0
    assert len(rows) <= 40
    assert any(row.startswith("* backbone.1 ") for row in rows)
    assert sum(row.split()[:1] == ["output"] for row in rows) == 1
    assert "more cuts: use --json" in out
    assert len(json.loads(plan(deep, "--json")[1])["stages"][0]["cuts"]) == 1 + 1 + 2 * 45 + 1
