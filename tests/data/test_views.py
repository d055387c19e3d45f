"""Views of texts: which words a copy lacks, that it is the same everywhere, and who may ask for it."""

import json

import numpy as np
import pytest
import supplied_models
import torch
from audits import BASE, table
from flat import flat
from pipeline.test_text_chain import texts

from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.data.views import apply_view, drop_words, word_order
from dosimeter.families.membership.threat import VIEWS
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.view_names import WORD_VIEWS
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.chain import unfit
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.loop import augment_batch, train
from dosimeter.training.recipe import Hyperparameters


def words(n=300, length=40, seed=1):
    rng = np.random.default_rng(seed)
    found = rng.integers(1, 1000, size=(n, length))
    found[np.arange(length) >= rng.integers(0, length + 1, n)[:, None]] = 0
    return torch.from_numpy(found)


def one_by_one(row, order):
    """A text without its words of least order, by sorting."""
    there = [place for place, word in enumerate(row) if word]
    count = max(1, round(0.15 * len(there))) if len(there) > 1 else 0
    gone = sorted(there, key=lambda place: order[place])[:count]
    return [0 if place in gone else word for place, word in enumerate(row)]


@pytest.mark.parametrize("view", WORD_VIEWS)
def test_a_copy_lacks_the_words_that_a_slow_twin_takes(view):
    texts_, order = words(), word_order(words(), WORD_VIEWS.index(view))
    assert int(order.min()) >= 0
    assert int(order.max()) < 2**32
    slow = [one_by_one(*pair) for pair in zip(texts_.tolist(), order.tolist(), strict=True)]
    assert apply_view(texts_, view).tolist() == slow


def test_a_copy_is_of_the_text_alone():
    found, rows = words(), torch.randperm(300)
    copy = apply_view(found, "drop3")
    assert torch.equal(apply_view(found[rows], "drop3"), copy[rows])
    assert torch.equal(apply_view(found[7:8].int(), "drop3").long(), copy[7:8])
    assert torch.equal(found, words())  # the records stay
    assert copy.dtype == found.dtype


def test_every_word_is_dropped_as_often_and_independently_of_the_other_views():
    found = torch.from_numpy(np.random.default_rng(2).integers(1, 1000, size=(4000, 20)))
    gone = torch.stack([apply_view(found, view) == 0 for view in WORD_VIEWS]).double()
    assert bool((gone.sum(2) == 3).all())
    deviation = (0.15 * 0.85 / 4000) ** 0.5
    assert float((gone.mean(1) - 0.15).abs().max()) < 5 * deviation  # 7 views x 20 places
    apart = np.corrcoef(gone.flatten(1).numpy())
    assert np.abs(apart - np.eye(7)).max() < 5 / 80_000**0.5


def test_training_drops_as_many_words_and_others_each_time():
    found = words()
    rng = torch.Generator().manual_seed(3)
    first, second = (augment_batch(found, ("drop",), rng) for _ in range(2))
    assert not torch.equal(first, second)
    for one in (first, second):
        assert torch.equal((one != 0).sum(1), (apply_view(found, "drop1") != 0).sum(1))
        assert bool(((one == found) | (one == 0)).all())
    assert torch.equal(augment_batch(found, ("drop",), torch.Generator().manual_seed(3)), first)
    assert drop_words(found, torch.zeros(found.shape)).shape == found.shape


def test_training_sees_texts_without_some_words():
    class Seen(torch.nn.Module):
        """Keeps how many words its batches had."""

        def __init__(self):
            super().__init__()
            self.words, self.last = [], torch.nn.Linear(1, 2)

        def forward(self, x):
            self.words.append(int((x != 0).sum()))
            return self.last((x != 0).sum(1, keepdim=True).float())

    texts_, counts = torch.arange(1, 201).reshape(10, 20), {}
    for kinds in ((), ("drop",)):
        model = Seen()
        hp = Hyperparameters(epochs=2, batch_size=10, augment=kinds, lr=1e-4)
        train(model, texts_, torch.arange(10) % 2, hp, seed=1, device=torch.device("cpu"))
        counts[kinds] = model.words
    assert counts == {(): [200, 200], ("drop",): [170, 170]}


def text_audit(folder, **threat):
    stage = {**texts(1, 120, folder / "t.csv"), "model": "bag-of-words", "options": {"width": 8, "vocabulary": 3000}}
    raw = table(**threat) | {"attack": [{"name": "lira", "mode": "online"}]}
    raw["stage"] = [{"name": "train", "epochs": 2, "lr": 0.1, **stage}]
    return raw


def test_auto_asks_for_the_copies_that_training_augmented_with(tmp_path):
    raw = text_audit(tmp_path, population=20)
    raw["stage"][0]["augment"] = ["drop"]
    audit = parse(raw, base=tmp_path)
    views = audit.threats[0].threat.views_for(audit.stages[0].augment)
    assert views == ("identity", *WORD_VIEWS)
    assert set(views) <= set(VIEWS)
    verbs.run(audit, tmp_path / "run", workers=1)
    result = flat(json.loads((tmp_path / "run" / "result.json").read_text()))
    assert result["threat"]["views"] == list(views)
    prepared = prepare(audit, store=Store(tmp_path / ".store"))
    values = prepared.case.jobs.answers().load().signals["logit_confidence"]
    assert values.shape[1] == 8
    assert (np.std(values, axis=1) > 0).mean() > 0.99


@pytest.mark.parametrize("key", ["views", "augment"])
def test_views_of_pictures_are_refused_for_texts_and_those_of_texts_for_others(key, tmp_path):
    text, picture = text_audit(tmp_path, population=20), table()
    for raw, name in ((text, "flip"), (picture, "drop1" if key == "views" else "drop")):
        if key == "views":
            raw["threat"]["views"] = ["identity", name]
        else:
            raw["stage"][0]["augment"] = [name]
    place = "threat.views" if key == "views" else r"stage\[0\].augment"
    with pytest.raises(AuditError, match=rf"{place}: flips and shifts need images"):
        prepare(parse(text, base=tmp_path), store=Store(tmp_path))
    with pytest.raises(AuditError, match=rf"{place}: words can be dropped from texts, .*type float32"):
        prepare(parse(picture, base=BASE), store=Store(tmp_path))


def test_so_is_augmentation_of_a_stage_that_is_not_at_risk(tmp_path):
    raw = text_audit(tmp_path, population=20)
    raw["stage"].append({**raw["stage"][0], "name": "then", "augment": ["shift"]})
    raw["stage"][1] |= {"transfer": "full"}
    del raw["stage"][1]["model"], raw["stage"][1]["options"]
    raw["threat"] |= {"at_risk": "train"}
    with pytest.raises(AuditError, match=r"^stage\[1\].augment: flips and shifts need images"):
        prepare(parse(raw, base=tmp_path), store=Store(tmp_path))


def test_tables_take_neither():
    table = Dataset(np.zeros((4, 6), np.float32), np.arange(4) % 2, ("a", "b"), np.arange(4).astype(str))
    lines = unfit("threat.views", ("identity", "up", "drop2"), table)
    assert [line.split(",")[0] for line in lines] == [
        "threat.views: flips and shifts need images [n",
        "threat.views: words can be dropped from texts",
    ]
    assert unfit("threat.views", ("identity",), table) == []


def test_so_are_copies_that_a_brought_model_cannot_be_asked_for(tmp_path):
    (tmp_path / "own.py").write_text(
        "from supplied_models import fit, records, target\n\n\ndef model():\n    return target(records(40))\n"
    )
    for name, seed in (("in", 0), ("out", 1)):
        inputs, labels = supplied_models.records(40, seed)
        np.savez(tmp_path / f"{name}.npz", inputs=inputs, labels=labels)
    target = {"model": "own:model", "members": "in.npz", "nonmembers": "out.npz"}
    audit = parse({"target": target, "threat": {"views": ["identity", "flip", "drop1"]}}, base=tmp_path)
    with pytest.raises(AuditError) as caught:
        verbs.run(audit, tmp_path / "run", workers=1)
    lines = [line for line in caught.value.problems if line.startswith("threat.views: ")]
    assert len(lines) == 2


def test_frozen_features_are_not_augmented():
    stages = [
        {"name": "a", "data": "reuters-r8", "model": "bag-of-words"},
        {"name": "b", "data": "reuters-r8", "transfer": "head", "augment": ["drop"]},
    ]
    with pytest.raises(ConfigError, match=r"stage\[1\].augment: transfer 'head' computes frozen features once"):
        parse({"stage": stages}, base=BASE)
