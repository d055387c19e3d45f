"""The cache: entries as a whole or not at all, damage found by hash, a full disk in one line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dosimeter.foundation.errors import StoreError
from dosimeter.jobs import store as module
from dosimeter.jobs.store import Store, key_of, write_text

DEFINITION = {"kind": "test", "n": 1}
KEY = key_of(DEFINITION)


@pytest.fixture
def filled(tmp_path):
    store = Store(tmp_path / "store")
    store.save(KEY, {"x": torch.arange(4.0)}, DEFINITION)
    return store


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def other_definition(path: Path) -> None:
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"definition": {"kind": "test", "n": 2}}))


DAMAGES = [
    ("tensors.safetensors", flip),
    ("tensors.safetensors", truncate),
    ("tensors.safetensors", Path.unlink),
    ("tensors.safetensors", lambda path: path.write_bytes(b"")),
    ("manifest.json", Path.unlink),
    ("manifest.json", truncate),
    ("manifest.json", other_definition),
    ("manifest.json", lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "1"}))),
    *[
        ("manifest.json", lambda path, text=text: path.write_text(text))
        for text in ("[]", "3", "null", '{"format": 9}')
    ],
    ("manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
    ("manifest.json", lambda path: path.write_text("[" * 100_000)),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=range(len(DAMAGES)))
def test_damage_is_found_logged_and_mended(filled, name, damage, caplog):
    assert filled.verify(KEY)
    damage(filled.root / KEY / name)
    list(filled.definitions())
    assert not filled.verify(KEY)
    assert "cached entry is damaged" in caplog.text
    assert not (filled.root / KEY).exists()
    filled.save(KEY, {"x": torch.arange(4.0)}, DEFINITION)
    assert filled.verify(KEY)


def test_an_entry_of_another_version_is_refused_and_stays(filled):
    path = filled.root / KEY / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    before = path.read_bytes()
    for use in (filled.verify, lambda key: filled.save(key, {"x": torch.arange(4.0)}, DEFINITION)):
        with pytest.raises(StoreError, match=rf"{KEY}: must be an entry of format 1, .* got format 2, which another"):
            use(KEY)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=range(len(DAMAGES)))
def test_saving_replaces_a_damaged_entry(filled, name, damage):
    damage(filled.root / KEY / name)
    filled.save(KEY, {"x": torch.arange(4.0)}, DEFINITION)
    assert filled.verify(KEY)
    assert filled.load(KEY)["x"].tolist() == [0, 1, 2, 3]


def test_a_sound_entry_of_another_writer_stays(filled):
    filled.save(KEY, {"x": torch.zeros(1)}, DEFINITION)
    assert filled.load(KEY)["x"].tolist() == [0, 1, 2, 3]
    assert [path.name for path in filled.root.iterdir()] == [KEY]


def test_a_file_in_the_place_of_an_entry(filled):
    shutil.rmtree(filled.root / KEY)
    (filled.root / KEY).write_text("x")
    assert not filled.verify(KEY)
    filled.save(KEY, {"x": torch.zeros(1)}, DEFINITION)
    assert filled.verify(KEY)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_refusing_disk_is_one_line_and_leaves_nothing(filled, code, monkeypatch):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("safetensors.torch.save_file", refuse)
    with pytest.raises(StoreError) as caught:
        filled.save("0" * 24, {"x": torch.zeros(1)}, {})
    (line,) = caught.value.problems
    assert ("the disk is full" in line) == (code != errno.EACCES)
    assert "--store" in line or "check that it can be written" in line
    assert [path.name for path in filled.root.iterdir()] == [KEY]


def test_a_file_size_limit_is_one_line(tmp_path):
    code = f"""
import resource, sys, torch
from pathlib import Path
from dosimeter.errors import StoreError
from dosimeter.jobs.store import Store
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    Store(Path({str(tmp_path)!r})).save("k", {{"x": torch.zeros(100_000)}}, {{}})
except StoreError as error:
    sys.exit(7 if len(error.problems) == 1 and "cannot be written" in str(error) else 8)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 7, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_for_text_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_text(path, "old")

    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", refuse)
    with pytest.raises(StoreError, match="the disk is full: free space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sweeping_removes_drafts_of_dead_writers_of_this_machine_only(filled):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = filled.root / f".draft-{gone.pid}-{module._HOST}-x"
    kept = [
        filled.root / name
        for name in (
            f".draft-{os.getpid()}-{module._HOST}-x",
            f".draft-{gone.pid}-elsewhere-x",
            ".draft-",
            ".draft-a-b",
        )
    ]
    for path in (dead, *kept):
        path.mkdir()
    filled.sweep()
    assert not dead.exists()
    assert all(path.exists() for path in kept)
