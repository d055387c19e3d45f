"""Text from the reference to the model: a fleet of bags of words, its signals, and the attacks on it."""

import json

import numpy as np
import pytest
import torch
from flat import flat

from dosimeter.config import audit as config
from dosimeter.data import load
from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import bag_of_words, cut
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters


def posts(path, n=160):
    """A table of posts, each with a word of its own."""
    rng = np.random.default_rng(0)
    lines = [f"{' '.join(f'word{j}' for j in rng.integers(0, 40, 12))} name{i},{i % 2}" for i in range(n)]
    (path / "posts.csv").write_text("\n".join(["text,label", *lines]) + "\n")


def test_a_text_audit_finds_the_leak_of_a_bag_of_words(tmp_path):
    from dosimeter.pipeline.verbs import run

    posts(tmp_path)
    stage = {
        "name": "train", "data": "posts.csv", "data_options": {"text": "text", "length": 16, "vocabulary": 500},
        "model": "bag-of-words", "options": {"vocabulary": 500, "width": 8}, "epochs": 25,
        "optimizer": "adam", "lr": 0.03,
    }  # fmt: skip
    tables = {"stage": [stage], "threat": {"shadows": 8, "targets": 2, "rehearsals": 2}, "attack": [{"name": "lira"}]}
    audit = config.parse(tables, base=tmp_path)
    run(audit, tmp_path / "run", store=tmp_path / "store", workers=1)
    result = flat(json.loads((tmp_path / "run" / "result.json").read_text()))
    found = [one for one in result["estimates"] if one["metric"] == "auc" and one["attack"].startswith("lira")]
    assert found[0]["value"] > 0.7


def test_the_same_seed_trains_the_same_bag_of_words(tmp_path):
    posts(tmp_path)
    from dosimeter.data import Options

    data = load("posts.csv", base=tmp_path, options=Options(text="text", length=16, vocabulary=500))
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = bag_of_words((16,), 2, width=8, vocabulary=500)
        loss = train(model, inputs, labels, Hyperparameters(epochs=5, lr=0.5), seed=1, device=torch.device("cpu"))
        states.append(model.state_dict())
    assert loss < 0.69
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_a_bag_of_words_does_not_take():
    with pytest.raises(ConfigError, match=r"input must be tokens \(length,\), got shape \(1, 8, 8\)"):
        bag_of_words((1, 8, 8), 2)
    model = bag_of_words((4,), 2, width=3, vocabulary=10).eval()
    with pytest.raises(ConfigError, match="tokens must be at most 10, got 11: set its option vocabulary"):
        model(torch.tensor([[1, 2, 11, 0]]))
    backbone, head = cut(model)
    empty, padded, plain = torch.zeros(1, 4).long(), torch.tensor([[1, 2, 0, 0]]), torch.tensor([[2, 1, 2, 1]])
    assert not backbone(empty).any()
    torch.testing.assert_close(head(backbone(padded)), model(plain), rtol=1e-5, atol=1e-5)
