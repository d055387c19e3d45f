"""Faults that the default tests must catch: each is put into a copy of the package, and the tests named must fail.

At least one a room; `--only WORD` runs those whose file has the word, and keeps what the outcome has of the others. It
goes to `benchmarks/results/mutations.json`. Some minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import cores, hardware

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutations.json"
M = "families/membership/"
FAULTS = [
    # file, text, text with the fault, tests that must fail
    ("foundation/seeds.py", "*map(str, index)", "*map(str, index[:0])", "src/dosimeter/foundation/seeds.py"),
    ("foundation/wording.py", "if c.isprintable() else", "if c else", "src/dosimeter/foundation/wording.py"),
    (
        "foundation/keys/package_code.py",
        "waiting += imported",
        "waiting += imported[:0]",
        "tests/foundation/keys/test_package_code.py",
    ),
    ("statistics/intervals/cells.py", "values > by_cell", "values >= by_cell", "tests/statistics"),
    (
        "statistics/identification.py",
        "(similarity >= own[..., None])",
        "(similarity > own[..., None])",
        "tests/statistics/test_identification.py",
    ),
    (
        "families/inversion/case/case.py",
        "= self.split.named",
        "= labels[self.split.trained]",
        "tests/families/inversion/test_case.py",
    ),
    (
        "statistics/leakage/picture_sets.py",
        "(own.sum() - np.trace(own)) / (n * (n - 1))",
        "own.sum() / n**2",
        "tests/statistics/leakage/test_picture_sets.py",
    ),
    (
        "training/learners/judges.py",
        "real[labels == one]).min(1)",
        "real[labels == one]).max(1)",
        "tests/families/inversion/test_distances.py",
    ),
    (
        "families/inversion/measures/distances.py",
        "np.diagonal(distances, axis1=1, axis2=2)",
        "distances[:, 0]",
        "tests/families/inversion/test_distances.py",
    ),
    (
        "families/inversion/play/sets.py",
        'unbiased_distance(found["tested"], found["trained"])',
        'unbiased_distance(found["public"], found["trained"])',
        "tests/families/inversion/test_distances.py",
    ),
    (
        "models/vision/resnet.py",
        "self.inner(x) + self.around(x)",
        "self.inner(x)",
        "tests/models/vision/test_architectures.py",
    ),
    ("models/vision/vgg.py", "*normed(norm, width)]", "]", "tests/models/vision/test_architectures.py"),
    ("models/vision/vit.py", "query * self.scale @", "query @", "tests/models/vision/test_architectures.py"),
    (
        "families/inversion/attacks/gmi.py",
        "self.momentum * speed - self.lr * slope",
        "self.momentum * speed + self.lr * slope",
        "tests/families/inversion/test_attacks.py",
    ),
    (
        "families/inversion/attacks/brep_mi.py",
        "push = -(units * out",
        "push = (units * out",
        "tests/families/inversion/test_attacks.py",
    ),
    (
        "families/inversion/attacks/helped.py",
        "features - before",
        "features + before",
        "tests/families/inversion/test_beside.py",
    ),
    (
        "families/inversion/attacks/helped.py",
        "torch.stack([found, *taught]).mean(0)",
        "torch.stack([found, *taught]).sum(0)",
        "tests/families/inversion/test_beside.py",
    ),
    (
        "families/inversion/attacks/plg_mi.py",
        "for _ in range(self.views)]).mean(0)",
        "for _ in range(self.views)]).mean(0).neg()",
        "tests/families/inversion/test_beside.py",
    ),
    (
        "families/inversion/case/refusals.py",
        "if not system.inherits:",
        "if False:",
        "tests/families/inversion/test_beside.py",
    ),
    (
        "families/inversion/play/beside.py",
        '"model": [self.pack.key, self.number],',
        '"model": [],',
        "tests/families/inversion/test_beside.py",
    ),
    (
        "training/learners/guided.py",
        "log_probs.argsort(stable=True, dim=0, descending=True)",
        "log_probs.argsort(stable=True, dim=0)",
        "tests/training/learners/test_guided.py",
    ),
    (
        "training/learners/guided.py",
        "guidance.weight * steer(made, labels).mean()",
        "0.0 * steer(made, labels).mean()",
        "tests/training/learners/test_guided.py",
    ),
    (
        "training/learners/students.py",
        "target[rows], reduction",
        "target[rows.flip(0)], reduction",
        "tests/training/learners/test_guided.py",
    ),
    (
        "training/deployment/network.py",
        "    if pack.parent:",
        "    if False:",
        "tests/families/inversion/test_beside.py",
    ),
    (
        "families/inversion/measures/checks.py",
        'return "fail" if p_value',
        'return "pass" if p_value',
        "tests/families/inversion/test_case.py",
    ),
    (
        "training/learners/judges.py",
        "ledoit_wolf((seen - means[labels])[inside]",
        "ledoit_wolf(seen[inside]",
        "tests/training/learners",
    ),
    ("statistics/certify.py", "log(0.05) / n_distinct", "log(0.5) / n_distinct", "tests/statistics"),
    (
        "statistics/hypotheses/shown.py",
        "value <= MOST_P and",
        "value <= 2 * MOST_P and",
        "tests/statistics/hypotheses/test_shown.py",
    ),
    ("jobs/store.py", "return not problem", "return True", "tests/jobs/test_store.py"),
    (
        "jobs/job.py",
        "if not job.users_code and not is_users_fault(error):",
        "if False:",
        "tests/families/membership/design/test_fleet.py",
    ),
    (
        "data/labels.py",
        "np.unique(values, return_inverse=True)",
        "np.unique(-values, return_inverse=True)",
        "tests/data/test_labels.py",
    ),
    (
        "models/weights.py",
        "if not problems:",
        "if True:",
        "tests/models/test_checkpoints.py tests/training/test_chain.py",
    ),
    (
        "training/loop.py",
        "nn.functional.cross_entropy(logits, labels) if own is None",
        "nn.functional.cross_entropy(logits, labels) if True",
        "tests/defenses",
    ),
    (
        "training/charges.py",
        "parts += [one.charge(narrow.divergence) for one in putting]",
        "parts += [0 * one.charge(narrow.divergence) for one in putting]",
        "tests/defenses/training/test_hidden.py",
    ),
    (
        "training/sensitivity/perturbations.py",
        "here - stride * slope.sign()",
        "here + stride * slope.sign()",
        "tests/training/sensitivity/test_perturbations.py",
    ),
    (
        "training/sensitivity/fisher.py",
        "flatten(1).square().sum(1)",
        "flatten(1).sum(1).square()",
        "tests/training/sensitivity/test_fisher.py",
    ),
    (
        "models/transfer.py",
        'if self.statistics == "strict":',
        "if False:",
        "tests/models/test_live.py",
    ),
    (
        "defenses/training/dependence.py",
        "(one * other.T).sum()",
        "(one * other).mean()",
        "tests/defenses/training/test_hidden.py",
    ),
    (
        "training/private/accounting.py",
        "MOST_EPSILON = 100.0",
        "MOST_EPSILON = 0.1",
        "tests/training/private/test_privacy.py",
    ),
    ("training/system.py", "alike=alike", "alike=False", "tests/pipeline/test_transferred.py"),
    ("training/system.py", "CHANGED = 1e-3", "CHANGED = 1e3", "tests/families/membership/gates/test_fresh_shadows.py"),
    (
        "defenses/answers/top_k.py",
        "probabilities.topk(self.k, 1)",
        "probabilities.topk(self.k + 1, 1)",
        "tests/defenses",
    ),
    (
        "results/policy/decisions.py",
        'for status in ("exceeded", "undecided"):',
        'for status in ("undecided",):',
        "tests/results/policy/test_policy.py",
    ),
    (
        "results/compare.py",
        'row.metric in ("auc", DOSE) or',
        'row.metric in ("none", DOSE) or',
        "tests/results/test_compare.py",
    ),
    (
        "results/page/environment.py",
        "autoescape=True",
        "autoescape=False",
        "tests/results/page tests/pipeline/test_render.py tests/test_hostile.py",
    ),
    (
        M + "design/design.py",
        "matrix[2 * pair + 1] = ~matrix[2 * pair]",
        "matrix[2 * pair + 1] = matrix[2 * pair]",
        "tests/families/membership/design/test_fleet.py src/dosimeter/families/membership/design/design.py",
    ),
    (
        M + "design/design.py",
        "first = self._width * len(self.folds)",
        "first = 0",
        "tests/families/membership/design/test_fleet.py tests/families/membership/test_results.py",
    ),
    (
        M + "observe/signals.py",
        "if SIGNALS[name].access not in access.includes]",
        "if False]",
        "tests/families/membership/observe/test_observe.py",
    ),
    (
        M + "attacks/shadows/lira.py",
        "laws.log_ratio(own, null, phi)",
        "laws.log_ratio(null, own, phi)",
        "tests/families/membership/attacks/shadows/test_lira.py",
    ),
    (
        M + "sentences/verdict.py",
        "floor(share.low * of + 1e-9), ceil(share.high * of - 1e-9)",
        "ceil(share.low * of), floor(share.high * of)",
        "tests/families/membership/sentences/test_verdict.py",
    ),
    (
        M + "gates/null.py",
        "if not result.at_chance]",
        "if False]",
        "tests/families/membership/test_results.py tests/statistics/test_null.py",
    ),
    (M + "play/frozen_head.py", " and not system.defended", "", "tests/families/membership/test_frozen.py"),
    (
        M + "case/drawn.py",
        "- self.withheld.keys()",
        "",
        "tests/families/membership/observe/probes/test_through_the_doors.py",
    ),
    (
        M + "case/drawn.py",
        "null_member=self.null_matrix,",
        "null_member=self.design.member,",
        "tests/families/membership/play/test_play_job.py",
    ),
    (
        M + "play/play.py",
        "design.game(number, signals, null_member)",
        "design.game(number, signals)",
        "tests/families/membership/play/test_play_job.py",
    ),
    (
        "families/play.py",
        "row.name, row.settings, attack_code",
        "row.name, attack_code",
        "tests/families/membership/play/test_play_job.py",
    ),
    (
        M + "problems.py",
        'if "shadows" in given and threat.shadows and not around.trains:',
        "if False:",
        "tests/cli/test_bad_input_doors.py",
    ),
    (
        "config/plugin_rows.py",
        "    if unknown:",
        "    if False:",
        "tests/config/test_config.py tests/cli/test_bad_input.py",
    ),
    (
        "pipeline/verbs.py",
        "prepared.system.check_unchanged()",
        "None",
        "tests/families/membership/gates/test_fresh_shadows.py",
    ),
    (
        "pipeline/run_folder.py",
        "if found not in (None, key):",
        "if False:",
        "tests/pipeline/test_run_folder.py tests/pipeline/test_pipeline.py",
    ),
    (
        "cli/app.py",
        "raise typer.Exit(1)",
        "raise typer.Exit(0)",
        "tests/cli/test_cli.py tests/results/policy/test_policy.py",
    ),
    (
        "statistics/log_mia/counts.py",
        "place = len(others) - 1 - most",
        "place = len(others) - 2 - most",
        "tests/statistics/log_mia/test_log_mia.py",
    ),
    (
        "statistics/log_mia/null.py",
        "return (value - self.expected) / (1 - self.expected)",
        "return max(0.0, (value - self.expected) / (1 - self.expected))",
        "tests/statistics/log_mia/test_log_mia.py",
    ),
    (
        "statistics/log_mia/grades.py",
        "one.fpr[1 - end]",
        "one.fpr[end]",
        "tests/statistics/log_mia/test_log_mia_grades.py",
    ),
    (
        M + "measures/log_mia.py",
        "most_p=MOST_P / together",
        "most_p=MOST_P",
        "tests/families/membership/measures/test_log_mia_rows.py",
    ),
    (
        M + "measures/log_mia.py",
        "if standing.failed:",
        "if False:",
        "tests/families/membership/measures/test_log_mia_rows.py",
    ),
]


def caught(fault: tuple[str, str, str, str]) -> dict[str, object]:
    """Whether the tests fail in a copy with the fault."""
    file, text, wrong, tests = fault
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in ("src", "tests", "docs", "examples", "benchmarks"):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for one in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
            shutil.copy(ROOT / one, copy)
        path = copy / "src" / "dosimeter" / file
        whole = path.read_text(encoding="utf-8")
        if whole.count(text) != 1 or text == wrong:
            raise ValueError(f"{file}: the text must stand there once and the fault change it, got {text!r}")
        path.write_text(whole.replace(text, wrong), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
        env = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        "file": file,
        "fault": wrong,
        "caught": done.returncode == 1,
        "by": lines[0].split(" - ")[0] if lines else None,
    }


def main() -> None:
    """Put in each fault and keep what caught it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a file's name")
    asked = parser.parse_args()
    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(caught, [fault for fault in FAULTS if asked.only in fault[0]]))
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["faults"] if asked.only and RESULTS.exists() else []
    rows = {(row["file"], row["fault"]): row for row in (*known, *found)}
    kept = [rows[file, wrong] for file, _, wrong, _ in FAULTS if (file, wrong) in rows]
    for row in found:
        print("caught " if row["caught"] else "MISSED ", row["file"], row["by"] or "")
    RESULTS.write_text(json.dumps({"machine": hardware(), "faults": kept}, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(not row["caught"] for row in found))


if __name__ == "__main__":
    main()
