"""Trains and attacks the model of `model.toml`, and writes its two halves: `python make_halves.py`."""

from pathlib import Path

import dosimeter

HERE = Path(__file__).parent

if __name__ == "__main__":
    dosimeter.run(dosimeter.load_config(HERE / "model.toml"), HERE / "runs" / "wire-model")
    result = dosimeter.load(HERE / "runs" / "wire-model")
    print(result)
    print(result.save_partition(HERE / "halves", base=HERE))
