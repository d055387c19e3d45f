"""What all tests share: one thread for each of pytest's processes, and the record of measured figures."""

import gc
import itertools
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import jaxtyping
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from shape_checks import jaxtyped

# Before anything loads PyTorch: its threads spin while they wait, which under `pytest -n 2` costs more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before the hook of `--jaxtyping-packages` meets a module of dosimeter, and half as slow.
jaxtyping.jaxtyped = jaxtyped
# On a busy machine an example takes longer than the 200 ms of hypothesis, and drawing it longer than its seconds.
settings.register_profile("any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Imports and parsed tests make millions of objects that stay, and the collector of garbage looks at them again and
# again: a fifth of the time in which tests are collected.
gc.disable()

collect_ignore = ["own_kinds.py"]  # holds a class whose attributes raise, which the search for doctests asks for


WORLDS = 40
"""Of a detection limit in the default tests: with all 300 each audit without a leak would take a second more."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """From now on garbage is collected again, but what is there stays out of it."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Seeds the global generators, so that networks which a test makes with fresh weights do not follow other tests."""
    import torch  # not before jaxtyping's hook is there

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- users' code draws from it
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def few_worlds(request):
    """Detection limits from few worlds; slow tests have all."""
    from dosimeter.families.membership.measures import detection_limit  # not before jaxtyping's hook is there

    with pytest.MonkeyPatch.context() as patch:
        if "not slow" in request.config.option.markexpr:
            patch.setattr(detection_limit, "WORLDS", WORLDS)
        yield


@pytest.fixture
def record_figure(request):
    """Call `record_figure(name, **values)` to keep what a slow test measured.

    A JSON line is appended to the file that the environment variable DOSIMETER_FIGURES names; without it, nothing is
    kept. `benchmarks/verify.py` collects the lines.
    """

    def record(name, **values):
        if file := os.environ.get("DOSIMETER_FIGURES"):
            line = json.dumps({"test": request.node.nodeid, "figure": name, **values})
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(line + "\n")

    return record


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory; its name has a space and a letter beyond ASCII."""
    here = tmp_path / "mein prüfling"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def even_clock(monkeypatch):
    """A clock by which all that a plan measures takes 1 s, so that a comparison of plans does not depend on load."""
    from dosimeter.pipeline import durations  # not before jaxtyping's hook is there

    ticks = itertools.count()
    monkeypatch.setattr(durations, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
