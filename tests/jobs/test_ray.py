"""Fleets on a real Ray cluster of two nodes on this machine, and what is told when it or the store is out of reach.

Ray's drivers run in processes of their own, so that nothing of Ray stays in this one.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from dosimeter.cli.app import main
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs import ray_address
from dosimeter.jobs.ray_address import KNOCK_SECONDS, knock
from dosimeter.jobs.runners import ProcessRunner, SerialRunner, Workers, make_runner, workers_for
from dosimeter.jobs.store import Store

ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
HANGS = 600
"""Seconds after which a process hangs, on however busy a machine."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"runner": "slurm"}, "--runner: must be one of auto, serial, processes, ray, got 'slurm': choose one"),
        ({"count": 0}, "--workers: must be at least 1, got 0"),
        ({"runner": "serial", "count": 2}, "--workers: must be 1 with --runner serial, got 2"),
        ({"address": "a:1"}, "--address: must stand with --runner ray, got --runner auto"),
        ({"gpus_per_job": 1.0, "runner": "processes"}, "--gpus-per-job: must stand with --runner ray"),
        ({"gpus_per_job": 0.0, "runner": "ray"}, "--gpus-per-job: must be a part of 1 or a whole number, got 0.0"),
        ({"gpus_per_job": 1.5, "runner": "ray"}, "--gpus-per-job: must be a part of 1 or a whole number, got 1.5"),
    ],
)
def test_workers_that_do_not_fit_together_are_refused(given, said):
    with pytest.raises(ConfigError) as caught:
        Workers(**given)
    assert [line for line in caught.value.problems if line.startswith(said)]


def test_gpus_of_a_job_follow_the_device():
    assert Workers(runner="ray").gpus("cpu") == 0
    assert Workers(runner="ray").gpus("cuda") == 1
    assert Workers(runner="ray", gpus_per_job=0.25).gpus("cuda") == 0.25
    with pytest.raises(ConfigError, match="--gpus-per-job: must stand with --device cuda"):
        Workers(runner="ray", gpus_per_job=0.25).gpus("cpu")
    with pytest.raises(ConfigError, match="--device: must be cpu or cuda with --runner ray"):
        Workers(runner="ray").gpus("cuda:1")


def test_the_named_runner_is_made():
    assert isinstance(make_runner(Workers(runner="serial"), "cpu"), SerialRunner)
    assert isinstance(make_runner(1, "cpu"), SerialRunner)
    assert isinstance(make_runner(Workers(1, "processes"), "cpu"), ProcessRunner)
    assert workers_for(Workers(3), "cpu") == workers_for(3, "cpu") == 3
    assert workers_for(Workers(runner="serial"), "cpu") == workers_for(None, "cuda") == 1


def test_without_ray_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "dosimeter.jobs.ray_runner", raising=False)
    with pytest.raises(
        ConfigError, match=r"--runner ray: needs Ray, got no such package: pip install 'dosimeter\[ray\]'"
    ):
        make_runner(Workers(runner="ray"), "cpu", Store(tmp_path))


RECIPE = """
import os, signal, sys
from pathlib import Path
import torch

def build(input_shape, classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))

def fit(model, dataset, seed):
    print("noise of a user's training")
    killed = Path("killed")  # relative: the working folder of the driver reaches the workers
    if not killed.exists() and os.environ.get("RAY_JOB_ID", os.environ.get("RAY_RAYLET_PID")):
        killed.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(dataset.inputs), dataset.labels).backward()
        optimizer.step()
    return model
"""
AUDIT = """
name = "tiny"
[[stage]]
name = "train"
data = "digits"
rows = "0:400"
model = "recipe:build"
fit = "recipe:fit"
[threat]
shadows = 6
targets = 2
population = 40
[[attack]]
name = "loss"
[[attack]]
name = "lira"
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with an audit whose first training on a cluster ends by SIGKILL."""
    (tmp_path / "audit.toml").write_text(AUDIT)
    (tmp_path / "recipe.py").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999", "ray://127.0.0.1:10001"])
def test_a_dead_address_is_one_line(recipe, capsys, address):
    loaded = "ray" in sys.modules
    assert main(["run", "audit.toml", "--runner", "ray", "--address", address]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("error: --address: must be ")
    assert address in told[0]
    assert not (recipe / "runs").exists()
    assert loaded or "ray" not in sys.modules


def test_an_address_of_the_environment_is_named_so(recipe, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert main(["run", "audit.toml", "--runner", "ray"]) == 2
    assert capsys.readouterr().err.startswith("error: RAY_ADDRESS: must be a Ray cluster that answers, got 127.0.0.1:1")


def dosimeter(folder, *arguments):
    """A verb in a process of its own."""
    words = [sys.executable, "-m", "dosimeter.cli.app", *arguments]
    return subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=HANGS, check=False
    )


def test_a_port_that_is_silent_is_one_line(recipe):
    """Ray alone would wait until `dosimeter` ends it as hanging; how long we waited is in the message."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = dosimeter(recipe, "run", "audit.toml", "--runner", "ray", "--address", address)
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert f"must be a Ray cluster that answers, got {address} (no answer within {KNOCK_SECONDS:.0f} s)" in told


@pytest.mark.parametrize(
    ("answer", "told"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers, but not as Ray does"), (b"", "it hung up")],
)
def test_a_port_of_something_else_is_told(answer, told, monkeypatch):
    monkeypatch.setattr(ray_address, "KNOCK_SECONDS", HANGS)  # the other side answers, however late
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve():
            line, _ = server.accept()
            with line:
                line.recv(100)
                line.sendall(answer)

        other = threading.Thread(target=serve)
        other.start()
        with pytest.raises(ConfigError, match=re.escape(told)):
            knock(address)
        other.join()


def free_port():
    with socket.socket() as one:
        one.bind(("", 0))
        return one.getsockname()[1]


def processes_of(mark):
    """Processes whose command line names a folder that only they use."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                yield int(path.parent.name)


@pytest.fixture(scope="module")
def cluster():
    """Address of a cluster of two nodes with one core each, the second with a GPU that is a number only."""
    folder = Path("/tmp") / f"dm-{secrets.token_hex(3)}"  # short: paths of sockets have 107 bytes
    folder.mkdir()
    code = "import ray; print(ray.util.get_node_ip_address())"
    host = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    common = ["--min-worker-port", "0", "--max-worker-port", "0", "--num-cpus", "1", "--disable-usage-stats"]
    common += ["--object-store-memory", "80000000", "--block"]
    port, nodes = free_port(), []
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", *common]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "out").open("w"))

        def start(*arguments):
            nodes.append(
                subprocess.Popen(
                    [*ray, *arguments],
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

        def stop():
            for node in nodes:
                node.terminate()
            for node in nodes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.wait(15)
            for _ in range(20):
                left = list(processes_of(str(folder)))
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if not left:
                    break
                time.sleep(0.5)
            shutil.rmtree(folder, ignore_errors=True)

        stack.callback(stop)
        start("--head", "--port", str(port), "--temp-dir", str(folder), "--include-dashboard=false")
        _await(lambda: _open(host, port), nodes, folder)
        start("--address", f"{host}:{port}", "--num-gpus", "1")
        code = "import ray, sys; ray.init(sys.argv[1], logging_level='ERROR'); sys.exit(len(ray.nodes()) != 2)"
        ask = [sys.executable, "-c", code, f"{host}:{port}"]
        _await(
            lambda: subprocess.run(ask, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0,
            nodes,
            folder,
        )
        yield f"{host}:{port}"


def _open(host, port):
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 1).close()
        return True
    return False


def _await(ready, nodes, folder):
    """Wait until a step of the cluster's start is done."""
    end = time.monotonic() + HANGS
    while not ready():
        assert all(node.poll() is None for node in nodes), (folder / "out").read_text()
        assert time.monotonic() < end, (folder / "out").read_text()
        time.sleep(0.5)


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_that_loses_a_worker_gives_the_keys_and_bytes_of_a_serial_run(cluster, recipe):
    far = dosimeter(recipe, "run", "audit.toml", "--runner", "ray", "--address", cluster, "--out", "far/x", "--json")
    assert far.returncode == 0, far.stderr
    assert (recipe / "killed").is_file()
    assert json.loads(far.stdout)["verdict"]  # what users' code printed is not in it
    assert "noise of a user's training" in far.stderr
    near = dosimeter(recipe, "run", "audit.toml", "--runner", "serial", "--out", "near/x", "-q")
    assert near.returncode == 0, near.stderr
    assert (recipe / "far/x/result.json").read_bytes() == (recipe / "near/x/result.json").read_bytes()
    stores = [recipe / name / ".store" for name in ("far", "near")]
    keys = [sorted(path.name for path in store.iterdir() if not path.name.startswith(".draft-")) for store in stores]
    assert keys[0] == keys[1]
    assert len(keys[0]) > 16
    for key in keys[0]:
        for name in ("tensors.safetensors", "manifest.json"):
            assert (stores[0] / key / name).read_bytes() == (stores[1] / key / name).read_bytes()
    again = dosimeter(recipe, "run", "audit.toml", "--runner", "ray", "--address", cluster, "--out", "far/x", "-q")
    assert again.returncode == 0
    assert "noise" not in again.stderr  # all cached


def drive(cluster, folder, code):
    """Run code with a `RayRunner` in a process of its own; what it puts in `told` comes back."""
    start = f"""
    import json, os, sys, time
    from pathlib import Path
    from dosimeter.errors import AuditError, DataError, TrainingError
    from dosimeter.jobs.remote_store import open_store
    from dosimeter.jobs.ray_runner import RayRunner
    folder, told, seen = Path.cwd(), {{}}, []
    def runner(store=folder / "store", **how):
        return RayRunner(open_store(store), address={cluster!r}, **how)
    def problems(one, function, jobs):
        try:
            one.run(function, jobs, seen.append)
        except AuditError as error:
            return [type(error).__name__, *error.problems]
        finally:
            one.close()
    """
    whole = textwrap.dedent(start) + textwrap.dedent(code) + "\nPath('told').write_text(json.dumps(told))\n"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "told").read_text())


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_cannot_reach_the_store_is_named(cluster, tmp_path):
    told = drive(
        cluster,
        tmp_path,
        """
        os.mkdir("open")
        here = os.open("open", os.O_RDONLY)
        places = {"folder": f"/proc/self/fd/{here}/store", "url": "memory://bucket/there"}  # each process has its own
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        for name, place in places.items():
            told[name] = problems(runner(place), lambda job: Path("ran").touch(), [1, 2])
        told["left"] = os.listdir("open/store")
        """,
    )
    host = cluster.split(":")[0]
    for name, place in (("folder", "/proc/self/fd/"), ("url", "memory://bucket/there")):
        kind, *lines = told[name]
        assert kind == "StoreError"
        assert lines
        for line in lines:
            assert line.startswith(f"node {host} (")
            assert f": must read and write the store {place}" in line
    assert told["folder"][1].endswith("give --store a URL such as s3://bucket/folder")
    assert told["url"][1].endswith("let every node reach the same one")
    assert not (tmp_path / "ran").exists()  # before any training
    assert told["left"] == []


@pytest.mark.ray
@pytest.mark.slow
def test_the_window_the_setting_of_workers_and_what_a_gpu_is_shared_by(cluster, tmp_path):
    told = drive(
        cluster,
        tmp_path,
        """
        import ray, torch
        from dosimeter.jobs import ray_runner
        sys.path.insert(0, "/a place of the user")
        def note(job):
            import numpy
            where = [torch.get_num_threads(), os.getcwd(), sys.path[0], os.environ["OMP_NUM_THREADS"]]
            Path(f"job{job}").write_text(json.dumps([*where, ray.get_gpu_ids(), sys.stdout is sys.stderr]))
        sizes, wait = [], ray.wait
        def counting(references, **how):
            sizes.append(len(references))
            return wait(references, **how)
        ray.wait = counting
        one = runner()
        one.run(note, range(20), seen.append)
        told["done"], told["slots"], told["window"] = sorted(seen), one.slots(), max(sizes[1:])
        one.close()
        told["jobs"] = [json.loads(Path(f"job{job}").read_text()) for job in range(20)]
        two = runner(workers=1)
        sizes.clear()
        two.run(note, range(5), seen.append)
        told["one at a time"] = max(sizes[1:])
        two.close()
        three = runner(gpus=0.25)
        told["gpu slots"] = three.slots()
        three.run(note, range(2), seen.append)
        three.close()
        told["gpus"] = [json.loads(Path(f"job{job}").read_text())[4] for job in range(2)]
        told["left"] = os.listdir("store")
        """,
    )
    assert told["done"] == list(range(20))
    assert told["slots"] == 2
    assert told["window"] == 4
    assert told["jobs"] == [[1, str(tmp_path), "/a place of the user", "1", [], True]] * 20
    assert told["one at a time"] == 1
    assert told["gpu slots"] == 1  # four parts of a GPU, on a node with one core
    assert told["gpus"] == [["0"], ["0"]] or told["gpus"] == [[0], [0]]
    assert told["left"] == []


@pytest.mark.ray
@pytest.mark.slow
def test_the_first_error_stops_the_rest_and_lost_workers_are_retried_a_few_times(cluster, tmp_path):
    told = drive(
        cluster,
        tmp_path,
        """
        import signal
        def wrong(job):
            Path(f"job{job}").touch()
            if job == 1:
                raise DataError("rows: must be sound, got none: mend them")
            time.sleep(0.3)
        told["error"] = problems(runner(), wrong, range(30))
        told["ran"] = len(list(Path().glob("job*")))
        def dying(job):
            with open("deaths", "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        told["death"] = problems(runner(), dying, [0])
        told["deaths"] = os.path.getsize("deaths")
        def ours(job):
            return {}["key"]
        try:
            problems(runner(), ours, [0])
        except KeyError as error:
            told["ours"] = repr(error)
        """,
    )
    assert told["error"] == ["DataError", "rows: must be sound, got none: mend them"]
    assert told["ran"] < 10
    kind, line = told["death"]
    assert kind == "TrainingError"
    assert line.startswith("job 0: must end on a worker of the cluster, got ")
    assert "after 3 retries" in line
    assert "run again to continue" in line
    assert told["deaths"] == 4
    assert told["ours"] == "KeyError('key')"


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_with_other_code_is_refused(cluster, tmp_path):
    told = drive(
        cluster,
        tmp_path,
        """
        from dosimeter.jobs import ray_runner
        code, ray_runner._code = ray_runner._code, lambda: "other"
        told["other"] = problems(runner(), print, [1, 2])
        from dosimeter.foundation.user_code import import_from, resolve
        Path("recipe.py").write_text("def build(): pass")
        import_from(folder)
        resolve("recipe:build")
        Path("recipe.py").write_text("def build(): return 1")
        ray_runner._code = code
        told["recipe"] = problems(runner(), print, [1, 2])
        """,
    )
    assert told["other"][0] == "StoreError"
    assert all("got another source of dosimeter: install the same on every node" in line for line in told["other"][1:])
    assert told["recipe"][0] == "StoreError"
    assert all(f"must have the same {tmp_path}/recipe.py as where" in line for line in told["recipe"][1:])
