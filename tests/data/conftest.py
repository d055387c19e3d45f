import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dosimeter.foundation.errors import DataError


@pytest.fixture
def fails():
    """Call that must raise a DataError of one printable line per problem; gives the text."""

    def call(fn, *args, **kwargs):
        with pytest.raises(DataError) as caught:
            fn(*args, **kwargs)
        for problem in caught.value.problems:
            assert problem.isprintable(), problem
            assert ": " in problem
        return str(caught.value)

    return call


@pytest.fixture
def folder(tmp_path):
    """Writes class folders with images of 6 x 4 and gives their folder."""

    def make(classes=("cat", "dog"), n=3, mode="RGB", suffix="png", root=tmp_path / "pets"):
        rng = np.random.default_rng(0)
        for c in classes:
            (root / c).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                shape = (6, 4, 3) if mode == "RGB" else (6, 4)
                Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(root / c / f"{i:03d}.{suffix}")
        return root

    return make


@pytest.fixture
def cifar_copy():
    """The developer's copy of CIFAR-10, where there is one."""
    given = os.environ.get("DOSIMETER_CIFAR10")
    root = Path(__file__).parents[2]
    places = [Path(given)] if given else []
    places += [root / "data" / "cifar10_jpeg.npz", root / ".." / "shared" / "data" / "cifar10_jpeg.npz"]
    for place in places:
        if place.exists():
            return place
    pytest.skip("no copy of CIFAR-10: set DOSIMETER_CIFAR10")
