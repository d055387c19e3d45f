"""Texts through a whole chain: what a transferred bag of words tells of the texts that it was pretrained on."""

import json

import numpy as np
import pytest
from flat import flat

from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

WORDS, LENGTH, TOPICS, TEXTS, LATER = 3000, 14, 3, 160, 240


def texts(seed, n, path, mistaken=0.0):
    """Four words of a topic and ten rare ones, some of the texts under another topic; twenty words for each topic."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(TOPICS, size=n)
    words = rng.integers(TOPICS * 20 + 1, WORDS + 1, size=(n, LENGTH))
    words[:, :4] = topic[:, None] * 20 + rng.integers(1, 21, size=(n, 4))
    labels = np.where(rng.random(n) < mistaken, (topic + 1 + rng.integers(TOPICS - 1, size=n)) % TOPICS, topic)
    rows = [
        f"{' '.join(f'w{word}' for word in some)},{'abc'[label]}" for some, label in zip(words, labels, strict=True)
    ]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return {"data": path.name, "data_options": {"text": "text", "length": LENGTH, "vocabulary": WORDS}}


def audit_of(folder, rate=0.05, epochs=30, **changes):
    """Chains on texts of which half are mislabelled, so that nothing but the text itself tells its label."""
    pretrain = {
        "name": "pretrain", **texts(1, TEXTS, folder / "first.csv", 0.5), "model": "bag-of-words",
        "options": {"width": 16, "vocabulary": WORDS}, "epochs": epochs, "lr": rate, "optimizer": "adam",
    }  # fmt: skip
    finetune = {
        "name": "finetune", **texts(2, LATER, folder / "second.csv"), "transfer": "head", "epochs": 5, "lr": 0.1,
        "batch_size": 16,
    } | changes  # fmt: skip
    threat = {"at_risk": "pretrain", "access": "probs", "shadows": 16, "targets": 8, "rehearsals": 2}
    attacks = [{"name": "tmi"}, {"name": "direct"}, {"name": "count"}]
    return {"name": "texts", "stage": [pretrain, finetune], "threat": threat, "attack": attacks}


def aucs(folder, settings):
    verbs.run(parse(settings, base=folder), folder / "run", workers=1)
    result = flat(json.loads((folder / "run" / "result.json").read_text()))
    return {one["attack"]: one for one in result["estimates"] if one["metric"] == "auc" and one["group"] is None}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="head"),
        pytest.param({"transfer": "full", "lr": 0.02}, id="full", marks=pytest.mark.slow),
    ],
)
def test_a_transferred_model_tells_of_texts_that_it_memorised(changes, tmp_path):
    found = aucs(tmp_path, audit_of(tmp_path, **changes))
    assert found["tmi"]["low"] > 0.6
    assert found["direct"]["value"] > 0.9
    assert found["count"]["value"] == 0.5


@pytest.mark.slow
def test_and_nothing_of_texts_that_it_did_not_learn(tmp_path):
    found = aucs(tmp_path, audit_of(tmp_path, rate=1e-12, epochs=1) | {"seed": 1})
    for name in ("tmi", "direct"):
        assert found[name]["low"] < 0.5 < found[name]["high"]
