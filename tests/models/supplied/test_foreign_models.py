"""Models of other makes answer through `adapt` as when they are called by hand: scikit-learn, TorchScript, exports."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.supplied.adapt import adapt, repeatability
from dosimeter.models.supplied.classes import Classes

PIXELS, LABELS = (array[:200] for array in load_digits(return_X_y=True))
PIXELS = (PIXELS / 16).astype("float32")
IMAGES = PIXELS.reshape(-1, 1, 8, 8)
PROBABILITIES = {
    "logistic regression": lambda: LogisticRegression(max_iter=20, tol=1.0),
    "random forest": lambda: RandomForestClassifier(10, random_state=0),
    "gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=2),
    "nearest neighbours": lambda: KNeighborsClassifier(3),
    "pipeline": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
    "search": lambda: GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=2),
}
DECISIONS = {
    "support vectors": lambda: SVC(),
    "linear support vectors": lambda: LinearSVC(max_iter=20, tol=1.0),
    "ridge": lambda: RidgeClassifier(),
    "pipeline with decisions": lambda: make_pipeline(StandardScaler(), SVC()),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_classifiers_with_probabilities(name):
    model = PROBABILITIES[name]().fit(PIXELS, LABELS)
    found = adapt(model, classes=10, example=IMAGES)
    wanted = torch.from_numpy(model.predict_proba(PIXELS)).float().double().log()
    torch.testing.assert_close(found.query(IMAGES), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.query(torch.from_numpy(IMAGES)), wanted, rtol=1e-5, atol=1e-5)
    assert (found.output, found.module, found.notes) == ("probs", None, ())
    assert found.kind.startswith(f"scikit-learn {type(model).__name__}")
    assert found.fingerprint == adapt(model, classes=10, example=IMAGES[:5]).fingerprint
    assert repeatability(found, IMAGES) < 1e-4


@pytest.mark.parametrize("name", DECISIONS)
def test_classifiers_with_decision_values(name):
    model = DECISIONS[name]().fit(PIXELS, LABELS)
    found = adapt(model, classes=10, example=PIXELS)
    wanted = torch.from_numpy(model.decision_function(PIXELS)).double()
    torch.testing.assert_close(found.query(PIXELS), wanted, rtol=1e-5, atol=1e-5)
    assert found.output == "logits"
    assert "decision values are read as logits" in found.notes[0]


def test_two_classes_with_one_decision_value():
    rows = LABELS < 2
    model = SVC().fit(PIXELS[rows], LABELS[rows])
    found = adapt(model, classes=2, example=PIXELS)
    values = found.query(PIXELS[rows])
    assert (values.argmax(1).numpy() == model.predict(PIXELS[rows])).all()
    words = np.where(LABELS[rows] == 1, "cat", "dog")
    odd = adapt(RidgeClassifier().fit(PIXELS[rows], words), classes=Classes(("cat", "dog")), example=PIXELS)
    assert (odd.query(PIXELS[rows]).argmax(1).numpy() == 1 - LABELS[rows]).mean() > 0.95


def test_classes_that_a_model_does_not_know_have_no_probability():
    few = LABELS < 4
    model = KNeighborsClassifier(1).fit(PIXELS[few], LABELS[few] * 2)
    found = adapt(model, classes=10, example=PIXELS)
    assert (found.query(PIXELS[few]).argmax(1).numpy() == LABELS[few] * 2).all()
    assert found.known_classes == (0, 2, 4, 6)
    with pytest.raises(TrainingError, match="its classes must be those of the data, .*, got '0', '2', '4', '6'"):
        adapt(model, classes=5, example=PIXELS)
    decided = adapt(RidgeClassifier().fit(PIXELS[few], LABELS[few]), classes=10, example=PIXELS)
    assert torch.isneginf(decided.query(PIXELS)[:, 4:]).all()


def test_answers_that_are_no_classes():
    pairs = SVC(decision_function_shape="ovo").fit(PIXELS, LABELS)
    with pytest.raises(TrainingError, match='^model: .*got 45 .*decision_function_shape="ovr"'):
        adapt(pairs, classes=10, example=PIXELS)
    several = MultiOutputClassifier(KNeighborsClassifier(1)).fit(PIXELS, np.stack([LABELS % 2, LABELS % 3], 1))
    with pytest.raises(TrainingError, match="several outputs"):
        adapt(several, classes=2, example=PIXELS)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, 10))


def test_torchscript():
    model = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and still what many deploy
        scripts = [torch.jit.script(model), torch.jit.trace(model.eval(), torch.rand(2, 1, 8, 8))]
    for script in scripts:
        found = adapt(script, classes=10, example=IMAGES)
        with torch.no_grad():
            wanted = model.eval()(torch.from_numpy(IMAGES)).double()
            torch.testing.assert_close(found.query(IMAGES), wanted, rtol=1e-5, atol=1e-5)
        assert found.kind == "TorchScript module Sequential"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamic", [True, False])
def test_exported_programs(dynamic):
    model = small().eval()
    shapes = ({0: torch.export.Dim("b")},) if dynamic else None
    program = torch.export.export(model, (torch.rand(6, 1, 8, 8),), dynamic_shapes=shapes)
    with torch.no_grad():
        wanted = model(torch.from_numpy(IMAGES)).double()
    for one in (program, program.module()):
        found = adapt(one, classes=10, example=IMAGES)
        torch.testing.assert_close(found.query(IMAGES), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.query(IMAGES[:1]), wanted[:1], rtol=1e-5, atol=1e-5)
        assert found.kind == "exported program"
        assert found.notes == ("is an exported program, which stays in the mode it was exported in",)
