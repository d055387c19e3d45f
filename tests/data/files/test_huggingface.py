import builtins

import numpy as np
import pytest
from PIL import Image

from dosimeter.data import Options, load


def test_a_missing_package_is_told(fails, monkeypatch):
    true = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "datasets":
            raise ImportError(name)
        return true(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert 'pip install "dosimeter[hf-datasets]"' in fails(load, "hf:any")
    assert "no option 'size'" in fails(load, "hf:any", options=Options(size=(2, 2)))


@pytest.fixture
def saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed (extra hf-datasets)")
    datasets.disable_progress_bars()
    rng = np.random.default_rng(0)
    columns = {
        "img": [Image.fromarray(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)) for _ in range(6)],
        "label": [0, 1, 2, 0, 1, 2],
        "who": list("aabbcc"),
    }
    features = datasets.Features(
        img=datasets.Image(), label=datasets.ClassLabel(names=["x", "y", "z"]), who=datasets.Value("string")
    )
    train = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(train=train, test=train).save_to_disk(str(tmp_path / "pictures"))
    table = datasets.Dataset.from_dict({"a": [1.0, 2, 3], "b": [4, 5, 6], "label": ["u", "v", "u"]})
    table.save_to_disk(str(tmp_path / "table"))
    mixed = {
        "text": ["good film", "bad", "good"],
        "c": ["x", None, "y"],
        "v": [[1.0, 2], [3, 4], [5, 6]],
        "label": [0, 1, 0],
    }
    named = datasets.Dataset.from_dict(mixed).cast_column("label", datasets.ClassLabel(names=["pos", "neg", "none"]))
    datasets.DatasetDict(train=named, test=named.shuffle(seed=1)).save_to_disk(str(tmp_path / "mixed"))
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # the package warns of its own parts
def test_saved_images(saved, fails):
    data = load("hf:pictures", base=saved, options=Options(split="test", person="who"), rows="1:4")
    assert data.inputs.shape == (3, 3, 6, 4)
    assert data.inputs.dtype == np.uint8
    whole = load("hf:pictures", base=saved, options=Options(split="train"))
    assert data.ids.tolist() == whole.ids[1:4].tolist()
    assert len(set(whole.ids)) == 6
    assert data.classes == ("x", "y", "z")
    assert data.persons.tolist() == ["a", "b", "b"]
    assert "set split to one of: test, train" in fails(load, "hf:pictures", base=saved)
    assert "did you mean 'test'?" in fails(load, "hf:pictures", base=saved, options=Options(split="tset"))
    wrong = Options(split="test", inputs="image")
    assert "inputs must name a column" in fails(load, "hf:pictures", base=saved, options=wrong)
    wrong = Options(split="test", label="y")
    assert "needs a column 'y' for the label" in fails(load, "hf:pictures", base=saved, options=wrong)


@pytest.mark.filterwarnings("ignore")  # the package warns of its own parts
def test_saved_table(saved, fails):
    data = load("hf:table", base=saved)
    assert data.inputs.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.classes == ("u", "v")
    assert "has no splits" in fails(load, "hf:table", base=saved, options=Options(split="train"))


@pytest.mark.filterwarnings("ignore")  # the package warns of its own parts
def test_saved_text_categories_and_arrays(saved, fails):
    data = load("hf:mixed", base=saved, options=Options(text="text", length=4, split="train"))
    assert data.inputs.shape == (3, 4)
    assert data.inputs[0, 0] == data.inputs[2, 0]
    assert data.classes == ("pos", "neg", "none")
    turned = load("hf:mixed", base=saved, options=Options(text="text", length=4, split="test"))
    assert dict(zip(turned.ids, turned.inputs[:, 1].tolist(), strict=True)) == dict(
        zip(data.ids, data.inputs[:, 1].tolist(), strict=True)
    )
    arrays = load("hf:mixed", base=saved, options=Options(inputs="v", split="train"))
    assert arrays.inputs.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert "column 'v' must be numbers or text" in fails(load, "hf:mixed", base=saved, options=Options(split="train"))
    both = Options(inputs="v", text="text", split="train")
    assert "got text too: remove one" in fails(load, "hf:mixed", base=saved, options=both)


def test_a_tokenizer_of_ones_own(tmp_path, fails, monkeypatch):
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed (extra hf)")
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    own.save_pretrained(str(tmp_path / "tok"))
    (tmp_path / "t.csv").write_text("words,label\ngood bad,x\ngood,y\n")
    data = load("t.csv", base=tmp_path, options=Options(text="words", length=3, tokenizer="tok"))
    assert data.inputs.tolist() == [[2, 1, 0], [2, 0, 0]]
    (tmp_path / "none").mkdir()
    wrong = Options(text="words", tokenizer="none")
    assert "tokenizer 'none': must be readable" in fails(load, "t.csv", base=tmp_path, options=wrong)


def test_a_missing_tokenizer_package_is_told(tmp_path, fails, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    (tmp_path / "t.csv").write_text("words,label\ngood bad,x\ngood,y\n")
    options = Options(text="words", tokenizer=".")
    assert 'pip install "dosimeter[hf]"' in fails(load, "t.csv", base=tmp_path, options=options)
