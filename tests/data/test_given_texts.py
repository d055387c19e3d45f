"""Texts for a language model that are handed over in Python, in any form that holds them."""

import numpy as np
import pytest

from dosimeter.data import Options, load
from dosimeter.data.supplied import read_parts

READ = Options(level="bytes", length=12)


def parts_of(members):
    return read_parts({"members": members, "nonmembers": ["other one", "other two"]}, seed=0, base=None, options=READ)


def forms(texts):
    """The same texts in every form that holds them."""
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    series = pandas.Series(texts, index=range(5, 5 + len(texts)), dtype=object)
    return {
        "tuple": tuple(texts), "array": np.array(texts), "series": series, "frame": pandas.DataFrame({"text": texts}),
        "columns": {"text": texts}, "arrow": pyarrow.table({"text": texts}),
    }  # fmt: skip


def test_texts_are_read_alike_in_every_form():
    texts = ["one text", "and another", "a third"]
    plain = parts_of(texts)["members"]
    for name, form in forms(texts).items():
        found = parts_of(form)["members"]
        assert found.inputs.tolist() == plain.inputs.tolist(), name
        assert found.vocabulary == 257, name


def test_texts_in_other_forms_are_refused_with_what_to_do(fails):
    for form in (iter(["a", "b"]), 3):
        assert "put its texts in a list" in fails(parts_of, form)
    assert "needs a column 'text' for the text, got none: use one of: body" in fails(parts_of, {"body": ["a", "b"]})
    plain = Options()
    parts = {"members": forms(["a"])["arrow"]}
    assert "got pyarrow.Table: use .to_pandas()" in fails(read_parts, parts, seed=0, base=None, options=plain)


def test_half_of_a_surrogate_pair_in_a_table_is_named_by_column_and_row(fails, tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    half = ["whole", "secret \ud83d"]
    wanted = "got half of a surrogate pair in column 'text', row 1: remove it"
    for form in ({"text": half}, pandas.DataFrame({"text": pandas.Series(half, dtype=object)})):
        told = fails(parts_of, form)
        assert wanted in told
        assert "secret" not in told
    people = pandas.DataFrame({"text": ["a", "b"], "person": pandas.Series(half, dtype=object)})
    assert "in column 'person', row 1" in fails(parts_of, people)
    (tmp_path / "own_halves.py").write_text("def texts(seed):\n    return {'text': ['whole', 'half \\ud83d']}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert wanted in fails(load, "own_halves:texts", options=READ)


@pytest.mark.filterwarnings("ignore")  # the package warns of its own parts
def test_a_data_set_of_hugging_face_in_memory_is_read_as_a_saved_one(fails):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed (extra hf-datasets)")
    texts = ["one text", "and another"]
    held = datasets.Dataset.from_dict({"text": texts, "person": ["a", "b"]})
    for form in (held, datasets.DatasetDict(train=held)):
        found = parts_of(form)["members"]
        assert found.inputs.tolist() == parts_of(texts)["members"].inputs.tolist()
        assert found.persons.tolist() == ["a", "b"]
    assert "set split to one of: test, train" in fails(parts_of, datasets.DatasetDict(train=held, test=held))
    assert "put its texts in a list" in fails(parts_of, held.to_iterable_dataset())
    kinds = datasets.Dataset.from_dict({"x": [1.0, 2.0], "label": [0, 1]})
    kinds = kinds.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    found = read_parts({"members": kinds, "nonmembers": kinds}, seed=0, base=None, options=Options())["members"]
    assert found.classes == ("no", "yes")
