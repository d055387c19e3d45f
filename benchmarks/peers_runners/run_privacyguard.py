"""PrivacyGuard on given signals: `python run_privacyguard.py scores|audit|nulls IN OUT`, in an environment that has it.

Frames are made as its `prepare_lira_data` and `prepare_rmia_data` make them (that module also loads torchvision, which
is not needed here): means and deviations (+ 1e-8) of in- and out-shadows' confidences, probabilities for RMIA.
Settings are those of its tutorials and the defaults of its classes.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

START = time.perf_counter()
import numpy as np  # noqa: E402  the seconds of all imports are told
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from privacy_guard.analysis.mia.aggregate_analysis_input import AggregationType  # noqa: E402
from privacy_guard.analysis.mia.analysis_node import AnalysisNode  # noqa: E402
from privacy_guard.attacks.calib_attack import CalibAttack, CalibScoreType  # noqa: E402
from privacy_guard.attacks.lira_attack import LiraAttack  # noqa: E402
from privacy_guard.attacks.loss_attack import LossAttack  # noqa: E402
from privacy_guard.attacks.rmia_attack import RmiaAttack  # noqa: E402

NONE = AggregationType.NONE


class Victim:
    """One target with its shadows: all rows but its own complementary pair."""

    def __init__(self, file, target):
        pair = target - target % 2
        rest = np.delete(np.arange(len(file["member"])), [pair, pair + 1])
        self.inside = file["member"][target]
        self.shadow_in = file["member"][rest]
        n = len(self.inside)
        self.phi, self.shadows = file["phi"][target, :n], file["phi"][rest, :n]
        self.outside, self.shadows_outside = file["phi"][target, n:], file["phi"][rest, n:]

    def moments(self):
        """Mean and deviation over in- and over out-shadows `[n]`."""
        for bits in (self.shadow_in, ~self.shadow_in):
            masked = np.where(bits, self.shadows, np.nan)
            yield np.nanmean(masked, axis=0), np.nanstd(masked, axis=0) + 1e-8

    def frames(self, columns):
        """Members' and non-members' frame."""
        return [
            pd.DataFrame({"user_id": np.arange(bits.sum()), **{name: x[bits] for name, x in columns.items()}})
            for bits in (self.inside, ~self.inside)
        ]


def lira(victim, *, online, **settings):
    """LiRA with these settings."""
    (mean_in, std_in), (mean_out, std_out) = victim.moments()
    columns = {"score_mean": mean_out, "score_std": std_out}
    if online:
        columns = {
            "score_mean_in": mean_in, "score_std_in": std_in, "score_mean_out": mean_out, "score_std_out": std_out,
        }  # fmt: skip
    train, test = victim.frames({"score_orig": victim.phi} | columns)
    return LiraAttack(train, test, NONE, online_attack=online, **settings).run_attack()


def probability(phi):
    """Of a confidence."""
    return 1 / (1 + np.exp(-phi))


def rmia(victim, **settings):
    """RMIA with these settings."""
    refs = range(len(victim.shadows))
    columns = {"score_orig": probability(victim.phi)}
    columns |= {f"score_ref_{i}": probability(victim.shadows[i]) for i in refs}
    columns |= {f"member_ref_{i}": victim.shadow_in[i] for i in refs}
    outside = {"score_orig": probability(victim.outside)}
    outside |= {f"score_ref_{i}": probability(victim.shadows_outside[i]) for i in refs}
    outside |= {f"member_ref_{i}": np.zeros(len(victim.outside), bool) for i in refs}
    if settings.get("num_reference_models") == "all":
        settings["num_reference_models"] = len(refs)
    return RmiaAttack(*victim.frames(columns), pd.DataFrame(outside), NONE, **settings).run_attack()


def loss(victim):
    """The loss attack; the "model" is the table of losses."""
    losses = np.logaddexp(0, -victim.phi)
    parts = [torch.from_numpy(losses[bits]) for bits in (victim.inside, ~victim.inside)]
    return LossAttack(None, *parts, compute_loss=lambda model, part: part).run_attack()


def calibrated(victim):
    """Scaled logits minus those of a calibration model: here the shadows' mean probability without the record."""
    own = victim.frames({"label": np.ones(len(victim.phi)), "predictions": probability(victim.phi)})
    others = np.where(victim.shadow_in, np.nan, probability(victim.shadows))
    shadow = victim.frames({"label": np.ones(len(victim.phi)), "predictions": np.nanmean(others, axis=0)})
    return CalibAttack(*own, *shadow, NONE, True, CalibScoreType.SCALED_LOGITS).run_attack()


FIXED = {"use_fixed_variance": True}
ATTACKS = {
    "loss": loss,
    "calibrated": calibrated,
    "lira online, fixed variance": lambda v: lira(v, online=True, std_dev_type="mix", **FIXED),
    "lira online, per record": lambda v: lira(v, online=True),
    "lira offline, fixed variance": lambda v: lira(v, online=False, std_dev_type="shadows_out", **FIXED),
    "rmia online, default": lambda v: rmia(v, online=True),
    "rmia online, all shadows": lambda v: rmia(v, online=True, num_reference_models="all"),
    "rmia offline, default": rmia,
    "rmia offline, tuned": lambda v: rmia(v, enable_auto_tuning=True),
}
MAIN = "lira online, fixed variance"


def victims(path):
    """All targets of a file."""
    file = dict(np.load(path))
    return [Victim(file, target) for target in range(int(file["targets"]))]


def scores(path, out):
    """Every attack's scores `[t n]`."""
    found = {}
    for name, attack in ATTACKS.items():
        rows = []
        for victim in victims(path):
            given, row = attack(victim), np.empty(len(victim.phi))
            row[victim.inside], row[~victim.inside] = given.df_train_user["score"], given.df_test_user["score"]
            rows.append(row)
        found[name] = np.stack(rows)
    np.savez(out, **found)
    return {}


def analysed(victim):
    """Its full analysis of its main attack, as its `analyze_attack` asks for it."""
    given = ATTACKS[MAIN](victim)
    users = min(len(given.df_train_user), len(given.df_test_user))
    return AnalysisNode(given, delta=1e-5, n_users_for_eval=users).compute_outputs()


def audit(path, out):
    """Metrics of all targets."""
    found = [analysed(victim) for victim in victims(path)]
    out.write_text(json.dumps(found, default=float), encoding="utf-8")
    return {}


def nulls(folder, out):
    """What is said of each fleet that leaks nothing."""
    said = []
    for path in sorted(folder.glob("*.npz")):
        found = analysed(victims(path)[0])
        claims = {
            "AUC interval above 0.5": found["auc_ci"][0] > 0.5,
            "accuracy interval above 0.5": found["accuracy_ci"][0] > 0.5,
            "epsilon (Clopper-Pearson) above 0": found["eps_cp"] > 0,
            "lower bound of epsilon above 0": found["eps_lb"] > 0,
            "epsilon above 0": found["eps"] > 0,
        }
        said.append({name: bool(claimed) for name, claimed in claims.items()})
    return {"said": said}


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.random.seed(0)  # noqa: NPY002  its bootstrap draws from NumPy's global generator
    mode, given, target = sys.argv[1:]
    loaded = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        told = {"scores": scores, "audit": audit, "nulls": nulls}[mode](Path(given), Path(target))
    told |= {"import_seconds": loaded - START, "work_seconds": time.perf_counter() - loaded}
    print(json.dumps(told))
