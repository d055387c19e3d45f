"""Which part of an answer is taken, whether it is logits or probabilities, and what is refused."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.outputs import log_values, meaning, pick

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
PROBS = torch.softmax(LOGITS, 1)
Two = namedtuple("Two", ["hidden", "scores"])


@dataclass
class Answer:
    loss: float
    logits: torch.Tensor


def read(answer, output="auto", classes=3, rows=2):
    return log_values(answer, rows=rows, classes=classes, output=output, place="model")


FORMS = {
    "tensor": LOGITS,
    "needs gradient": LOGITS.clone().requires_grad_(),
    "half": LOGITS.half(),
    "array": LOGITS.numpy(),
    "lists": LOGITS.tolist(),
    "list of rows": list(LOGITS),
    "list of arrays": list(LOGITS.numpy()),
    "tuple": (LOGITS, torch.zeros(2, 7)),
    "second": (torch.zeros(2, 7), LOGITS),
    "after a loss": (torch.tensor(0.4), LOGITS),
    "alone in a list": [LOGITS],
    "alone as array in a list": [LOGITS.numpy()],
    "trailing axes": LOGITS[:, :, None, None],
    "dict": {"loss": 1.0, "logits": LOGITS, "out": PROBS},
    "unnamed": {"features": torch.zeros(2, 7), "classes": LOGITS},
    "dataclass": Answer(0.1, LOGITS),
    "named tuple": Two(torch.zeros(2, 5), LOGITS),
    "object": SimpleNamespace(output=LOGITS, attentions=None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_answer(form):
    values, found = read(FORMS[form])
    assert found == "logits"
    assert values.dtype == torch.float64
    assert values.shape == (2, 3)
    torch.testing.assert_close(values, LOGITS.double(), atol=1e-3, rtol=0)


AMBIGUOUS = {
    "two alike": ((LOGITS, PROBS), r"\[0\], \[1\] could each be it.*lambda inputs: model\(inputs\)\[0\]"),
    "two names": ({"scores": LOGITS, "pred": PROBS}, r"scores, pred could each be it.*model\(inputs\)\['scores'\]"),
    "two unnamed": ({"a": LOGITS, "b": PROBS}, "a, b could each be it"),
    "nothing": (None, "got NoneType"),
    "no part": ({"a": "text"}, r"named 'logits' or 'probs'.* got dict with 'a'"),
    "words": ("cat", "got str"),
    "boxes": ([{"boxes": torch.zeros(1, 4)}], "object detection"),
    "box names": ({"pred_boxes": LOGITS, "logits": LOGITS}, "object detection"),
    "empty": ([], "must answer with shape|without one"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_fits_twice_or_not_at_all(case):
    answer, message = AMBIGUOUS[case]
    with pytest.raises(TrainingError, match=message) as caught:
        read(answer)
    assert "\n" not in str(caught.value)


SHAPES = {
    "tokens": (torch.zeros(2, 5, 3), r"shape \(2, 5, 3\), one answer per token"),
    "pixels": ({"out": torch.zeros(2, 3, 4, 4)}, "segmentation"),
    "rows": (torch.zeros(3, 3), r"must answer with shape \(2, 3\)"),
    "scalar": (torch.tensor(1.0), "got shape"),
    "labels": (torch.tensor([1, 2]), "int64 values"),
    "regression": (torch.zeros(2, 1), "got one .regression"),
    "squeezed regression": (torch.zeros(2), "got one .regression"),
    "columns": (torch.zeros(2, 1000), "must return 3 columns, .* got 1000: select"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_models_that_are_no_classifiers(case):
    answer, message = SHAPES[case]
    with pytest.raises(TrainingError, match=message):
        read(answer)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_probabilities_of_any_precision_are_found(dtype, classes):
    logits = torch.randn(50, classes, generator=torch.Generator().manual_seed(classes)) * 3
    probs = torch.softmax(logits, 1).to(dtype)
    values, found = read(probs, classes=classes, rows=50)
    assert found == "probs"
    torch.testing.assert_close(values, probs.float().double().log(), rtol=1e-12, atol=1e-12)
    assert read(logits.to(dtype), classes=classes, rows=50)[1] == "logits"
    rounded = (probs.double() * 1000).round() / 1000
    if classes < 100:
        assert read(rounded, classes=classes, rows=50)[1] == "probs"


def test_probabilities_of_0_and_1_keep_their_rounding():
    values, found = read([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert found == "probs"
    assert values[0].tolist() == [0.0, -math.inf, -math.inf]
    assert read(np.array([[1 - 1e-12, 1e-12, 0.0]] * 2))[0][0, 0] == 0.0  # float32 has no such number below 1


def test_log_probabilities_are_logits_unless_one_is_minus_infinity():
    assert read(PROBS.log())[1] == "logits"
    zero = torch.tensor([[1.0, 0.0, 0.0]] * 2).log()
    assert read(zero)[1] == "probs"
    assert read(PROBS.log(), "probs")[1] == "probs"
    torch.testing.assert_close(read(zero)[0], zero.double())


def test_one_column_for_two_classes():
    values, found = read(torch.tensor([0.25, 0.75]), classes=2)
    assert found == "probs"
    torch.testing.assert_close(values.exp(), torch.tensor([[0.75, 0.25], [0.25, 0.75]]).double())
    values, found = read(torch.tensor([[-1.0], [2.0]]), classes=2)
    assert found == "logits"
    torch.testing.assert_close(torch.softmax(values, 1)[:, 1], torch.sigmoid(torch.tensor([-1.0, 2.0]).double()))
    assert read(torch.tensor([[0.1], [0.2]]), "logits", classes=2)[0].tolist()[0][0] == 0.0


REFUSED = {
    "percent": (PROBS * 100, "auto", "percent instead of a fraction: divide by 100"),
    "percent said": (PROBS * 100, "probs", "percent instead of a fraction"),
    "sigmoids": (torch.full((2, 3), 0.9), "auto", r'rows that sum to 2.7 up to 2.7 .*output="logits"'),
    "said": (LOGITS, "probs", r"must be in \[0, 1\].* values from -2 to 3"),
    "nan": (torch.tensor([[math.nan, 1, 2], [0, math.inf, 1.0]]), "auto", "1 NaN and 1 infinite values in 2 of 2"),
    "infinite": (torch.tensor([[-math.inf, 1, 2], [0, 1, 1.0]]), "logits", "0 NaN and 1 infinite values in 1 of 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_that_are_neither(case):
    answer, output, message = REFUSED[case]
    with pytest.raises(TrainingError, match=message):
        read(answer, output)


def test_what_the_user_says_of_numbers_in_0_to_1_counts():
    assert read(torch.full((2, 3), 0.9), "logits")[1] == "logits"
    assert meaning(PROBS.double(), "logits", "model") == "logits"


def test_any_columns_fit_where_classes_are_not_known():
    assert pick((LOGITS,), rows=2, columns=None, place="model") is LOGITS
