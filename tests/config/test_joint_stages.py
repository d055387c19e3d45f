"""Stages that parties train together: read and validated, and what cannot run refused before anything is trained."""

import tomllib

import pytest

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.joint.protocols import METHODS as TRAINABLE

GOOD = """
name = "joint"
[data.hospital]
data = "digits"
rows = "0:400"
[data.clinic]
data = "digits"
rows = "400:800"
disjoint = ["hospital"]
[[stage]]
name = "pretrain"
data = "digits"
rows = "800:1200"
model = "mlp"
[[stage]]
name = "joint"
transfer = "coral"
parties = { source = "hospital", receiver = "clinic" }
test = "digits"
test_rows = "1200:"
epochs = 2
[threat]
shadows = 4
"""
METHODS = ("mmd", "coral", "dann", "dsn", "hard", "soft", "l2-sp", "fedsgd", "fedavg")


def refused(text, folder):
    """Lines about an audit file, without those that say what this release cannot train or audit."""
    with pytest.raises(AuditError) as caught:
        prepare(parse(tomllib.loads(text), base=folder), store=Store(folder / "store"))
    assert all(line.isprintable() and ": " in line for line in caught.value.problems)
    return [line for line in caught.value.problems if "in this release" not in line]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_read_and_what_cannot_run_refused_before_training(method, tmp_path):
    audit = parse(tomllib.loads(GOOD.replace("coral", method)), base=tmp_path)
    assert audit.stages[1].joint
    assert audit.stages[1].parties == {"source": "hospital", "receiver": "clinic"}
    with pytest.raises(AuditError) as caught:
        prepare(audit, store=Store(tmp_path / "store"))
    (line,) = caught.value.problems
    if method in TRAINABLE:
        assert line.startswith("threat.family: a chain with a joint stage, 'joint', is audited by 'exchange' only in")
        assert "got 'membership'" in line
    else:
        assert line.startswith(f"stage 'joint': transfer {method!r} cannot be trained in this release; use 'fedsgd'")


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_plan_and_run_train_nothing(verb, tmp_path):
    audit = parse(tomllib.loads(GOOD), base=tmp_path)
    with pytest.raises(AuditError, match="is audited by 'exchange' only in this release"):
        verbs.plan(audit, store=tmp_path / "s") if verb == "plan" else verbs.run(audit, tmp_path / "out")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_joint_stage_may_come_first_with_a_model_and_before_others(tmp_path):
    first = GOOD[: GOOD.index('[[stage]]\nname = "pretrain"')] + GOOD[GOOD.index('[[stage]]\nname = "joint"') :]
    with pytest.raises(AuditError, match="the first stage needs one, got none"):
        parse(tomllib.loads(first), base=tmp_path)
    with_model = first.replace('transfer = "coral"', 'transfer = "coral"\nmodel = "mlp"')
    assert parse(tomllib.loads(with_model), base=tmp_path).stages[0].joint
    followed = with_model.replace('test = "digits"\ntest_rows = "1200:"\n', "").replace(
        "[threat]", '[[stage]]\nname = "later"\ndata = "clinic"\ntransfer = "head"\n[threat]\nat_risk = "joint"'
    )
    assert refused(followed, tmp_path) == []


def test_a_federation_has_parties_of_any_name(tmp_path):
    three = 'parties = { north = "hospital", south = "clinic", east-1 = "east" }'
    text = GOOD.replace("coral", "fedavg").replace('parties = { source = "hospital", receiver = "clinic" }', three)
    text += '[data.east]\ndata = "digits"\nrows = "1200:1300"\n'
    assert refused(text, tmp_path) == []
    audit = parse(tomllib.loads(text), base=tmp_path)
    assert audit.settings()["stage"][1]["parties"] == {"north": "hospital", "south": "clinic", "east-1": "east"}


PARTIES = '{ source = "hospital", receiver = "clinic" }'
CASES = [
    ('transfer = "coral"', 'transfer = "corel"', "stage[1].transfer: must be one of 'scratch', 'head'", "mean 'coral'"),
    (PARTIES, '{ source = "hospitl", receiver = "clinic" }', "stage[1].parties.source: no such part of data", "hospit"),
    (PARTIES, '{ source = "digits", receiver = "clinic" }', "stage[1].parties.source: no such part of data", "use one"),
    (PARTIES, '{ source = "hospital", target = "clinic" }', "stage[1].parties.target: transfer 'coral' has a sour", ""),
    (PARTIES, '{ source = "hospital" }', "stage[1].parties.receiver: is required and missing", "add it"),
    (PARTIES, '{ source = "clinic", receiver = "clinic" }', "stage[1].parties: each must hold a part of its", "source"),
    (PARTIES, '["hospital", "clinic"]', "stage[1].parties: must be a table", ""),
    (PARTIES, "{ source = 1, receiver = 'clinic' }", "stage[1].parties.source: must be text in quotes, got 1", ""),
    (f"parties = {PARTIES}", "", "stage[1].parties: transfer 'coral' needs them, got none", "write parties = {"),
    (f'transfer = "coral"\nparties = {PARTIES}', 'transfer = "fedavg"\nparties = { a = "clinic" }', "two or m", "1"),
    ('transfer = "coral"', 'transfer = "head"\ndata = "clinic"', "stage[1].parties: only a joint transfer has", "'he"),
    ('transfer = "coral"', 'transfer = "coral"\ndata = "clinic"', "stage[1].data: transfer 'coral' is trained", "remo"),
    ('transfer = "coral"', 'transfer = "coral"\nfit = "m:f"', "stage[1].fit: transfer 'coral' is trained by", "remove"),
    ('transfer = "coral"', 'transfer = "coral"\nrows = "0:9"', "stage[1].rows: choose from `data`, which is ab", "rem"),
    ('transfer = "coral"', 'transfer = "coral"\nmodel = "mlp"', "stage[1].model: transfer 'coral' takes the paren", ""),
    ('transfer = "coral"', 'transfer = "coral"\nlast_k = 2', "stage[1].last_k: only transfer 'last-k' has it", ""),
    ('test = "digits"\ntest_rows = "1200:"', "data_options = { noun = 'x' }", "stage[1].data_options: transfer 'c", ""),
    ("[threat]", '[[variant]]\nid = "v"\nstage.joint.local_steps=2\n[threat]', "variant[0]: stage[1].local_steps", ""),
    ("[threat]", '[[defense]]\nname = "dropout"\n[threat]', "defense[0]: dropout does not act where parties train", ""),
    ("[threat]", '[[defense]]\nname = "noise"\n[threat]', "defense[0]: noise needs the norm that features are", "set"),
    ("[threat]", '[[defense]]\nname = "dp_sgd"\nepsilon = 1.0\n[threat]', "defense[0]: dp_sgd bounds gradients", ""),
    ("[threat]", '[[defense]]\nname = "sgld"\n[threat]', "defense[0]: sgld is defined for steps without mome", "set 0"),
    ('rows = "400:800"', 'rows = "399:800"', "data.clinic.disjoint: must share nothing with 'hospital', got in bo", ""),
    ("epochs = 2", "epochs = 2\nalignment = 0.0", "stage[1].alignment: must be greater than 0", ""),
    ("[threat]", '[[variant]]\nid = "v"\nstage.joint = { parties = {} }\n[threat]', "variant[0].stage.joint.parti", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "start", "within"), CASES, ids=[case[2][:60] for case in CASES])
def test_a_wrong_joint_stage_is_one_line(old, new, start, within, tmp_path):
    assert old in GOOD
    problems = refused(GOOD.replace(old, new, 1), tmp_path)
    assert len([line for line in problems if start in line and within in line]) == 1, problems
    assert len(problems) == 1 + ("target" in new), problems  # a wrong name leaves a right one out


def test_only_a_transfer_that_aligns_has_a_weight_of_it(tmp_path):
    (line,) = refused(GOOD.replace('"coral"', '"fedsgd"\nalignment = 2.0'), tmp_path)
    assert line.startswith("stage[1].alignment: only a transfer that aligns a source and a receiver has a weight of it")
    (line,) = refused(GOOD.replace('model = "mlp"', 'model = "mlp"\nalignment = 2.0'), tmp_path)
    assert line.startswith("stage[0].alignment: only a transfer that aligns")


@pytest.mark.parametrize("name", ["compress", "dp_moments", "mixup", "l2", "early_stopping"])
def test_defenses_of_messages_are_accepted_on_a_joint_stage(name, tmp_path):
    assert refused(GOOD.replace("[threat]", f'[[defense]]\nname = "{name}"\n[threat]'), tmp_path) == []


def test_a_secure_sum_needs_three_parties(tmp_path):
    three = 'parties = { north = "hospital", south = "clinic", east-1 = "east" }'
    text = GOOD.replace("coral", "fedavg").replace("[threat]", '[[defense]]\nname = "secure_sum"\n[threat]')
    (line,) = refused(text, tmp_path)
    assert line.startswith("defense[0]: secure_sum hides parts in a sum, got transfer 'fedavg' with 2 parties")
    text = text.replace('parties = { source = "hospital", receiver = "clinic" }', three)
    assert refused(text + '[data.east]\ndata = "digits"\nrows = "1200:1300"\n', tmp_path) == []


@pytest.mark.parametrize("name", ["compress", "dp_moments", "mixup", "secure_sum"])
def test_defenses_of_messages_are_refused_where_none_is_sent(name, tmp_path):
    alone = GOOD.replace('transfer = "coral"', 'transfer = "head"\ndata = "clinic"').replace(f"parties = {PARTIES}", "")
    (line,) = refused(alone.replace("[threat]", f'[[defense]]\nname = "{name}"\n[threat]'), tmp_path)
    assert line.startswith(f"defense[0]: {name} acts where parties train together, got transfer 'head': remove it, or")


def test_l2_sp_starts_from_a_stage_before(tmp_path):
    first = GOOD[: GOOD.index('[[stage]]\nname = "pretrain"')] + GOOD[GOOD.index('[[stage]]\nname = "joint"') :]
    text = first.replace('transfer = "coral"', 'transfer = "l2-sp"\nmodel = "mlp"')
    (line,) = refused(text, tmp_path)
    assert line.startswith("stage[0].transfer: 'l2-sp' stays near the weights of the stage before, got the first stage")


def test_a_variant_beside_data_that_cannot_be_read_is_told(tmp_path):
    text = '[[stage]]\nname = "a"\ndata = "digits"\nmodel = "mlp"\n[[stage]]\nname = "b"\ndata = "no.csv"\n'
    text += 'transfer = "head"\n[threat]\nat_risk = "a"\nshadows = 4\n[[variant]]\nid = "v"\nstage.a = { lr = 0.2 }\n'
    (line,) = refused(text, tmp_path)
    assert line.startswith("stage[1].data: no.csv: no such file")
