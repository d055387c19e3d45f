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
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # the package warns of its own parts
def test_saved_images(saved, fails):
    data = load("hf:pictures", base=saved, options=Options(split="test", person="who"), rows="1:4")
    assert data.inputs.shape == (3, 3, 6, 4)
    assert data.inputs.dtype == np.uint8
    assert data.ids.tolist() == ["test/00001", "test/00002", "test/00003"]
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
