"""auditml on given signals: `python run_auditml.py scores|audit|nulls IN OUT`, in an environment that has it.

The model is the identity on given logits, the shadows too. It imports torchvision for its own data sets only, so a
stand-in takes its place where it is missing.
"""

import contextlib
import io
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

START = time.perf_counter()
if find_spec("torchvision") is None:
    sys.modules["torchvision"] = MagicMock()
import auditml  # noqa: E402
import numpy as np  # noqa: E402  the seconds of all imports are told
import torch  # noqa: E402
from auditml.attacks.mia_shadow import ShadowMIA  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

SHADOWS = 4  # its default; its network takes most of a minute for each target of 16


def loaders(file, row):
    """Members and non-members of one model, in order."""
    bits = file["member"][row]
    logits = torch.from_numpy(file["logits"][row, : len(bits)]).float()
    labels = torch.from_numpy(file["labels"][: len(bits)])
    return [DataLoader(TensorDataset(logits[which], labels[which]), batch_size=64) for which in (bits, ~bits)]


def threshold(file, target):
    """Its audit with the loss threshold."""
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        return auditml.audit(torch.nn.Identity(), *loaders(file, target), attacks=["mia_threshold"], device="cpu")


def shadow(file, target):
    """Its shadow attack on given shadows: the attack object after its run."""
    pair = target - target % 2
    rest = np.delete(np.arange(len(file["member"])), [pair, pair + 1])
    given = [(torch.nn.Identity(), *loaders(file, row)) for row in rest[:SHADOWS]]
    torch.manual_seed(target)
    attack = ShadowMIA(torch.nn.Identity(), shadow_models=given, num_classes=file["logits"].shape[2])
    attack.run(*loaders(file, target))
    return attack


def placed(result, bits):
    """Scores in the order of the records."""
    row = np.empty(len(bits))
    row[bits], row[~bits] = np.split(result.confidence_scores, [bits.sum()])
    return row


def scores(path, out):
    """Both attacks' scores `[t n]`."""
    file = dict(np.load(path))
    targets = range(int(file["targets"]))
    found = {"loss": [placed(threshold(file, t)._raw_results["mia_threshold"][1], file["member"][t]) for t in targets]}
    found["shadow"] = [placed(shadow(file, t).result, file["member"][t]) for t in targets]
    np.savez(out, **{name: np.stack(rows) for name, rows in found.items()})
    return {}


def audit(path, out):
    """Metrics of all targets; the report of the first is timed apart."""
    file = dict(np.load(path))
    found = [threshold(file, target) for target in range(int(file["targets"]))]
    out.mkdir()
    for i, one in enumerate(found):
        one.save(out / f"{i}.json")
    start = time.perf_counter()
    found[0].report(out / "report", open_browser=False)
    return {"report_seconds": time.perf_counter() - start}


def nulls(folder, out):
    """What is said of each fleet that leaks nothing."""
    said = []
    for path in sorted(folder.glob("*.npz")):
        said.append({"vulnerable (AUC above 0.55)": threshold(dict(np.load(path)), 0).is_vulnerable()})
    return {"said": said}


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, given, target = sys.argv[1:]
    loaded = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        told = {"scores": scores, "audit": audit, "nulls": nulls}[mode](Path(given), Path(target))
    told |= {"import_seconds": loaded - START, "work_seconds": time.perf_counter() - loaded}
    print(json.dumps(told))
