"""The audit file: every wrong key in one line, all at once, and never another exception."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dosimeter.config.audit import Audit, draft, load, parse
from dosimeter.foundation.errors import ConfigError

GOOD = """
name = "t"
seed = 0
[[stage]]
name = "first"
data = "digits"
rows = "0:200"
model = "mlp"
options = { width = 8 }
epochs = 1
lr = 0.1
[[stage]]
name = "second"
data = "digits"
transfer = "head"
batch_size = 16
[threat]
shadows = 4
population = 20
views = ["identity"]
[report]
leading_fpr = 0.01
"""
ATTACK = '[[attack]]\nname = "lira"\n'
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def told(text: str, tmp_path: Path) -> list[str]:
    """The problems of an audit file."""
    path = tmp_path / "audit.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    problems = list(caught.value.problems)
    assert problems
    assert all(line.isprintable() and len(line) < 1000 for line in problems)
    return problems


def test_the_good_one_is_good(tmp_path):
    audit = parse(tomllib.loads(GOOD), base=tmp_path)
    assert (audit.at_risk, audit.threats[0].threat.views_for(()), audit.name) == (1, ("identity",), "t")
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(tmp_path / "bom.toml").stages == audit.stages


CASES = [
    ('name = "t"', 'name = "../../etc"', "name: must be 1 to 64 letters", "got '../../etc'"),
    ('name = "t"', 'name = "a\\nb"', "name: must be text without line breaks", "remove them"),
    ('name = "t"', "name = 3", "name: must be text in quotes, got 3", 'write "3"'),
    ('name = "t"', 'nmae = "t"', "nmae: unknown key, did you mean 'name'?", ""),
    ("seed = 0", "seed = true", "seed: must be a whole number, got true", "correct it"),
    ("seed = 0", "seed = -1", "seed: must be at least 0, got -1", "raise it"),
    ("seed = 0", "seed = " + "9" * 40, "seed: must be at most 9223372036854775807", "smaller"),
    ("seed = 0", "seed = " + "9" * 5000, "must be TOML, got Exceeds the limit", ""),
    ("epochs = 1", "epochs = 1.0", "stage[0].epochs: must be a whole number, got 1.0", "write 1"),
    ("epochs = 1", 'epochs = "1"', "stage[0].epochs: must be a whole number, got '1'", "write 1 without quotes"),
    ("epochs = 1", "epochs = 0", "stage[0].epochs: must be at least 1, got 0", "raise it"),
    ("epochs = 1", "epochs = 1000000000000", "stage[0].epochs: must be at most 100000", "lower it"),
    ("epochs = 1", "epoch = 1", "stage[0].epoch: unknown key, did you mean 'epochs'?", ""),
    ("epochs = 1", "epochs = 2020-01-01", "stage[0].epochs: must be text, a number", "put it in quotes"),
    ("lr = 0.1", "lr = nan", "stage[0].lr: must be a finite number, got nan", "write a number"),
    ("lr = 0.1", "lr = inf", "stage[0].lr: must be a finite number, got inf", "write a number"),
    ("lr = 0.1", "lr = -1", "stage[0].lr: must be greater than 0.0, got -1", "raise it"),
    ("lr = 0.1", "momentum = 1", "stage[0].momentum: must be less than 1.0, got 1", "lower it"),
    ("lr = 0.1", "weight_decay = inf", "stage[0].weight_decay: must be a finite number", ""),
    ("lr = 0.1", 'optimizer = "sdg"', "stage[0].optimizer: must be one of 'sgd', 'adam', got 'sdg'", "mean 'sgd'?"),
    ("lr = 0.1", 'depends = "abc"', "stage[0].depends: must be a list, got 'abc'", "write ['abc']"),
    ("lr = 0.1", 'depends = ["a b"]', "stage[0].depends: must be package.module", "got 'a b'"),
    ("lr = 0.1", 'fit = "foo"', "stage[0].fit: must be package.module:function, got 'foo'", "recipe:fit"),
    ("lr = 0.1", "last_k = 2", "stage[0].last_k: only transfer 'last-k' has it, got 2", "remove it"),
    ("lr = 0.1", 'test = "digits"', "stage[0].test: only the last stage is tested", "remove it"),
    ("lr = 0.1", 'test_rows = "0:9"', "stage[0].test_rows: choose from `test`, which is absent", "add `test`"),
    ("lr = 0.1", "classes = 3", "stage[0].classes: only a given stage says", "remove it"),
    ("lr = 0.1", 'transfer = "full"', "stage[0].transfer: the first stage has no parent", "use 'scratch'"),
    ("lr = 0.1", 'weights = "w.safetensors"', "stage[0].weights: no such file", "correct the path"),
    ("lr = 0.1", "standardise = true", "stage[0].standardise: only the built-in training", "remove it"),
    ('rows = "0:200"', 'rows = "200:0"', "stage[0].rows: must be a range 'a:b'", "write for example"),
    ('rows = "0:200"', "rows = 200", "stage[0].rows: must be text in quotes, got 200", 'write "200"'),
    ('data = "digits"', 'data = ""', "stage[0].data: must be text of at least 1 character", ""),
    ('model = "mlp"', 'model = "mpl"', "stage[0].model: unknown architecture 'mpl', did you mean 'mlp'?", ""),
    ('model = "mlp"', 'model = "a:b:c"', "stage[0].model: must be package.module:function", "correct it"),
    ('model = "mlp"\noptions = { width = 8 }', "", "stage[0].model: the first stage needs one", "name an architecture"),
    ("{ width = 8 }", "{ widht = 8 }", "stage[0].options.widht: unknown option, did you mean 'width'?", ""),
    ("{ width = 8 }", "{ width = -5 }", "stage[0].options.width: must be at least 1, got -5", "raise it"),
    ("{ width = 8 }", "{ width = 10000000000 }", "stage[0].options.width: must be at most 16384", "lower it"),
    ("{ width = 8 }", '{ width = "8" }', "stage[0].options.width: must be a whole number, got '8'", "without quotes"),
    (
        '"mlp"\noptions = { width = 8 }',
        '"vgg"\noptions = { layers = [] }',
        "stage[0].options.layers: must be a list of at",
        "1",
    ),
    (
        '"mlp"\noptions = { width = 8 }',
        '"vgg"\noptions = { layers = [8, "P"] }',
        "stage[0].options.layers[1]: must be",
        "'P'",
    ),
    ("{ width = 8 }", "[1]", "stage[0].options: must be a table, got [1]", ""),
    ("{ width = 8 }", "{ width = nan }", "stage[0].options.width: must be a finite number", ""),
    ("batch_size = 16", "batch_size = 0", "stage[1].batch_size: must be at least 1, got 0", "raise it"),
    ("batch_size = 16", 'augment = ["flip"]', "stage[1].augment: transfer 'head' computes", "use transfer 'full'"),
    ("lr = 0.1", 'bn_mode = "official"', "stage[0].bn_mode: only transfer 'last-k' has it, got official", "remove it"),
    ("batch_size = 16", 'model = "mlp"', "stage[1].model: transfer 'head' takes the parent's model", "remove it"),
    ("batch_size = 16", "options = { width = 1 }", "stage[1].options: belong to `model`", "remove them"),
    ('name = "second"', 'name = "first"', "stage: names must be distinct, got 'first' 2 times", "rename one"),
    ("shadows = 4", "shadows = 5", "threat.shadows: must be even", "use 6"),
    ("shadows = 4", "shadows = 1000000000", "threat.shadows: must be at most 10000", "lower it"),
    ("shadows = 4", "shadows = 4\ntargets = 3", "threat.targets: must be at most shadows - 2 = 2", "raise shadows"),
    ("shadows = 4", 'at_risk = "frist"', "threat.at_risk: no such stage, got 'frist', did you mean 'first'?", ""),
    ("shadows = 4", 'knows = ["initialisation"]', "threat.knows: tells what is known of a transfer", "remove it"),
    ("shadows = 4", 'access = "logit"', "threat.access: must be one of 'labels'", "did you mean 'logits'?"),
    ('["identity"]', '["identiy"]', "threat.views: unknown view 'identiy', did you mean 'identity'?", ""),
    ('["identity"]', '["flip"]', "threat.views: must be distinct and begin with 'identity'", "put it first"),
    ('["identity"]', "[]", "threat.views: must be distinct and begin with 'identity', got []", "put it first"),
    ('["identity"]', '"flip"', "threat.views: must be 'auto' or a list of names, got 'flip'", "write for example"),
    ('["identity"]', "[3]", "threat.views[0]: must be text in quotes, got 3", ""),
    ("leading_fpr = 0.01", "leading_fpr = 0.05", "report.leading_fpr: must be one of 0.1, 0.01", "got 0.05"),
    ("leading_fpr = 0.01", 'noun = ""', "report.noun: must be text of at least 1", ""),
    ("leading_fpr = 0.01", ATTACK + 'mode = "onlin"', "attack[0].mode: must be one of 'online'", "mean 'online'?"),
    ("leading_fpr = 0.01", ATTACK + "mod = 1", "attack[0].mod: unknown key, did you mean 'mode'?", ""),
    ("leading_fpr = 0.01", ATTACK + "id = 3", "attack[0].id: must be text of 1 to 80 characters, got 3", ""),
    ("leading_fpr = 0.01", ATTACK + ATTACK, "attack: ids must be distinct", "give each row an `id`"),
    (
        "leading_fpr = 0.01",
        '[[attack]]\nname = "liar"',
        "attack[0].name: unknown attack 'liar', did you mean 'lira'",
        "",
    ),
    ("leading_fpr = 0.01", "[[attack]]\nid = 'x'", "attack[0].name: is required and missing", "use one of"),
    ("leading_fpr = 0.01", "[[attack]]\nname = 'no_such:X'", "attack[0].name: no_such:X: the module", "no_such.py"),
    ("leading_fpr = 0.01", "[[attack]]\nname = 'math:pi'", "attack[0].name: math:pi: must be callable", ""),
    ("leading_fpr = 0.01", "[[attack]]\nname = 'math:sqrt'", "attack[0].name: must name a frozen dataclass", ""),
    ("leading_fpr = 0.01", "[attack]\nname = 'lira'", "attack: must be a list", "double brackets"),
    ("leading_fpr = 0.01", "x = " + "[" * 40 + "]" * 40, "report.x[0]", "must not be nested deeper than 12"),
    ("leading_fpr = 0.01", "x = " + "[" * 9000 + "]" * 9000, "must be TOML, got tables nested too deep", ""),
    ("leading_fpr = 0.01", '"a\\nb" = 1', "report: keys must be 1 to 100 printable characters", "rename it"),
    ("leading_fpr = 0.01", "leading_fpr = 1\nleading_fpr = 1", "must be TOML, got Cannot overwrite a value", "line"),
    (GOOD, "", "stage: is required and missing", "add it"),
    (GOOD, "stage = []", "stage: must be a list of at least 1, got []", "add one"),
    (GOOD, "[[stage]]", "stage[0].name: is required and missing", "add it"),
    (GOOD, "[stage]\nname = 'a'", "stage: must be a list, got {'name': 'a'}", "double brackets"),
    (GOOD, "stage = [1]", "stage[0]: must be a table, got 1", "[[stage]]"),
]


@pytest.mark.parametrize(("old", "new", "start", "within"), CASES, ids=[case[2][:50] for case in CASES])
def test_each_wrong_key_is_one_line(old, new, start, within, tmp_path):
    assert old in GOOD
    problems = told(GOOD.replace(old, new, 1), tmp_path)
    assert len(problems) <= 2, problems
    line = next(line for line in problems if start in line)
    assert within in line
    assert line.startswith((start, str(tmp_path)))


def test_every_problem_of_a_file_is_told_at_once(tmp_path):
    text = GOOD.replace("seed = 0", "sed = 0").replace("epochs = 1", "epoch = 1").replace("lr = 0.1", "lr = nan")
    text = text.replace("shadows = 4", "shadows = 5").replace(
        "leading_fpr = 0.01", "leading_fpr = 2\n" + ATTACK + "k = 1"
    )
    assert [line.split(":")[0] for line in told(text, tmp_path)] == [
        "sed", "stage[0].lr", "stage[0].epoch", "report.leading_fpr", "threat.shadows", "attack[0].k",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\x00b", b"\x00", b'x = "\x00"', b"name = 'caf\xe9'"])
def test_bytes_that_are_no_toml(content, tmp_path):
    (line,) = told(content, tmp_path)
    assert line.startswith(f"{tmp_path}/audit.toml: must be ")


def test_a_huge_file_is_refused(tmp_path):
    (line,) = told(GOOD + "x = '" + "a" * 10_000_000 + "'", tmp_path)
    assert "must have at most 1000000 bytes" in line
    assert len(told('[[attack]]\nname="nope"\n' * 20_000 + GOOD, tmp_path)) < 5


@pytest.mark.parametrize("path", ["none.toml", ".", "none/none.toml"])
def test_no_file(path, tmp_path):
    with pytest.raises(ConfigError, match="must be a readable file"):
        load(tmp_path / path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["scratch", "head", "digits", "linear", "recipe:model", "identity", "flip", "auto", "0:9"])
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WORDS = "name seed stage threat attack report data model options epochs lr shadows views x"
KEYS = st.sampled_from(WORDS.split())


def places(value):
    """Every table and list of a nested value."""
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from places(item)


@settings(MANY, max_examples=300)
@given(data=st.data())
def test_any_change_is_accepted_or_told(data, tmp_path):
    table = copy.deepcopy(tomllib.loads(GOOD + ATTACK))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(table))))
        if isinstance(place, dict):
            key = data.draw(st.sampled_from(sorted(place)) if place and data.draw(st.booleans()) else KEYS | st.text())
            place[key] = data.draw(VALUES)
        else:
            place.append(data.draw(VALUES))
    found = draft(table, base=tmp_path)
    assert isinstance(found.audit, Audit) == (not found.problems)
    assert all(line.isprintable() and 0 < len(line) < 1000 for line in found.problems)
