"""Speed of the membership attacks beside the way peers write them; `python benchmarks/attacks.py` prints JSON."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
from machine import case
from scipy import stats

from dosimeter.families.membership.attacks import RMIA, LiRA
from dosimeter.families.membership.game import MembershipGame, Population

RNG = np.random.default_rng(0)  # the attacks draw nothing


def game(n_records, n_population, n_shadows, signal):
    """One target, complementary pairs of shadows, Gaussian confidences with a shift for members."""
    rng = np.random.default_rng(0)
    first = np.stack([rng.permutation(n_records) < n_records // 2 for _ in range(n_shadows // 2)])
    shadow_in = np.stack([first, ~first], axis=1).reshape(n_shadows, n_records)
    shadows = rng.normal(size=(n_shadows, 1, n_records))
    shadows += rng.normal(0.5, 2.0, n_records)
    shadows += shadow_in[:, None]
    return MembershipGame(
        ids=np.arange(n_records),
        labels=np.zeros(n_records, dtype=np.int64),
        classes=2,
        outputs={signal: rng.normal(0.5, 2.0, (1, 1, n_records))},
        shadow_outputs={signal: shadows},
        shadow_in=shadow_in,
        population=Population(
            ids=np.arange(n_population),
            labels=np.zeros(n_population, dtype=np.int64),
            outputs={signal: rng.normal(0.5, 2.0, (1, 1, n_population))},
            shadow_outputs={signal: rng.normal(0.5, 2.0, (n_shadows, 1, n_population))},
        ),
    )


def timed(call, repeats):
    """Result of the last call and the least seconds of one."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def rmia_matrix(one, gamma):
    """RMIA with the n x z matrix of ratios, probabilities in the open."""
    signal = "logit_confidence_t2"
    target = 1 / (1 + np.exp(-one.outputs[signal][0, 0]))
    mean = (1 / (1 + np.exp(-one.shadow_outputs[signal][:, 0]))).mean(axis=0)
    target_z = 1 / (1 + np.exp(-one.population.outputs[signal][0, 0]))
    mean_z = (1 / (1 + np.exp(-one.population.shadow_outputs[signal][:, 0]))).mean(axis=0)
    ratios = (target / mean)[:, None] / (target_z / mean_z)[None, :]
    return np.average(ratios > gamma, axis=1)


def lira_loop(one):
    """LiRA online with a variance per record, one record after the other."""
    scores = []
    for record in range(len(one.ids)):
        phi = one.outputs["logit_confidence"][0, 0, record]
        shadows = one.shadow_outputs["logit_confidence"][:, 0, record]
        inside = shadows[one.shadow_in[:, record]]
        outside = shadows[~one.shadow_in[:, record]]
        log_in = stats.norm.logpdf(phi, np.mean(inside), np.std(inside, ddof=1))
        log_out = stats.norm.logpdf(phi, np.mean(outside), np.std(outside, ddof=1))
        scores.append(log_in - log_out)
    return np.array(scores)


def rmia_against_matrix():
    """20,000 records, 10,000 population records, 4 shadows: whole attacks, signals included."""
    one = game(20_000, 10_000, 4, "logit_confidence_t2")
    fast, seconds = timed(lambda: RMIA(gamma=2.0).run(one, RNG).values[0], 7)
    slow, matrix_seconds = timed(lambda: rmia_matrix(one, 2.0), 2)
    differing = int(np.abs(np.rint((fast - slow) * 10_000)).sum())
    figures = {
        "seconds": seconds,
        "n": 20_000,
        "population": 10_000,
        "shadows": 4,
        "peer_seconds": matrix_seconds,
        "ratio": matrix_seconds / seconds,
        "differing_decisions": differing,
    }
    return case(figures, {"ratio": (">=", 100)})


def rmia_large():
    """1,000,000 records, 100,000 population records, 4 shadows; in a process of its own for the peak of memory.

    The increase is over the peak of building the game, so `peak_bytes`, of the whole process, is the safe reading.
    """
    one = game(1_000_000, 100_000, 4, "logit_confidence_t2")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scores, seconds = timed(lambda: RMIA().run(one, RNG).values[0], 1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "seconds": seconds,
        "n": 1_000_000,
        "population": 100_000,
        "shadows": 4,
        "peak_bytes": after * unit,
        "peak_increase_bytes": (after - before) * unit,
        "distinct_scores": len(np.unique(scores)),
        "ratio": None,
    }
    return case(figures, {"seconds": ("<=", 5), "peak_bytes": ("<=", 10**9)})


def lira_against_loop():
    """10,000 records, 64 shadows, online, a variance per record."""
    one = game(10_000, 10, 64, "logit_confidence")
    fast, seconds = timed(lambda: LiRA("online", "per-record").run(one, RNG).values[0], 7)
    slow, loop_seconds = timed(lambda: lira_loop(one), 1)
    figures = {
        "seconds": seconds,
        "n": 10_000,
        "shadows": 64,
        "peer_seconds": loop_seconds,
        "ratio": loop_seconds / seconds,
        "largest_difference": float(np.abs(fast - slow).max()),
    }
    return case(figures, {"ratio": (">=", 30), "largest_difference": ("<=", 1e-9)})


def cases():
    """All cases."""
    fresh = subprocess.run([sys.executable, __file__, "rmia_large"], check=True, capture_output=True, text=True)
    return {
        "rmia_20k_10k": rmia_against_matrix(),
        "rmia_1m_100k": json.loads(fresh.stdout),
        "lira_10k_64": lira_against_loop(),
    }


if __name__ == "__main__":
    print(json.dumps(rmia_large() if sys.argv[1:] == ["rmia_large"] else cases(), indent=2))
