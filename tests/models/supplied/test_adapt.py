"""Anything that answers, as one thing: the same numbers as when it is called by hand."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from sklearn import linear_model
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.supplied.adapt import adapt, repeatability
from models.supplied.foreign import CLASSES, NETWORKS, Net, X, numbers, warmed


def by_hand(model, x):
    """Logits of a network in evaluation mode, all records at once."""
    modes = [part.training for part in model.modules()]
    model.eval()
    with torch.no_grad():
        answer = model(x)
    for part, mode in zip(model.modules(), modes, strict=True):
        part.training = mode
    if isinstance(answer, tuple):
        return answer[1]
    return answer["logits"] if isinstance(answer, dict) else getattr(answer, "scores", answer)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_answer_as_by_hand(name):
    model, x = NETWORKS[name]()
    training = [part.training for part in model.modules()]
    given = x.float() if x.is_floating_point() else x  # a user's data does not follow the precision of weights
    found = adapt(model, classes=CLASSES, example=given, batch_size=4)
    answers = found.query(given.numpy())
    loose = 2e-2 if x.dtype in (torch.float16, torch.bfloat16) else 1e-5
    torch.testing.assert_close(answers, by_hand(model, x).double(), rtol=loose, atol=loose)
    assert (found.output, found.module is model) == ("logits", True)
    assert found.kind.startswith("torch module")
    assert [part.training for part in model.modules()] == training
    assert not torch.is_inference_mode_enabled()
    assert next(iter(model.parameters())).is_inference() is False
    assert repeatability(found, given) < (0.1 if loose > 1e-3 else 1e-4)


def test_modes_and_statistics_survive_a_query():
    model, x = warmed(Net(), X)
    model.body[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = adapt(model, classes=CLASSES, example=x)
    found.query(x)
    assert model.training
    assert not model.body[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    model.train()(x)  # and it can be trained on
    assert found.fingerprint != adapt(model, classes=CLASSES, example=x).fingerprint  # the statistics have moved


def test_bytes_become_fractions_in_0_to_1():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES))
    pixels = (numbers(5, 1, 2, 2) * 255).to(torch.uint8)
    wanted = by_hand(model, pixels.float() / 255).double()
    for one in (model, lambda x: model(x).detach(), lambda x: model(x).detach().numpy()):
        found = adapt(one, classes=CLASSES, example=pixels).query(pixels.numpy())
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_whole_numbers_in_other_types_reach_embeddings():
    model, x = NETWORKS["whole numbers"]()
    wanted = by_hand(model, x).double()
    for given, notes in ((x.int(), 0), (x.float(), 1), (x.to(torch.uint8), 1)):
        found = adapt(model, classes=CLASSES, example=given)
        torch.testing.assert_close(found.query(given), wanted, rtol=1e-5, atol=1e-5)
        assert len(found.notes) == notes


def test_padding_is_masked_where_a_mask_must_be_given():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.out = nn.Embedding(9, 4), nn.Linear(4, CLASSES)

        def forward(self, input_ids, attention_mask):
            mask = attention_mask[..., None]
            return self.out((self.embedding(input_ids) * mask).sum(1) / mask.sum(1))

    model, tokens = Masked(), torch.tensor([[3, 4, 0], [5, 0, 0]])
    found = adapt(model, classes=CLASSES, example=tokens)
    wanted = by_hand(lambda_module(model), tokens).double()
    torch.testing.assert_close(found.query(tokens), wanted, rtol=1e-5, atol=1e-5)
    assert found.notes == ("tokens equal to 0 are masked as padding",)


def lambda_module(model):
    """The same network with the mask written out."""

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(input_ids=x, attention_mask=(x != 0).long())

    return Whole()


def test_functions_get_tensors_else_arrays():
    weight = np.linspace(-1, 1, 24).reshape(6, CLASSES).astype("float32")
    wanted = torch.from_numpy(X.numpy() @ weight).double()

    def arrays_only(x):
        if not isinstance(x, np.ndarray):
            raise TypeError("arrays only")
        return x @ weight

    for one, notes in ((lambda x: x @ torch.from_numpy(weight), ()), (arrays_only, ("is called with arrays",))):
        found = adapt(one, classes=CLASSES, example=X.numpy())
        torch.testing.assert_close(found.query(X), wanted, rtol=1e-5, atol=1e-5)
        assert found.module is None
        assert found.kind.startswith("function ")
        assert found.notes == notes


def test_a_function_with_probabilities_and_one_with_a_single_number():
    found = adapt(lambda x: torch.softmax(x[:, :4], 1), classes=4, example=X)
    assert found.output == "probs"
    torch.testing.assert_close(found.query(X), torch.softmax(X[:, :4], 1).double().log(), rtol=1e-5, atol=1e-5)
    single = adapt(lambda x: x[:, 0] - 0.5, classes=2, example=X)
    assert single.notes == ("answers with one number for each record, read as the logit of class 1",)
    assert single.query(X).shape == (9, 2)
    assert single.query(X[:0]).shape == (0, 2)


def test_the_reading_is_settled_once():
    found = adapt(lambda x: x, classes=2, example=torch.tensor([[0.25, 0.75]]))
    assert found.output == "probs"
    with pytest.raises(TrainingError, match=r"probabilities must be in \[0, 1\]"):
        found.query(torch.tensor([[2.0, -1.0]]))
    assert adapt(lambda x: x, classes=2, example=torch.tensor([[0.25, 0.75]]), output="logits").output == "logits"


def test_fingerprints_tell_models_apart():
    def rate(value, net=None):
        return lambda x: net(x).detach() if net else x[:, :4] * value - 2

    def print_of(model):
        return adapt(model, classes=CLASSES, example=X, output="logits").fingerprint

    net, other = Net(6), Net(6)
    assert print_of(net) == print_of(other)
    with torch.no_grad():
        other.out.bias += 0.5
    assert print_of(net) != print_of(other)
    assert print_of(rate(1.0)) == print_of(rate(1.0)) != print_of(rate(2.0))
    assert print_of(rate(1, net.eval())) != print_of(rate(1, other.eval()))
    first, second = (functools.partial(torch.matmul, other=torch.full((6, 4), float(k))) for k in (-1, -2))
    assert print_of(first) != print_of(second)


def test_answers_that_change_are_measured():
    random = adapt(lambda x: x[:, :4] - 2 + torch.rand(len(x), 4), classes=4, example=X)
    assert repeatability(random, X) > 0.01
    batch = adapt(lambda x: x[:, :4] - x[:, :4].mean(0), classes=4, example=X)  # answers depend on the batch
    assert repeatability(batch, X) > 0.01
    assert repeatability(adapt(lambda x: x[:, :4] - 2, classes=4, example=X), X) == 0.0


def fails(x):
    raise ValueError("first\nsecond")


REFUSED = {
    "class": (Net, ConfigError, "got the class Net: give an instance"),
    "state dict": ({"w": torch.ones(1)}, ConfigError, "got dict: build the network and load it"),
    "path": ("model.pt", ConfigError, "got str: give the model itself, not its file"),
    "number": (3, ConfigError, "got int: give one"),
    "raises": (fails, TrainingError, r"must take inputs of shape \(2, 6\), got ValueError: first"),
    "shape": (nn.Linear(7, 4), TrainingError, r"must take inputs of shape \(2, 6\)"),
    "columns": (nn.Linear(6, 5), TrainingError, "must return 4 columns"),
    "detection": (lambda x: [{"boxes": x}], TrainingError, "object detection"),
    "regressor": (linear_model.LinearRegression().fit(X, range(9)), TrainingError, "got a regressor"),
    "not fitted": (linear_model.LogisticRegression(), TrainingError, r"LogisticRegression without `classes_`"),
    "nan": (lambda x: x[:, :4] * math.nan, TrainingError, "36 NaN and 0 infinite values in 9 of 9"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_adapted_is_told_in_one_line(case):
    model, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message) as caught:
        adapt(model, classes=CLASSES, example=X)
    assert "\n" not in str(caught.value)


def test_a_model_without_records_to_try():
    with pytest.raises(ConfigError, match="needs at least one record"):
        adapt(Net(), classes=CLASSES, example=X[:0])


def test_errors_of_later_queries_name_the_model():
    found = adapt(lambda x: x[:, :4] - 2 if len(x) < 9 else fails(x), classes=4, example=X[:3], name="target")
    with pytest.raises(TrainingError, match=r"^target: must answer inputs of shape \(9, 6\)"):
        found.query(X)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_returns_to_its_device():
    model, x = warmed(Net(), X)
    found = adapt(model, classes=CLASSES, example=x, device="cuda")
    torch.testing.assert_close(found.query(x), by_hand(model, x).double(), rtol=1e-4, atol=1e-4)
    assert next(model.parameters()).device.type == "cpu"
