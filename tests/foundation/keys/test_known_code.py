"""Files that another process read are not parsed again, and a cache that is absent or damaged changes nothing."""

import ast
import json

import pytest

from dosimeter.foundation.keys import package_code as reading
from dosimeter.foundation.keys.known_code import KnownCode

MODULE = "dosimeter.foundation.seeds"


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of a module, as a new process finds it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def forget():
        for one in (reading.package_code, reading._read, reading._known, reading._reader):
            one.cache_clear()

    def found():
        forget()
        return reading.package_code(MODULE)

    yield found
    forget()


def test_a_second_process_parses_nothing(digest, monkeypatch):
    first = digest()
    monkeypatch.setattr(ast, "parse", lambda source: pytest.fail("parsed again"))
    assert digest() == first


def test_another_way_to_read_reads_again(digest, monkeypatch):
    digest()
    with monkeypatch.context() as patch:
        patch.setattr(reading.sys, "version", "another")
        patch.setattr(reading, "_parse", lambda source, name, is_package: ("0", ()))
        first = digest()
    assert digest() != first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": ["b"]}', '{"a": ["b", [1]]}', "[" * 100_000])
def test_a_damaged_file_is_written_anew(digest, tmp_path, content):
    first, file = digest(), tmp_path / "dosimeter" / "code.json"
    file.write_text(content, encoding="utf-8")
    assert digest() == first
    assert list(json.loads(file.read_text(encoding="utf-8")))[-1] != "a"


def test_a_place_that_cannot_be_written_costs_time_alone(digest, tmp_path, monkeypatch):
    first = digest()
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert digest() == first
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert digest() == first


def test_a_full_disk_leaves_no_draft(digest, tmp_path, monkeypatch):
    def full(handle, mode):
        raise OSError("No space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdopen", full)
        first = digest()
    assert not list((tmp_path / "dosimeter").iterdir())
    assert digest() == first


def test_what_two_processes_read_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = KnownCode(), KnownCode()
    one.add("a", ("1", ("x",)))
    other.add("b", ("2", ()))
    one.save()
    other.save()
    assert (KnownCode().get("a"), KnownCode().get("b")) == (("1", ("x",)), ("2", ()))
    assert not list((tmp_path / "dosimeter").glob(".code.*"))
