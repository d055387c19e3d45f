"""A supplied model is asked as its user asks it: each right value is that of the model called by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from dosimeter.data import Dataset, Options
from dosimeter.data.supplied import held_of, read_parts
from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.models.supplied.adapt import Examples, adapt
from dosimeter.models.supplied.classes import Classes, join_classes
from dosimeter.models.supplied.estimators import bearer, own_predictions
from models.supplied.foreign import Tokens

N = 120
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 12))
Y = (X + 0.5 * RNG.normal(size=X.shape)).argmax(1)
COLUMNS = [f"c{i}" for i in range(12)]
FRAME = pd.DataFrame(X, columns=COLUMNS).assign(
    city=np.array(["Oslo", "Rome", "Bonn"])[Y % 3], age=RNG.integers(20, 80, N), label=Y
)


PICTURES = RNG.integers(0, 256, (N, 1, 4, 4), dtype=np.uint8)
SIDES = (PICTURES.mean((1, 2, 3)) > 127.5).astype(int)


def forest(x, y):
    return RandomForestClassifier(10, random_state=0).fit(x, y)


def parts(records, labels=None, **options):
    """One part of members as the door of supplied models reads it."""
    value = records if labels is None else (records, labels)
    return read_parts({"members": value}, seed=0, base=None, options=Options(**options))["members"]


def asked(model, part: Dataset):
    """A model adapted to a part of records as the door does it, and the classes of both."""
    known = Classes(part.classes, numbered=part.ordered)
    names = join_classes(bearer(model), known, "model")
    example = Examples(held_of(part), torch.from_numpy(part.labels), part.columns)
    return adapt(model, classes=Classes(names, numbered=part.ordered), example=example), names


def named_by(model, part: Dataset) -> list[str]:
    """The class of each record in words, by what the audit reads."""
    adapted, names = asked(model, part)
    return [names[i] for i in adapted.query(held_of(part)).argmax(1).tolist()]


WORDS = np.array(["low", "medium", "high"])[Y % 3]
MATCHED = {
    "numbers as text": (Y.astype(str), {}),
    "numbers of a model fitted on text": (Y, {}),
    "an order that is not the alphabet's": (WORDS, {"classes": ("low", "medium", "high")}),
    "texts": (WORDS, {}),
    "truth values": (Y % 2 == 0, {}),
    "from 1 on": (Y % 2 + 1, {}),
    "minus and plus": (np.where(Y % 2 == 0, -1, 1), {}),
    "gaps": (Y * 3, {}),
    "whole floats": (Y.astype(float), {}),
}


@pytest.mark.parametrize("make", [forest, lambda x, y: LinearSVC(max_iter=200).fit(x, y)], ids=["forest", "svc"])
@pytest.mark.parametrize("name", MATCHED)
@pytest.mark.filterwarnings("ignore")
def test_classes_are_matched_by_name(name, make):
    labels, options = MATCHED[name]
    fitted = labels.astype(str) if name == "numbers of a model fitted on text" else labels
    model = make(X, fitted)
    names = [str(int(one)) if isinstance(one, float) else str(one) for one in model.classes_.tolist()]
    answers = model.predict_proba(X) if hasattr(model, "predict_proba") else model.decision_function(X)
    answers = np.stack([-answers, answers], 1) if answers.ndim == 1 else answers
    place = [names.index(one) for one in named_by(model, parts(X, labels, **options))]
    assert (answers[np.arange(N), place] == answers.max(1)).all()  # the first of a tie may be another


def test_other_classes_are_refused_and_both_are_listed():
    with pytest.raises(TrainingError, match="must be those of the data, 'high', 'low', 'medium', got '0', '1', '2'"):
        asked(forest(X, Y % 3), parts(X, WORDS))
    declared = parts(X, WORDS, classes=("low", "medium", "high"))
    model = KNeighborsClassifier(1).fit(X, Y % 3)
    assert named_by(model, declared) == [("low", "medium", "high")[i] for i in Y % 3]
    with pytest.raises(TrainingError, match="must be those of the data, .* got 'a', 'b'"):
        asked(forest(X, np.where(Y % 2, "a", "b")), parts(X, Y % 2))


def test_a_model_may_know_more_classes_than_occur():
    model, few = forest(X, Y), Y < 9
    adapted, names = asked(model, parts(X[few], Y[few]))
    assert names == tuple(map(str, range(12)))
    by_hand = torch.from_numpy(model.predict_proba(X)).float().double().log()
    torch.testing.assert_close(adapted.query(held_of(parts(X, Y))), by_hand)
    words = np.array([f"class {i}" for i in range(12)])[Y]
    _, names = asked(forest(X, words), parts(X[few], words[few]))
    assert set(names) == set(words)


def test_transformers_name_their_classes():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        id2label={0: "low", 1: "medium", 2: "high"}, label2id={"low": 0, "medium": 1, "high": 2},
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    tokens = RNG.integers(1, 40, (N, 5))
    with torch.no_grad():
        best = model(torch.from_numpy(tokens), attention_mask=torch.ones(N, 5).long()).logits.argmax(1)
    assert named_by(model, parts(tokens, WORDS)) == [("low", "medium", "high")[i] for i in best]
    with pytest.raises(TrainingError, match="got 'low', 'medium', 'high'"):
        asked(model, parts(tokens, np.array(["x", "y", "z"])[Y % 3]))


def test_columns_are_matched_by_name():
    order = COLUMNS[::-1]
    model = forest(FRAME[order], Y)
    wanted = torch.from_numpy(model.predict_proba(FRAME[order])).float().double().log()
    for part in (parts(FRAME), parts(FRAME.drop(columns="label"), Y)):
        torch.testing.assert_close(asked(model, part)[0].query(held_of(part)), wanted, rtol=0, atol=1e-6)
    with pytest.raises(TrainingError, match="must be given the columns that it was fitted on, got none named 'c3'"):
        asked(model, parts(FRAME.drop(columns="c3")))
    unnamed = parts(X[:, ::-1].copy(), Y)
    adapted, _ = asked(model, unnamed)
    torch.testing.assert_close(adapted.query(held_of(unnamed)), wanted, rtol=0, atol=1e-6)
    assert "the records have no names and are read in its order: c11, c10" in adapted.notes[0]


def test_other_makers_keep_the_names_of_columns_elsewhere():
    model = forest(X[:, ::-1], Y)
    model.feature_names_ = COLUMNS[::-1]  # as CatBoost does
    part = parts(FRAME.drop(columns=["city", "age"]))
    wanted = torch.from_numpy(model.predict_proba(X[:, ::-1])).float().double().log()
    torch.testing.assert_close(asked(model, part)[0].query(held_of(part)), wanted, rtol=0, atol=1e-6)


def test_frames_of_answers_are_read_by_their_columns():
    model, part = KNeighborsClassifier(1).fit(X, WORDS), parts(X, WORDS)
    for order in (["high", "low", "medium"], ["medium", "high", "low"]):
        answers = lambda x: pd.DataFrame(model.predict_proba(x.numpy()), columns=model.classes_)[order]  # noqa: B023, E731
        assert named_by(answers, part) == WORDS.tolist()
    with pytest.raises(TrainingError, match="must be those of the data, 'high', 'low', 'medium', got 'a', 'b', 'c'"):
        asked(lambda x: pd.DataFrame(model.predict_proba(x.numpy()), columns=["a", "b", "c"]), part)


def test_a_bound_method_is_asked_by_the_names_of_its_estimator():
    model = forest(FRAME[COLUMNS[::-1]], WORDS)
    part = parts(FRAME[COLUMNS], WORDS, classes=("low", "medium", "high"))
    by_hand = model.predict_proba(FRAME[COLUMNS[::-1]])
    place = [list(model.classes_).index(one) for one in named_by(model.predict_proba, part)]
    assert (by_hand[np.arange(N), place] == by_hand.max(1)).all()


def test_a_function_around_named_columns_gets_the_frame(tmp_path):
    model = forest(FRAME[COLUMNS], Y)
    FRAME[[*COLUMNS, "label"]].to_csv(tmp_path / "same.csv", index=False)
    FRAME[[*COLUMNS[::-1], "label"]].to_csv(tmp_path / "other.csv", index=False)
    part = parts(tmp_path / "same.csv")
    wanted = torch.from_numpy(model.predict_proba(FRAME[COLUMNS])).float().double().log()
    function = asked(lambda x: model.predict_proba(x), part)[0]
    torch.testing.assert_close(function.query(held_of(part)), wanted, rtol=0, atol=1e-6)
    with pytest.raises(TrainingError, match="feature names"):
        asked(lambda x: model.predict_proba(x), parts(tmp_path / "other.csv"))


def test_estimators_of_bytes_get_fractions_if_they_are_right_under_them():
    for pictures in (PICTURES, PICTURES.reshape(N, -1)):
        model = forest(pictures.reshape(N, -1) / 255, SIDES)
        assert (
            named_by(model, parts(pictures, SIDES)) == model.predict(pictures.reshape(N, -1) / 255).astype(str)
        ).all()
        model = forest(pictures.reshape(N, -1), SIDES)
        assert (named_by(model, parts(pictures, SIDES)) == model.predict(pictures.reshape(N, -1)).astype(str)).all()


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: lambda x: net(x.float())], ids=["network", "function"])
def test_bytes_of_a_table_are_small_numbers(wrap):
    flags = RNG.integers(0, 2, (N, 12), dtype=np.uint8)
    torch.manual_seed(0)
    net = nn.Linear(12, 2, bias=False)  # right as often under any scale
    with torch.no_grad():
        by_hand = net(torch.from_numpy(flags).float()).double()
    part = parts(flags, by_hand.argmax(1).numpy())
    torch.testing.assert_close(asked(wrap(net), part)[0].query(held_of(part)), by_hand, rtol=1e-5, atol=1e-6)


def test_own_predictions_of_odd_forms_are_no_other_way_to_ask():
    part, model = parts(X, Y), KNeighborsClassifier(1).fit(X, Y)
    held, form = held_of(part), asked(model, part)[0].form

    def own(predict):
        model.predict = predict
        return own_predictions(model, form, held, tuple(range(12)))

    np.testing.assert_array_equal(own(lambda x: Y[:, None]), Y)  # as CatBoost answers
    assert own(lambda x: np.full(N, 0.3)) is None
    assert own(lambda x: np.zeros((N, 12))) is None
    assert own(lambda x: 1 / 0) is None


class OtherFrame:
    """A data frame of another library."""

    columns = ("a", "b")


def test_frames_of_other_makes_are_refused():
    with pytest.raises(DataError, match=r"must be arrays or a pandas DataFrame, got .*OtherFrame: use .to_pandas"):
        parts(OtherFrame(), Y)


def columns_pipeline():
    columns = ColumnTransformer([("c", OneHotEncoder(), ["city"]), ("n", StandardScaler(), ["age", "c3", "c0"])])
    return make_pipeline(columns, RandomForestClassifier(10, random_state=0))


@pytest.mark.parametrize("source", ["frame", "csv", "parquet"])
def test_pipelines_get_the_frame_that_they_were_fitted_on(source, tmp_path):
    frame = FRAME.assign(city=FRAME.city.where(FRAME.index % 7 != 0, np.nan))
    model = columns_pipeline().fit(frame.drop(columns="label"), Y)
    frame.to_csv(tmp_path / "part.csv", index=False)
    frame.to_parquet(tmp_path / "part.parquet")
    part = parts(frame if source == "frame" else tmp_path / f"part.{source}")
    wanted = torch.from_numpy(model.predict_proba(frame)).float().double().log()
    torch.testing.assert_close(asked(model, part)[0].query(held_of(part)), wanted, rtol=0, atol=1e-6)


def test_texts_are_given_as_texts():
    texts = [f"word{a} filler{b} filler{c}" for a, b, c in zip(Y, *RNG.integers(0, 300, (2, N)), strict=True)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts, Y)
    wanted = torch.from_numpy(model.predict_proba(texts)).float().double().log()
    frame = pd.DataFrame({"body": texts, "other": 1.0, "label": Y})
    for part in (parts(texts, Y), parts(np.array(texts), Y), parts(frame, text="body")):
        torch.testing.assert_close(asked(model, part)[0].query(held_of(part)), wanted, rtol=0, atol=1e-6)
    function = asked(lambda records: model.predict_proba(records), parts(texts, Y))[0]
    torch.testing.assert_close(function.query(held_of(parts(texts, Y))), wanted, rtol=0, atol=1e-6)
    with pytest.raises(TrainingError, match="a network must be given numbers, got texts"):
        asked(nn.Linear(3, 12), parts(texts, Y))


def test_numbers_keep_their_own_type():
    times = 1.7e9 + RNG.normal(size=(N, 1)) * 900
    bits = RNG.integers(0, 2, N)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1)).fit(times, bits)
    assert model.score(times, bits) == 1
    assert model.score(times.astype(np.float32), bits) < 0.9  # what rounding would do
    for one in (model, lambda x: model.predict_proba(x)):
        assert named_by(one, parts(times, bits)) == bits.astype(str).tolist()
    narrow = nn.Linear(1, 2)
    adapted, _ = asked(narrow, parts(times, bits))
    with torch.no_grad():
        torch.testing.assert_close(
            adapted.query(held_of(parts(times, bits))), narrow(torch.from_numpy(times).float()).double()
        )
    wide = nn.Linear(1, 2).double()
    with torch.no_grad():
        torch.testing.assert_close(
            asked(wide, parts(times, bits))[0].query(held_of(parts(times, bits))), wide(torch.from_numpy(times))
        )


def test_missing_numbers_go_to_models_that_take_them():
    gaps = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    model = HistGradientBoostingClassifier(max_iter=3).fit(gaps, Y)
    wanted = torch.from_numpy(model.predict_proba(gaps)).float().double().log()
    frame = pd.DataFrame(gaps, columns=COLUMNS).assign(label=Y)
    for part in (parts(gaps, Y), parts(gaps.astype(np.float32), Y), parts(frame)):
        torch.testing.assert_close(asked(model, part)[0].query(held_of(part)), wanted, rtol=0, atol=1e-5)
        assert np.isfinite(part.inputs).all()
        np.testing.assert_array_equal(part.incomplete, np.flatnonzero(np.isnan(gaps).any(1)))
    with pytest.raises(TrainingError, match="Input X contains NaN"):
        asked(LogisticRegression().fit(X, Y), parts(gaps, Y))
    with pytest.raises(TrainingError, match="answers must be finite, got"):
        asked(nn.Linear(12, 12), parts(gaps, Y))


def test_a_sparse_matrix_is_refused_by_its_remedy():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match=r"must be a dense array, got a sparse csr_matrix: use .toarray\(\)"):
        parts(sparse.csr_matrix(X), Y)


class Shifted(torch.utils.data.Dataset):
    """What its `__getitem__` gives is not what its attributes hold."""

    def __init__(self):
        self.inputs, self.labels = torch.from_numpy(X).float(), torch.from_numpy(Y)

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.inputs[i] * 2 + 1, self.labels[N - 1 - i]


class Doubled(torch.utils.data.TensorDataset):
    """A subclass that transforms."""

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x * 2 + 1, y


class Random(Shifted):
    """Another item each time."""

    def __getitem__(self, i):
        return self.inputs[i] + torch.rand(12), self.labels[i]


def test_a_data_set_is_what_its_items_are():
    part = parts(Shifted())
    np.testing.assert_array_equal(part.inputs, X.astype(np.float32) * 2 + 1)
    np.testing.assert_array_equal(part.labels, Y[::-1])
    whole = Doubled(torch.from_numpy(X).float(), torch.from_numpy(Y))
    for one in (whole, torch.utils.data.Subset(whole, range(N))):
        np.testing.assert_array_equal(parts(one).inputs, X.astype(np.float32) * 2 + 1)
    plain = torch.utils.data.Subset(torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), [3, 1])
    np.testing.assert_array_equal(parts(plain).labels, Y[[3, 1]])
    with pytest.raises(DataError, match=r"members\[0\]: must be the same whenever it is read, got another x"):
        parts(Random())


COUNTS = RNG.poisson(2.0, (N, 12))


def test_whole_numbers_are_numbers_unless_something_says_tokens():
    part = parts(COUNTS, Y)
    assert not part.tokens
    assert parts(["some words"] * N, Y).tokens
    assert parts(pd.DataFrame({"body": ["a b"] * N, "label": Y}), text="body").tokens
    torch.manual_seed(0)
    assert asked(Tokens(), parts(COUNTS, Y % 4))[0].tokens
    assert not asked(nn.Linear(12, 12), part)[0].tokens


class Scales(nn.Module):
    """Divides bytes by itself."""

    def forward(self, x):
        level = x.float().mean((1, 2, 3)) / 255
        return torch.stack([0.5 - level, level - 0.5], 1) * 20


class Unscaled(Scales):
    """The same on fractions."""

    def forward(self, x):
        return super().forward(x * 255)


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: lambda x: net(x)], ids=["network", "function"])
def test_bytes_are_given_as_the_model_takes_them(wrap):
    part = parts(PICTURES, SIDES)
    with torch.no_grad():
        by_hand = Scales()(torch.from_numpy(PICTURES)).double()
    assert (by_hand.argmax(1).numpy() == SIDES).all()
    adapted, _ = asked(wrap(Scales()), part)
    torch.testing.assert_close(adapted.query(held_of(part)), by_hand)
    assert adapted.notes[0].startswith("is given bytes as they are, under which it is right in 100% of 120 records")
    fractions, _ = asked(wrap(Unscaled()), part)
    torch.testing.assert_close(fractions.query(held_of(part)), by_hand, rtol=1e-4, atol=1e-4)
    assert fractions.notes[0].startswith("is given " + ("numbers" if fractions.module is None else "fractions"))


def test_a_model_may_squeeze_a_single_record():
    net = nn.Linear(12, 3)
    one = nn.Linear(12, 1)
    for model, classes in ((lambda x: net(x).squeeze(), 3), (lambda x: one(x).squeeze(), 2)):
        adapted = adapt(model, classes=classes, example=X.astype(np.float32))
        whole = adapted.query(X.astype(np.float32))
        alone = torch.cat([adapted.query(X[i : i + 1].astype(np.float32)) for i in range(3)])
        torch.testing.assert_close(alone, whole[:3], rtol=1e-5, atol=1e-6)
