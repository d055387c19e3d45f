"""Named arrays of a run's folder."""

import numpy as np

from dosimeter.jobs.arrays import read_arrays, save_arrays


def test_arrays_come_back_as_they_were_and_only_what_repeats_is_compressed(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "scores": rng.normal(size=(4, 5_000)),
        "bits": rng.random((4, 40_000)) < 0.5,
        "constant": np.zeros((8, 5_000)),
        "ids": np.array([f"record {number}" for number in range(2_000)]),
        "view": rng.normal(size=(5, 30)).T,
        "none": np.empty((0, 7)),
        "texts": np.array([], str),
        "number": np.float64(3.5),
    }
    for name, array in arrays.items():
        save_arrays(tmp_path / f"{name}.npz", {name: array})
    save_arrays(tmp_path / "all.npz", arrays)
    found = read_arrays(tmp_path / "all.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    sizes = {name: (tmp_path / f"{name}.npz").stat().st_size for name in arrays}
    assert sizes["scores"] > arrays["scores"].nbytes
    assert sizes["bits"] < arrays["bits"].nbytes / 3
    assert sizes["constant"] < 5_000
