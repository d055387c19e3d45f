"""A cache behind a URL: the entries of a folder, whole or not at all, with no secret in any message."""

import errno
import json
import pickle
import shutil

import fsspec
import pytest
import torch
from audits import audit
from fsspec.implementations.memory import MemoryFileSystem

from dosimeter.cli.app import main
from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.jobs.housekeeping import check_cleanable, entries
from dosimeter.jobs.remote_store import RemoteStore, _open, open_store, show_url
from dosimeter.jobs.store import FORMAT, Store, canonical, key_of, own_name
from dosimeter.pipeline import verbs

DEFINITION = {"kind": "models", "stage": {"name": "train"}, "models": [1]}
KEY = key_of(DEFINITION)
TENSORS = {"x": torch.arange(4.0)}


class Refusing(MemoryFileSystem):
    """A memory that refuses what is in `refused`, with the error that a bucket's owner would see."""

    protocol = "refusing"
    store: dict = {}  # noqa: RUF012 - of the class, as in its parent
    pseudo_dirs = [""]  # noqa: RUF012
    refused: set = set()  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.split("://")[-1].split("@")[-1].split("?")[0])

    def _ask(self, what, path):
        self.asked.append(what)
        if what in self.refused:
            raise PermissionError(errno.EACCES, f"AccessDenied for key AKIA and secret hunter2: {path}")

    def put_file(self, lpath, rpath, **how):
        self._ask("put", rpath)
        super().put_file(lpath, rpath, **how)

    def pipe_file(self, path, value, **how):
        self._ask("put", path)
        super().pipe_file(path, value, **how)

    def mv(self, path1, path2, **how):
        self._ask("mv manifest" if path2.endswith(".json") else "mv", path2)
        super().mv(path1, path2, **how)

    def get_file(self, rpath, lpath, **how):
        self._ask("get", rpath)
        super().get_file(rpath, lpath, **how)

    def cat_file(self, path, **how):
        self._ask("cat", path)
        return super().cat_file(path, **how)

    def rm_file(self, path):
        self._ask("rm", path)
        super().rm_file(path)


fsspec.register_implementation("refusing", Refusing, clobber=True)


@pytest.fixture(autouse=True)
def own_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    yield
    Refusing.store.clear()
    Refusing.refused.clear()
    Refusing.asked.clear()
    _open.cache_clear()
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["file", "memory", "refusing"])
def url(request, tmp_path):
    return f"file://{tmp_path}/there" if request.param == "file" else f"{request.param}://bucket/there"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The same store as another machine sees it: with no copy of its own yet."""

    def opened(url, name="elsewhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return open_store(url)

    return opened


def test_an_entry_is_read_on_another_machine(url, elsewhere):
    store = open_store(url)
    assert not store.has(KEY)
    assert not store.verify(KEY)
    store.save(KEY, TENSORS, DEFINITION)
    other = elsewhere(url)
    assert other.root != store.root
    assert other.has(KEY)
    assert other.verify(KEY)
    assert other.load(KEY)["x"].tolist() == [0, 1, 2, 3]
    assert dict(other.definitions()) == {KEY: DEFINITION}
    assert [(one.key, one.kind, one.what) for one in entries(other)] == [(KEY, "models", "stage train, model 1")]
    assert entries(other)[0].size == entries(Store(other.root))[0].size


def test_the_layout_is_that_of_a_folder(tmp_path):
    open_store(f"file://{tmp_path}/there").save(KEY, TENSORS, DEFINITION)
    Store(tmp_path / "own").save(KEY, TENSORS, DEFINITION)
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [KEY]
    for name in ("tensors.safetensors", "manifest.json"):
        assert (tmp_path / "there" / KEY / name).read_bytes() == (tmp_path / "own" / KEY / name).read_bytes()
    assert Store(tmp_path / "there").verify(KEY)


def test_loading_fetches_what_is_not_here_and_says_what_is_nowhere(url, elsewhere):
    open_store(url).save(KEY, TENSORS, DEFINITION)
    assert elsewhere(url).load(KEY)["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(StoreError, match=r"there/0{24}: cannot be read \(there is none\): run again to make it anew"):
        elsewhere(url).load("0" * 24)


def test_a_worker_gets_the_store_with_its_job(url, elsewhere):
    store = open_store(url)
    store.save(KEY, TENSORS, DEFINITION)
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert copy.load(KEY)["x"].tolist() == [0, 1, 2, 3]


def change(url, name, content):
    """Replace a file of the entry from outside, or remove it."""
    system, path = _open(url)
    if content is None:
        system.rm_file(f"{path}/{KEY}/{name}")
    else:
        system.pipe_file(f"{path}/{KEY}/{name}", content)


OTHER_VERSION = canonical({"format": FORMAT + 1, "sha256": "0" * 64, "definition": DEFINITION}).encode()
DAMAGES = [
    ("tensors.safetensors", b"other", "the hash of its tensors differs"),
    ("tensors.safetensors", None, "it has no tensors"),
    ("manifest.json", b"{", "JSONDecodeError"),
    ("manifest.json", b"[]", "TypeError"),
    ("manifest.json", canonical({"format": FORMAT, "sha256": "", "definition": {}}).encode(), "of another entry"),
]


@pytest.mark.parametrize(("name", "content", "said"), DAMAGES, ids=range(len(DAMAGES)))
@pytest.mark.parametrize("fresh", [False, True])
def test_damage_is_found_told_and_mended(url, elsewhere, caplog, name, content, said, fresh):
    store = open_store(url)
    store.save(KEY, TENSORS, DEFINITION)
    change(url, name, content)
    store = elsewhere(url) if fresh else store
    seen = fresh or name == "manifest.json"  # a sound copy here is as good as the entry
    assert store.verify(KEY) is not seen
    assert (said in caplog.text) is seen
    if seen:
        assert "it is made again" in caplog.text
        assert not store.has(KEY)
        store.save(KEY, TENSORS, DEFINITION)
        assert elsewhere(url, "third").verify(KEY)


@pytest.mark.parametrize("fresh", [False, True])
def test_an_entry_of_another_version_stays(url, elsewhere, fresh):
    store = open_store(url)
    store.save(KEY, TENSORS, DEFINITION)
    change(url, "manifest.json", OTHER_VERSION)
    store = elsewhere(url) if fresh else store
    for use in (store.verify, store.load if fresh else store.verify, lambda key: store.save(key, TENSORS, DEFINITION)):
        with pytest.raises(
            StoreError, match=rf"{KEY}: must be an entry of format {FORMAT}, .* got format {FORMAT + 1},"
        ):
            use(KEY)
    assert store.has(KEY)


def test_a_damaged_copy_here_is_fetched_again(url):
    store = open_store(url)
    store.save(KEY, TENSORS, DEFINITION)
    path = store.root / KEY / "tensors.safetensors"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert store.verify(KEY)
    assert store.load(KEY)["x"].tolist() == [0, 1, 2, 3]


def test_the_first_writers_entry_stays_and_is_what_the_second_reads(url, elsewhere):
    open_store(url).save(KEY, TENSORS, DEFINITION)
    second = elsewhere(url)
    second.save(KEY, {"x": torch.zeros(1)}, DEFINITION)
    assert second.load(KEY)["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("refused", ["put", "mv", "mv manifest"])
def test_an_interrupted_upload_counts_for_nothing(elsewhere, refused):
    url = "refusing://bucket/there"
    store = open_store(url)
    Refusing.refused.add(refused)
    with pytest.raises(StoreError, match=r"refusing://bucket/there: cannot be written \(PermissionError: "):
        store.save(KEY, TENSORS, DEFINITION)
    Refusing.refused.clear()
    other = elsewhere(url)
    assert not other.has(KEY)
    assert not other.verify(KEY)
    assert list(other.listing()) == []
    assert not [path for path in Refusing.store if ".draft-" in path]
    with pytest.raises(StoreError, match="there is none"):
        other.load(KEY)
    other.save(KEY, TENSORS, DEFINITION)
    assert other.verify(KEY)


def test_the_manifest_gets_its_name_last():
    open_store("refusing://bucket/there").save(KEY, TENSORS, DEFINITION)
    assert [what for what in Refusing.asked if what in ("put", "mv", "mv manifest")] == [
        "put",
        "put",
        "mv",
        "mv manifest",
    ]


def test_what_may_only_be_read_is_read_and_a_write_is_one_line(elsewhere):
    url = "refusing://bucket/there"
    open_store(url).save(KEY, TENSORS, DEFINITION)
    Refusing.refused |= {"put", "mv", "rm"}
    reader = elsewhere(url)
    reader.sweep()
    assert reader.verify(KEY)
    assert reader.load(KEY)["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(StoreError, match="cannot be written") as caught:
        reader.save(key_of({}), TENSORS, {})
    assert len(caught.value.problems) == 1
    manifest = Refusing.store[f"/bucket/there/{KEY}/manifest.json"]
    manifest.seek(0)
    manifest.truncate()
    assert not reader.verify(KEY)  # it cannot be removed, so it is refused at every look
    assert not reader.verify(KEY)


SECRET = "refusing://AKIA:hunter2@bucket/there?token=s3cret"


@pytest.mark.parametrize("refused", ["put", "cat", "get"])
def test_secrets_of_a_url_are_in_no_message(elsewhere, refused, caplog):
    store = open_store(SECRET)
    assert "hunter2" not in repr(store) + store.name + str(store.root)
    if refused == "get":
        store.save(KEY, TENSORS, DEFINITION)
        store = elsewhere(SECRET)
    Refusing.refused.add(refused)
    with pytest.raises(StoreError) as caught:
        store.load(KEY) if refused != "put" else store.save(KEY, TENSORS, DEFINITION)
    told = str(caught.value) + caplog.text
    assert "refusing://bucket/there: cannot be" in told
    assert not [secret for secret in ("AKIA", "hunter2", "s3cret") if secret in told]


def test_what_is_shown_of_a_url():
    assert show_url("s3://bucket/a@b") == "s3://bucket/a@b"
    assert show_url("sftp://me:p@ss@host:22/folder#x") == "sftp://host:22/folder"


def test_urls_that_nobody_here_can_open_are_one_line(capsys, tmp_path):
    with pytest.raises(ConfigError, match=r"--store: must be a folder or a URL that fsspec can open, got nope://x "):
        open_store("nope://user:pw@x")
    assert main(["store", "list", "--store", "nope://x"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_missing_package_is_named(monkeypatch):
    def without(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(ConfigError, match=r"--store: s3:// needs another package \(Install s3fs .*\): install it"):
        open_store("s3://bucket")


def test_drafts_and_marks_of_dead_processes_are_swept(monkeypatch):
    store = open_store("memory://bucket/there")
    system, base = _open("memory://bucket/there")
    pieces = own_name("draft").split("-")
    names = {"-".join([pieces[0], pid, host, "x"]) for pid, host in (("999999999", pieces[2]), ("999999999", "else"))}
    for name in names:
        system.pipe_file(f"{base}/{name}/tensors.safetensors", b"x")
    store.sweep()
    assert {path.split("/")[3] for path in system.find(base)} == {name for name in names if "else" in name}


def test_a_mark_tells_the_same_store_from_another(url, elsewhere, tmp_path):
    store = open_store(url)
    with store.leave_mark() as mark:
        elsewhere(url).meet(mark)
        with pytest.raises((OSError, StoreError)):
            Store(tmp_path / "another").meet(mark)
    with pytest.raises(FileNotFoundError):
        elsewhere(url).meet(mark)
    assert list(store.listing()) == []


def test_cleaning_is_refused_where_no_use_is_noted(capsys, tmp_path):
    store = open_store("memory://bucket/there")
    with pytest.raises(ConfigError, match=r"--disk-cap: must be used with a store in a folder, got memory://bucket"):
        check_cleanable(store, "--disk-cap")
    with pytest.raises(ConfigError, match="--disk-cap: "):
        verbs.run(audit(), tmp_path / "x", store="memory://bucket/there", workers=1, disk_cap=10**9)
    assert not (tmp_path / "x").exists()
    assert main(["store", "gc", "--store", "memory://bucket/there", "--keep-days", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: store gc: must be used with a store in a folder")


def test_a_run_behind_a_url_gives_what_a_run_in_a_folder_gives(tmp_path, elsewhere, capsys):
    url = f"file://{tmp_path}/there"
    settings = audit(shadows=4, targets=2)
    verbs.run(settings, tmp_path / "a" / "run", workers=1)
    verbs.run(settings, tmp_path / "b" / "run", workers=1, store=url)
    assert (tmp_path / "a/run/result.json").read_bytes() == (tmp_path / "b/run/result.json").read_bytes()
    keys = sorted(path.name for path in (tmp_path / "a" / ".store").iterdir())
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == keys
    for key in keys:
        name = "tensors.safetensors"
        assert (tmp_path / "there" / key / name).read_bytes() == (tmp_path / "a/.store" / key / name).read_bytes()
    shutil.rmtree(open_store(url).root)
    assert isinstance(elsewhere(url), RemoteStore)
    plan = verbs.plan(settings, store=url, workers=1)
    assert plan.stages[0].cached == plan.stages[0].models == 6
    assert main(["store", "list", "--store", url, "--json"]) == 0
    assert sorted(row["key"] for row in json.loads(capsys.readouterr().out)) == keys


def test_no_secret_of_a_url_is_written_in_the_runs_folder(tmp_path):
    verbs.run(audit(shadows=4, targets=2), tmp_path / "run", workers=1, store=SECRET)
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*.json"))
    assert b"hunter2" not in written
    assert b"s3cret" not in written
