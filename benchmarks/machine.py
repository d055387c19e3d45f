"""What a figure was measured on, and how it is judged."""

from __future__ import annotations

import datetime
import operator
import os
import platform
from pathlib import Path

import numpy as np
import torch

COMPARE = {">=": operator.ge, "<=": operator.le, "==": operator.eq}
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def flags():
    """The CPU's vector extensions, as Linux lists them; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    line = (
        next((line for line in info.read_text().splitlines() if line.startswith("flags")), "") if info.exists() else ""
    )
    return [flag for flag in FLAGS if flag in line.split()]


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def hardware():
    """Date, CPU and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpu": model or platform.machine(),
        "cores": cores(),
        "flags": flags(),
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def case(figures, bars, *, applies=True):
    """A case: its figures, its bars such as `{"ratio": (">=", 50)}`, and whether all are met.

    `ok` is None where the bars do not apply to this machine.
    """
    met = {name: COMPARE[sign](figures[name], limit) for name, (sign, limit) in bars.items()}
    return {
        **figures,
        "bar": {name: f"{sign} {limit:g}" for name, (sign, limit) in bars.items()},
        "bar_applies": applies,
        "ok": all(met.values()) if applies else None,
    }
