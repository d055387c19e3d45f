"""Backbone and head of networks that do not say where they end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import cut, locate
from dosimeter.models.last_layer import example_of, find_head, without
from dosimeter.models.transfer import divide, with_new_head
from dosimeter.training.chain import Link, build_chain, parts_of
from models.supplied.foreign import NETWORKS, Net

X = example_of((1, 8, 8))


class Torchvision(nn.Module):
    """A classifier list that ends with a Linear, behind flattening, as VGG has it."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 2, 3)
        self.classifier = nn.Sequential(nn.Linear(72, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Nested(nn.Module):
    """`heads.head`, as the vision transformers of torchvision have it, and a residual."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 16)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(16, 10))

    def forward(self, x):
        x = self.body(x.flatten(1))
        return self.heads(x + x.relu())


class Twice(nn.Module):
    """One part under two names."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.layers = nn.ModuleList([nn.Flatten(), self.fc])

    def forward(self, x):
        return self.layers[1](self.layers[0](x))


class Softmax(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return torch.softmax(self.fc(x.flatten(1)), 1)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.out = nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x):
        return self.out(self.embedding(x).flatten(1, -2).mean(1))


class Claims(nn.Module):
    """Has the attributes, but something stands between them."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 8)), nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.backbone(x).relu())


@pytest.mark.parametrize("build", [Torchvision, Nested, Twice, Claims], ids=lambda one: one.__name__)
def test_head_of_backbone_is_the_model(build):
    model = build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    backbone, head = cut(model, X)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(part.training for part in model.modules())
    model.eval()
    torch.testing.assert_close(head(backbone(X)), model(X), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert any(part is head for part in model.modules())
    renewed = with_new_head(build(), 4, X).eval()
    assert renewed(X).shape == (2, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_of_foreign_networks(name):
    model, x = NETWORKS[name]()
    found = locate(model, x[:2])
    model.eval()
    answer = model(x)
    for key in ("logits", "scores"):
        answer = answer[key] if isinstance(answer, dict) and key in answer else getattr(answer, key, answer)
    answer = answer[1] if isinstance(answer, tuple) else answer
    torch.testing.assert_close(found.head(found.backbone(x)).float(), answer.float(), rtol=1e-2, atol=1e-2)


def test_whole_numbers_are_tried_where_fractions_are_not_taken():
    model = nn.ModuleDict({"bag": nn.EmbeddingBag(20, 8), "fc": nn.Linear(8, 3)})
    model.forward = lambda x: model["fc"](model["bag"](x))  # bound to the whole model: its twin keeps the head
    with pytest.raises(TrainingError, match="its last layer must be a torch.nn.Linear"):
        find_head(model, example_of((5,)))
    bag, x = NETWORKS["whole numbers"]()
    assert find_head(bag, example_of(tuple(x.shape[1:]))).name == "out"


def test_a_head_by_name():
    assert find_head(Torchvision(), X, "classifier.3").name == "classifier.3"
    with pytest.raises(TrainingError, match="got 'fc': use one of classifier.0, classifier.3"):
        find_head(Torchvision(), X, "fc")
    with pytest.raises(TrainingError, match="classifier.0, whose output is not"):
        find_head(Torchvision(), X, "classifier.0")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Softmax(), "fc, whose output is not: return that layer's output unchanged"),
        (nn.Conv2d(1, 10, 8), r"logits \[b c\].* got shape \(2, 10, 1, 1\)"),
        (nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten()), "none with as many outputs"),
        (Net(5), r"must take inputs of shape \(2, 1, 8, 8\)"),
    ],
)
def test_networks_without_a_last_layer(model, message):
    with pytest.raises(TrainingError, match=message):
        cut(model, X)


def test_tied_weights_cannot_be_a_head():
    with pytest.raises(TrainingError, match="must have weights of its own, got 'out'"):
        cut(Tied(), example_of((4,)))


def test_what_is_left_out_is_left_out_of_the_twin_only():
    model = Nested()
    twin = without(model, "heads.head")
    assert twin(X).shape == (2, 16)
    assert model(X).shape == (2, 10)
    assert twin.body is model.body


def test_last_k_needs_the_order_of_the_blocks():
    assert divide(Torchvision(), "head", example=X).frozen is not None
    with pytest.raises(TrainingError, match="'last-k' needs the order of the blocks"):
        divide(Torchvision(), "last-k", 1, X)


def test_a_chain_transfers_a_network_that_does_not_say_where_it_ends(tmp_path):
    from dosimeter.foundation.user_code import import_from

    (tmp_path / "mynet.py").write_text(
        "from torch import nn\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self, shape, classes):\n"
        "        super().__init__()\n"
        "        self.a, self.fc = nn.Linear(64, 8), nn.Linear(8, classes)\n"
        "    def forward(self, x):\n"
        "        return self.fc(self.a(x.flatten(1)).relu())\n"
    )
    import_from(tmp_path)
    links = (Link("p", "mynet:Mine", (1, 8, 8), 10), Link("f", None, (1, 8, 8), 3, transfer="head"))
    model = build_chain(links, 1, 0, None)
    parts = parts_of(links, 1, model)
    assert parts.trained is model.fc
    assert model.fc.out_features == 3
    torch.testing.assert_close(parts.trained(parts.frozen(X)), model.eval()(X), rtol=1e-5, atol=1e-5)
    assert not any(one.requires_grad for one in parts.frozen.parameters())
