"""What a cleaning removes, what it never removes, and two runs in one store."""

import json
import multiprocessing
import os
import time

import pytest
import torch

from dosimeter.cli.app import main
from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.jobs.housekeeping import DAY, collect, entries, lease, make_room, parse_size
from dosimeter.jobs.store import Store, key_of
from dosimeter.pipeline import verbs


def fill(store, n, *, size=1000, first=0):
    """Entries, the first the least recently used, one day apart."""
    keys = []
    for number in range(first, first + n):
        definition = {"kind": "models", "stage": {"name": "train"}, "models": [number]}
        keys.append(key_of(definition))
        store.save(keys[-1], {"w": torch.zeros(size)}, definition)
        used = time.time() - (n - number) * DAY
        os.utime(store.root / keys[-1] / "manifest.json", (used, used))
    return keys


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_entries_are_listed_from_the_least_recently_used(store):
    keys = fill(store, 3)
    found = entries(store)
    assert [entry.key for entry in found] == keys
    assert found[0].kind == "models"
    assert found[0].what == "stage train, model 0"
    assert found[0].size > 4000


def test_old_entries_go_and_using_one_makes_it_young(store):
    keys = fill(store, 4)
    assert store.verify(keys[0])
    found = collect(store, keep_days=2.5)
    assert [entry.key for entry in found.removed] == [keys[1]]
    assert [store.has(key) for key in keys] == [True, False, True, True]


def test_the_least_recently_used_go_until_the_size_is_met(store):
    keys = fill(store, 4)
    size = entries(store)[0].size
    found = collect(store, max_size=2 * size)
    assert [entry.key for entry in found.removed] == keys[:2]
    assert found.size <= 2 * size
    assert (found.kept, found.freed) == (2, 2 * size)


def test_a_dry_run_removes_nothing(store):
    keys = fill(store, 2)
    assert len(collect(store, keep_days=0, dry_run=True).removed) == 2
    assert all(store.has(key) for key in keys)


def test_what_a_living_run_used_stays(store):
    keys = fill(store, 3)
    with lease(store):
        time.sleep(0.02)
        store.touch(keys[1])
        found = collect(store, max_size=0)
        assert store.has(keys[1])
    assert [entry.key for entry in found.removed] == [keys[0], keys[2]]
    assert found.in_use == 1
    assert collect(store, max_size=0).kept == 0


def test_the_lease_of_a_dead_run_counts_no_more(store):
    fill(store, 1)
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    process.start()
    process.join()
    with lease(store):
        (own,) = store.root.glob(".lease-*")
    dead = own.name.split("-")
    dead[1] = str(process.pid)
    (store.root / "-".join(dead)).touch()
    assert len(collect(store, max_size=0).removed) == 1
    assert not list(store.root.glob(".lease-*"))


def test_a_cap_that_is_too_small_is_told(store):
    keys = fill(store, 3)
    size = entries(store)[0].size
    make_room(store, 2 * size, [keys[0]])
    assert [store.has(key) for key in keys] == [True, False, True]
    with pytest.raises(StoreError, match=r"must stay below .* \(--disk-cap\), got .* in use: raise the cap"):
        make_room(store, size // 2, keys)


@pytest.mark.parametrize("text", ["", "5", "GB", "-1GB", "1e9B", "5 GiB", "٣GB"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="--max-size: must be a size such as 500MB or 20GB, got "):
        parse_size(text, "--max-size")


def test_an_unreadable_entry_is_listed_and_can_go(store):
    (key,) = fill(store, 1)
    (store.root / key / "manifest.json").write_text("{")
    assert entries(store)[0].kind == "unreadable"
    assert collect(store, max_size=0).kept == 0


def test_the_verbs_list_and_clean(store, capsys):
    keys = fill(store, 2)
    assert main(["store", "list", "--store", str(store.root), "--json"]) == 0
    assert [row["key"] for row in json.loads(capsys.readouterr().out)] == keys
    assert main(["store", "list", "--store", str(store.root)]) == 0
    assert "2 entries" in capsys.readouterr().out
    assert main(["store", "gc", "--store", str(store.root), "--keep-days", "1.5"]) == 0
    assert capsys.readouterr().out.startswith("Removed 1 entry, ")
    for wrong in (["gc"], ["gc", "--max-size", "huge"], ["list", "--store", "nowhere"]):
        where = [] if "--store" in wrong else ["--store", str(store.root)]
        assert main(["store", *wrong, *where]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_two_runs_share_a_store_and_give_what_each_alone_gives(tmp_path):
    from audits import audit

    settings = [audit(shadows=4, targets=2), audit(shadows=6, targets=2)]
    alone = []
    for number, one in enumerate(settings):
        verbs.run(one, tmp_path / f"alone{number}", store=tmp_path / f"store{number}", workers=1)
        alone.append((tmp_path / f"alone{number}" / "result.json").read_bytes())
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(
            target=verbs.run, args=(one, tmp_path / f"both{number}"), kwargs={"store": tmp_path / "s", "workers": 1}
        )
        for number, one in enumerate(settings)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    assert [(tmp_path / f"both{number}" / "result.json").read_bytes() for number in range(2)] == alone
