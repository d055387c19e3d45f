"""What each attack finds for its time; `python benchmarks/leakage_per_minute.py [cifar10:FILE.npz]` prints JSON.

Fleets: linear heads on the photos of the badge demo (32 targets), and, with a table of pictures, the small
convolutional nets of `few_shadow_power.py`, trained whole on 2,000 pictures (16 targets). Each fleet has 64 shadows, of
which 2, 4, 16 or 64 are drawn in whole complementary pairs, up to four times without overlap.

Of each attack and number of shadows: TPR at 1 % FPR (threshold read off the targets), AUC, dose; records whose
membership the adversary must know; seconds on one core to judge one target: to train the shadows, and to play. Means
over targets and draws, with Student's intervals over pairs of targets, whose scores are not independent. Frozen
features, the target itself and its answers are not counted. An attack is on the frontier if no other finds as much
for no more seconds and no more labelled records.

What is trained lies in `--work` and is not trained again; `leakage_page.py` writes `docs/leakage-per-minute.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from few_shadow_power import ASIDE, MOST, NET, POOL, draws, game_of, measured, thin
from machine import hardware
from scipy import stats
from shadow_free import known, pictures, train

from dosimeter.data import load
from dosimeter.families.membership.attacks import ATTACKS as REGISTRY
from dosimeter.families.membership.attacks.shadows.closed_form import closed_form
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.signals import SIGNALS, signals_of
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float, convnet
from dosimeter.statistics.dose.measure import dose_of_bits
from dosimeter.training.loop import seed_torch
from dosimeter.training.loop import train as train_net

SHADOWS, MOST_DRAWS = (2, 4, 16, 64), 4
TARGETS = {"faces": 32, "cifar10": 16}
SAME = 0.02
"""Share by which seconds may differ and count as equal."""


@dataclass(frozen=True)
class Row:
    """One attack.

    Attributes:
        name: in the tables.
        kind: key of the registry.
        settings: its settings.
        shadows: numbers of shadows with which it is played, 0 if it reads none.
        references: whether it reads one out-reference for each pair of shadows, which is a setting of its own.
    """

    name: str
    kind: str
    settings: tuple[tuple[str, object], ...] = ()
    shadows: tuple[int, ...] = SHADOWS
    references: bool = False

    def attack(self, shadows):
        """The attack for a number of shadows."""
        return REGISTRY[self.kind](**dict(self.settings), **({"references": shadows // 2} if self.references else {}))


ONLINE = (("mode", "online"),)
ROWS = (
    Row("loss", "loss", shadows=(0,)),
    Row("influence", "influence", shadows=(0,)),
    Row("difficulty", "difficulty"),
    Row("bmia", "bmia", references=True),
    Row("rmia online", "rmia", ONLINE),
    Row("base online", "base", ONLINE),
    Row("lira online", "lira", ONLINE),
    Row("fused online", "fused", ONLINE),
)
"""One line for each attack; one that is not registered yet, or that a fleet cannot serve, is left out."""


def signal_names():
    """Signals of a model's outputs that some attack reads."""
    used = {name for row in ROWS if row.kind in REGISTRY for n in row.shadows for name in row.attack(n or 2).signals}
    return sorted(used & SIGNALS.keys())


def kept(work, name, make):
    """An array file of the work folder, made once."""
    path = work / f"{name}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        draft = work / f".{name}.npz"
        np.savez(draft, **make())
        draft.replace(path)
    with np.load(path) as found:
        return {key: found[key] for key in found.files}


def faces(work, targets):
    """The game of heads on photos, who was trained on what, and seconds to train one head."""
    frozen = pictures("orl-faces", 128)

    def make():
        member, heads, each = train(frozen, targets + MOST)
        weights, biases = zip(*heads, strict=True)
        return {"member": member, "weight": np.stack(weights), "bias": np.stack(biases), "seconds": np.array(each)}

    found = kept(work, "faces", make)
    x = torch.from_numpy(np.concatenate([frozen.features, frozen.outside])).double()
    labels = np.concatenate([frozen.labels, frozen.outside_labels]).astype(np.int64)
    heads = zip(torch.from_numpy(found["weight"]), torch.from_numpy(found["bias"]), strict=True)
    logits = [x @ weight.T + bias for weight, bias in heads]
    return fleet(logits, labels, found["member"], frozen.classes, targets, known(frozen)), float(found["seconds"])


def nets(work, targets, data):
    """The same of small convolutional nets; each net is kept by itself."""
    records = load(data, rows=f"0:{POOL + ASIDE}")
    x = torch.nn.functional.avg_pool2d(as_float(torch.from_numpy(np.array(records.inputs))), 2)
    labels, classes = np.array(records.labels).astype(np.int64), len(records.classes)
    y, member, found = torch.from_numpy(labels), membership_matrix(POOL, targets + MOST, 0), []
    for seed, row in enumerate(member):

        def make(seed=seed, row=row):
            start = time.process_time()
            with seed_torch(seed):
                net = convnet(tuple(x.shape[1:]), classes, widths=(16, 32, 64))
            rows = torch.from_numpy(np.flatnonzero(row))
            train_net(net, x[rows], y[rows], NET, seed=seed, device=torch.device("cpu"))
            seconds = time.process_time() - start
            with torch.inference_mode():
                logits = torch.cat([net(batch) for batch in x.split(400)])
            return {"logits": logits.numpy(), "seconds": np.array(seconds)}

        found.append(kept(work, f"cifar10-{seed}", make))
    logits = [torch.from_numpy(one["logits"]) for one in found]
    seconds = float(np.median([one["seconds"] for one in found]))
    return fleet(logits, labels, member, classes, targets), seconds


def fleet(logits, labels, member, classes, targets, head=None):
    """The game of the first models against all others, and the targets' membership."""
    y, names = torch.from_numpy(labels), signal_names()
    outputs = [signals_of([one], y, names, Access.LOGITS) for one in logits]
    return game_of(outputs, labels, member, classes, targets, head)


def serves(game, row, shadows):
    """Whether a game with so many shadows has what an attack needs."""
    if row.kind not in REGISTRY:
        return False
    needs, attack = row.attack(shadows).needs, row.attack(shadows)
    enough = shadows // 2 >= max(needs.in_shadows, needs.out_shadows) and len(game.population.ids) >= needs.population
    held = game.head is not None or not needs.features
    return enough and held and not (needs.inputs or needs.retrain) and set(attack.signals) <= game.outputs.keys()


def alone(game):
    """The game with its first target only."""

    def first(tables):
        return {name: values[:1] for name, values in tables.items()}

    population = dataclasses.replace(game.population, outputs=first(game.population.outputs))
    return dataclasses.replace(game, outputs=first(game.outputs), population=population)


def seconds_of(attack, game):
    """Seconds of the processor in which an attack judges one target, the least of three."""
    one, found = alone(game), []
    for _ in range(3):
        closed_form.cache_clear()
        start = time.process_time()
        attack.run(one, np.random.default_rng(0))
        found.append(time.process_time() - start)
    return min(found)


def with_interval(values):
    """Mean over targets, with the half width of a 95 % interval over pairs of targets."""
    pairs = values.reshape(-1, 2).mean(1)
    width = stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))
    return [round(float(pairs.mean()), 4), round(float(width), 4)]


def judged(game, is_member, row, shadows, each):
    """The figures of one attack with a number of shadows."""
    attack, found = row.attack(shadows), []
    drawn = draws(shadows, MOST_DRAWS)
    for pairs in drawn:
        some = thin(game, pairs)
        scores = attack.run(some, np.random.default_rng(0)).values
        found.append(measured(scores, is_member))
        if len(found) == 1:
            rng, record = np.random.default_rng(0), np.arange(len(game.ids))
            dose, played = dose_of_bits(scores, is_member, record, rng=rng), seconds_of(attack, some)
    values = np.mean(found, axis=0)
    return {
        "attack": row.name,
        "shadows": shadows,
        "draws": len(drawn),
        "labelled": int(getattr(attack, "labels", 0) or 0),
        "tpr": with_interval(values[:, 0]),
        "auc": with_interval(values[:, 1]),
        "dose": [round(float(one), 4) for one in (dose.value, dose.low, dose.high)],
        "seconds": {"train": round(each * shadows, 3), "play": round(played, 4)},
    }


def total(row):
    """Seconds to train and to play."""
    return sum(row["seconds"].values())


def frontier(rows):
    """For each row whether no other row finds as much for no more seconds and no more labelled records.

    Seconds within `SAME` of each other count as equal: they differ by what else the machine does.
    """

    def beats(other, row):
        found, own = other["tpr"][0], row["tpr"][0]
        cheap = total(other) <= (1 + SAME) * total(row) and other["labelled"] <= row["labelled"]
        better = found > own or total(other) < total(row) or other["labelled"] < row["labelled"]
        return cheap and found >= own and better

    return [not any(beats(other, row) for other in rows if other is not row) for row in rows]


def case(made, each):
    """All attacks on one fleet, cheapest first."""
    game, is_member = made
    rows = []
    for row in ROWS:
        served = [n for n in row.shadows if serves(game, row, n)]
        rows += [judged(game, is_member, row, n, each) for n in served]
    rows.sort(key=total)
    for row, best in zip(rows, frontier(rows), strict=True):
        row["frontier"] = best
    sizes = {"records": len(game.ids), "classes": game.classes, "targets": len(is_member)}
    return sizes | {"population": len(game.population.ids), "seconds_per_model": round(each, 4), "attacks": rows}


def main():
    """Run the fleets that are asked for; with `--out`, the file's other fleets stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--only", choices=list(TARGETS), help="run one fleet")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    work = Path(tempfile.gettempdir()) / "dosimeter-leakage"
    parser.add_argument("--work", type=Path, default=work, help="folder of what is trained")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    makers = {"faces": lambda: faces(asked.work, TARGETS["faces"])}
    if asked.pictures:
        makers["cifar10"] = lambda: nets(asked.work, TARGETS["cifar10"], asked.pictures)
    found = json.loads(asked.out.read_text("utf-8")) if asked.out and asked.out.exists() else {"fleets": {}}
    for name, make in makers.items():
        if asked.only in (None, name):
            found["fleets"][name] = {"machine": hardware()} | case(*make())
            if asked.out:
                asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
