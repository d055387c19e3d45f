"""What each attack finds for its time; `python benchmarks/leakage_per_minute.py [cifar10:FILE.npz]` prints JSON.

Fleets: linear heads on the photos of the badge demo (32 targets), and, with a table of pictures, the small
convolutional nets of `few_shadow_power.py`, trained whole on 2,000 pictures (16 targets). Each fleet has 64 shadows, of
which 2, 4, 16 or 64 are drawn in whole complementary pairs, up to four times without overlap. The membership of 50
records of each fleet is known to adversaries who ask for it; no attack judges these.

Of each attack and number of shadows: TPR at 1 % FPR (threshold read off the targets), AUC, dose, Log-MIA corrected for
chance; records whose membership the adversary must know; seconds on one core to judge one target: to train the shadows,
and to play. Means over targets and draws, with Student's intervals over pairs of targets, whose scores are not
independent. Frozen features, the target itself and its answers are not counted. An attack is on the frontier if no
other finds as much for no more seconds and no more labelled records.

`--more` plays only the attacks that the file of `--out` lacks, and writes after each, so that a run can be interrupted.

What is trained lies in `--work` and is not trained again; `leakage_page.py` writes `docs/leakage-per-minute.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
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
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.observe.signals import SIGNALS, signals_of
from dosimeter.families.membership.weights import Weights
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float, convnet
from dosimeter.statistics.dose.measure import dose_of_bits
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.crossed import rate_interval
from dosimeter.statistics.log_mia.counts import budget, calls_of, log_mia, oracle_thresholds
from dosimeter.statistics.log_mia.null import Exchange
from dosimeter.training.loop import seed_torch
from dosimeter.training.loop import train as train_net

SHADOWS, MOST_DRAWS, KNOWN, SHOTS = (2, 4, 16, 64), 4, 50, (1, 5, 10)
TARGETS = {"faces": 32, "cifar10": 16}
TUNED, PATIENCE = {"faces": (32, 8, 8), "cifar10": (8, 4, 4)}, 20.0
"""Targets that are tuned with each number of shots, since a net takes minutes with 5 and 10: there settings are chosen
in each episode; and seconds after which an attack is not timed again."""
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
        tunes: whether it trains copies of the target, which takes so long that some fleets have fewer targets for it.
        references: whether it reads one out-reference for each pair of shadows, which is a setting of its own.
    """

    name: str
    kind: str
    settings: tuple[tuple[str, object], ...] = ()
    shadows: tuple[int, ...] = SHADOWS
    tunes: bool = False
    references: bool = False

    def attack(self, shadows):
        """The attack for a number of shadows."""
        return REGISTRY[self.kind](**dict(self.settings), **({"references": shadows // 2} if self.references else {}))


ONLINE = (("mode", "online"),)
ROWS = (
    Row("loss", "loss", shadows=(0,)),
    Row("influence", "influence", shadows=(0,)),
    Row("difficulty one reference", "difficulty", shadows=(2,)),
    Row("difficulty", "difficulty", shadows=SHADOWS[1:]),
    Row("bmia", "bmia", references=True),
    Row("rmia online", "rmia", ONLINE),
    Row("base online", "base", ONLINE),
    Row("lira online", "lira", ONLINE),
    Row("fused online", "fused", ONLINE),
    Row("learned_ratio", "learned_ratio"),
    *(
        Row(f"{kind} {shots} shot{'s' * (shots > 1)}", kind, (("shots", shots),), (0,), kind == "transductive_tuning")
        for kind in ("simple_shot", "laplacian_shot", "transductive_tuning")
        for shots in SHOTS
    ),
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
    weight, bias = torch.from_numpy(found["weight"]), torch.from_numpy(found["bias"])
    logits = [x @ own.T + other for own, other in zip(weight, bias, strict=True)]
    states = [{"weight": own.float(), "bias": other.float()} for own, other in zip(weight, bias, strict=True)]
    copies = Copies(lambda: torch.nn.Linear(x.shape[1], frozen.classes), states)
    game, is_member = fleet(logits, labels, found["member"], frozen.classes, targets, known(frozen))
    return tell(game, is_member, copies, x.float()), float(found["seconds"])


def nets(work, targets, data):
    """The same of small convolutional nets; each net is kept by itself."""
    records = load(data, rows=f"0:{POOL + ASIDE}")
    x = torch.nn.functional.avg_pool2d(as_float(torch.from_numpy(np.array(records.inputs))), 2)
    labels, classes = np.array(records.labels).astype(np.int64), len(records.classes)
    y, member, found = torch.from_numpy(labels), membership_matrix(POOL, targets + MOST, 0), []

    def fresh():
        return convnet(tuple(x.shape[1:]), classes, widths=(16, 32, 64))

    for seed, row in enumerate(member):

        def make(seed=seed, row=row):
            start = time.process_time()
            with seed_torch(seed):
                net = fresh()
            rows = torch.from_numpy(np.flatnonzero(row))
            train_net(net, x[rows], y[rows], NET, seed=seed, device=torch.device("cpu"))
            seconds = time.process_time() - start
            with torch.inference_mode():
                logits = torch.cat([net(batch) for batch in x.split(400)])
            state = {f"net.{name}": values.numpy() for name, values in net.state_dict().items()}
            return {"logits": logits.numpy(), "seconds": np.array(seconds), **state}

        found.append(kept(work, f"cifar10-{seed}", make))
    logits = [torch.from_numpy(one["logits"]) for one in found]
    seconds = float(np.median([one["seconds"] for one in found]))
    states = [{name[4:]: torch.from_numpy(one[name]) for name in one if name.startswith("net.")} for one in found]
    game, is_member = fleet(logits, labels, member, classes, targets)
    return tell(game, is_member, Copies(fresh, states), x), seconds


def fleet(logits, labels, member, classes, targets, head=None):
    """The game of the first models against all others, and the targets' membership."""
    y, names = torch.from_numpy(labels), signal_names()
    outputs = [signals_of([one], y, names, Access.LOGITS) for one in logits]
    return game_of(outputs, labels, member, classes, targets, head)


@dataclass(frozen=True, eq=False)
class Copies:
    """The trained models by number; a `Modules`.

    Attributes:
        fresh: makes a model without its weights.
        states: weights and buffers of each model.
    """

    fresh: Callable[[], torch.nn.Module]
    states: list[dict[str, torch.Tensor]]

    def __call__(self, row):
        """A copy of one model."""
        net = self.fresh()
        net.load_state_dict(self.states[row])
        return net.eval()


def tell(game, is_member, models, inputs):
    """The game in which some records are known and not judged, with the models, and the targets' membership."""
    n, targets = is_member.shape[1], len(is_member)
    order = np.random.default_rng(1).permutation(n)
    known, rest = np.sort(order[:KNOWN]), np.sort(order[KNOWN:])

    def pick(tables, part):
        return {name: values[:, :, part] for name, values in tables.items()}

    rows = np.arange(targets), np.arange(targets, targets + game.n_shadows)
    own = Known(
        game.ids[known], game.labels[known], is_member[:, known], game.shadow_in[:, known],
        pick(game.outputs, known), pick(game.shadow_outputs, known),
    )  # fmt: skip
    told = dataclasses.replace(
        game, ids=game.ids[rest], labels=game.labels[rest], outputs=pick(game.outputs, rest),
        shadow_outputs=pick(game.shadow_outputs, rest), shadow_in=game.shadow_in[:, rest], known=own,
        head=game.head and dataclasses.replace(game.head, candidates=rest),
        weights=Weights(models, inputs[torch.from_numpy(np.concatenate([rest, known]))], *rows),
    )  # fmt: skip
    return told, is_member[:, rest]


def serves(game, row, shadows):
    """Whether a game with so many shadows has what an attack needs."""
    if row.kind not in REGISTRY:
        return False
    needs, attack = row.attack(shadows).needs, row.attack(shadows)
    enough = shadows // 2 >= max(needs.in_shadows, needs.out_shadows) and len(game.population.ids) >= needs.population
    held = game.head is not None or not needs.features
    held &= (game.weights is not None or not needs.weights) and (
        game.known.fewest if game.known else 0
    ) >= needs.labelled
    return enough and held and not (needs.inputs or needs.retrain) and set(attack.signals) <= game.outputs.keys()


def some_targets(game, count):
    """The game with its first targets only."""

    def first(tables):
        return {name: values[:count] for name, values in tables.items()}

    population, own, weights = game.population, game.known, game.weights
    if population:
        population = dataclasses.replace(population, outputs=first(population.outputs))
    if own:
        own = dataclasses.replace(own, is_member=own.is_member[:count], outputs=first(own.outputs))
    if weights:
        weights = dataclasses.replace(weights, rows=weights.rows[:count])
    return dataclasses.replace(game, outputs=first(game.outputs), population=population, known=own, weights=weights)


def seconds_of(attack, game):
    """Seconds of the processor in which an attack judges one target, the least of three."""
    one, found = some_targets(game, 1), []
    while not found or (len(found) < 3 and sum(found) < PATIENCE):
        closed_form.cache_clear()
        start = time.process_time()
        attack.run(one, np.random.default_rng(0))
        found.append(time.process_time() - start)
    return min(found)


def corrected(scores, is_member):
    """Log-MIA less what chance gives, of all targets together: with its interval, in regimes A and B."""
    record, rng, found = np.arange(scores.shape[1]), np.random.default_rng(0), {}
    labels = Exchange(is_member, record, drawn=True, rng=rng)
    sizes = zip(is_member.sum(1).tolist(), (~is_member).sum(1).tolist(), strict=True)
    budgets = np.array([budget(n, m) for n, m in sizes])
    for regime, allowed in (("A", np.zeros_like(budgets)), ("B", budgets)):
        hits = exceeds(scores, oracle_thresholds(scores, is_member, allowed))
        calls = calls_of(hits, is_member)
        rate = rate_interval(hits, is_member, record=record, rng=rng)
        null = labels.oracle_null(scores, allowed, calls.tp)
        ends = [null.corrected(log_mia(one * calls.n, calls.n)) for one in (rate.value, rate.low, rate.high)]
        found[regime] = [round(float(one), 4) for one in ends]
    return found | {"members": calls.n}


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
            log = corrected(scores, is_member)
    values = np.mean(found, axis=0)
    return {
        "attack": row.name,
        "shadows": shadows,
        "draws": len(drawn),
        "targets": len(is_member),
        "labelled": int(getattr(attack, "labels", 0) or 0),
        "tpr": with_interval(values[:, 0]),
        "auc": with_interval(values[:, 1]),
        "dose": [round(float(one), 4) for one in (dose.value, dose.low, dose.high)],
        "log_mia_corrected": log,
        "seconds": {"train": round(each * shadows, 3), "play": round(played, 4)},
    }


def total(row):
    """Seconds to train and to play."""
    return sum(row["seconds"].values())


def frontier(rows, found=lambda row: row["tpr"][0]):
    """For each row whether no other row finds as much for no more seconds and no more labelled records.

    Seconds within `SAME` of each other count as equal: they differ by what else the machine does.
    """

    def beats(other, row):
        its, own = found(other), found(row)
        cheap = total(other) <= (1 + SAME) * total(row) and other["labelled"] <= row["labelled"]
        better = its > own or total(other) < total(row) or other["labelled"] < row["labelled"]
        return cheap and its >= own and better

    return [not any(beats(other, row) for other in rows if other is not row) for row in rows]


def case(name, made, each, rows, write):
    """All attacks on one fleet that have no row yet, cheapest first; every row is written as soon as it is there."""
    game, is_member = made
    sizes = {"records": len(game.ids), "known": len(game.known.ids), "classes": game.classes, "targets": len(is_member)}
    sizes |= {"population": len(game.population.ids), "seconds_per_model": round(each, 4)}
    there = {(row["attack"], row["shadows"]) for row in rows}
    for row in ROWS:
        for shadows in row.shadows:
            if (row.name, shadows) not in there and serves(game, row, shadows):
                count = TUNED[name][SHOTS.index(dict(row.settings)["shots"])] if row.tunes else len(is_member)
                if not count:
                    continue
                rows.append(judged(some_targets(game, count), is_member[:count], row, shadows, each))
                rows.sort(key=total)
                for one, best in zip(rows, frontier(rows), strict=True):
                    one["frontier"] = best
                write(sizes | {"attacks": rows})


def main():
    """Run the fleets that are asked for; with `--out`, the file's other fleets stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--only", choices=list(TARGETS), help="run one fleet")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    parser.add_argument("--more", action="store_true", help="keep the attacks that this file has")
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

            def write(one, name=name):
                found["fleets"][name] = {"machine": hardware()} | one
                if asked.out:
                    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

            rows = found["fleets"].get(name, {}).get("attacks", []) if asked.more else []
            case(name, *make(), rows, write)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
