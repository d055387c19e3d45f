"""opake-auditing on given signals: `python run_opake.py scores|audit|nulls IN OUT`, in an environment that has it.

Its attack is the loss of one model; it takes no shadows. The model is the identity on given logits. Its factory draws
the coins itself, so a partition with known coins is made by the class.
"""

import json
import sys
import time
from pathlib import Path

START = time.perf_counter()
import numpy as np  # noqa: E402  the seconds of all imports are told
import opake.auditing as auditing  # noqa: E402
import torch  # noqa: E402
from opake.auditing.types import CoinFlip  # noqa: E402
from opake.random import key  # noqa: E402


def loss(logits, label):
    """Cross-entropy of one record."""
    return torch.nn.functional.cross_entropy(logits[None], label[None])


def partition(bits):
    """The coins that were flipped."""
    ids = np.arange(len(bits))
    return CoinFlip(len(bits), ids, bits, ids[bits], ids[~bits], len(bits))


def scored(file, target):
    """Partition and scores of one target."""
    bits = file["member"][target]
    n = len(bits)
    data = torch.utils.data.TensorDataset(
        torch.from_numpy(file["logits"][target, :n]), torch.from_numpy(file["labels"][:n])
    )
    coins = partition(bits)
    return coins, auditing.loss_scores(loss, batch_argnums=(0, 1), coin_flip=coins, dataset=data)


def estimated(file, target):
    """Its estimates: empirical epsilon by both methods at 95 %, AUC with its interval."""
    coins, scores = scored(file, target)
    found = auditing.one_run(scores, coin_flip=coins)
    return {
        "epsilon_gdp": found.epsilon_at(delta=1e-5),
        "epsilon": found.eps_delta().epsilon_at(delta=1e-5),
        "auc": found.attack_auc(confidence=0.95, key=key(0)),
        "tpr": 1 - found.attack_beta_at(alpha=0.01),
    }


def scores(path, out):
    """The loss attack's scores `[t n]`."""
    file = dict(np.load(path))
    given = [scored(file, target)[1] for target in range(int(file["targets"]))]
    np.savez(out, loss=np.stack([one.scores[np.argsort(one.canary_indices)] for one in given]))
    return {}


def audit(path, out):
    """Estimates of all targets."""
    file = dict(np.load(path))
    found = [estimated(file, target) for target in range(int(file["targets"]))]
    out.write_text(json.dumps(found, default=float), encoding="utf-8")
    return {}


def nulls(folder, out):
    """What is said of each fleet that leaks nothing."""
    said = []
    for path in sorted(folder.glob("*.npz")):
        found = estimated(dict(np.load(path)), 0)
        said.append(
            {
                "epsilon (default method) above 0": found["epsilon_gdp"] > 0,
                "epsilon (eps-delta method) above 0": found["epsilon"] > 0,
                "AUC interval above 0.5": found["auc"][0] > 0.5,
            }
        )
    return {"said": said}


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, given, target = sys.argv[1:]
    loaded = time.perf_counter()
    told = {"scores": scores, "audit": audit, "nulls": nulls}[mode](Path(given), Path(target))
    told |= {"import_seconds": loaded - START, "work_seconds": time.perf_counter() - loaded}
    print(json.dumps(told))
