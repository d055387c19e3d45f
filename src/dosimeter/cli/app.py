"""The command line. Every verb imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dosimeter.cli import options as o
from dosimeter.cli.store import store_verbs
from dosimeter.foundation.errors import AuditError, ConfigError, StoreError
from dosimeter.foundation.package import __version__

if TYPE_CHECKING:
    from dosimeter.config.audit import AnyAudit

USAGE_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What the command line's parser raises; where its class lives depends on typer's version."""
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure who could learn what about whose data from a trained model.",
    epilog="Example: dosimeter init && dosimeter run audit.toml",
)
app.add_typer(store_verbs, name="store")


def _version(wanted: bool) -> bool:
    """Print the version and stop; called before the verb is looked for."""
    if wanted:
        typer.echo(f"dosimeter {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each stage.")] = False,
) -> None:
    """Measure who could learn what about whose data from a trained model."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")


@app.command(epilog="Example: dosimeter demo --quick")
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer shadows, smaller pictures, under 90 s.")] = False,
    out: o.Out = None,
    store: o.StorePlace = None,
    device: o.Device = "cpu",
    workers: o.Count = None,
    runner: o.Runner = o.RunnerChoice.AUTO,
    address: o.Address = None,
    gpus_per_job: o.Gpus = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Audit a face recogniser whose head was finetuned on 180 photos, and write its report."""
    import tomllib

    from dosimeter.config.audit import parse

    table = tomllib.loads((resources.files("dosimeter.cli.demos") / "badge.toml").read_text(encoding="utf-8"))
    if quick:
        table["name"] = "badge-quick"
        table["stage"][0]["options"] = {"size": 96}
        table["threat"] |= {"shadows": 62, "targets": 8}
    crew = o.crew(workers, runner, address, gpus_per_job)
    _run(parse(table, base=Path.cwd()), out, as_json, quiet, store=store, device=device, workers=crew)


@app.command(epilog="Example: dosimeter init my-audit")
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path(),
    family: Annotated[str, typer.Option(help="Family of attack; `dosimeter list` names them.")] = "membership",
    task: Annotated[str, typer.Option(help="What the model does: classes, or language.")] = "classes",
) -> None:
    """Write a commented audit.toml and a recipe.py that run as they are."""
    from dosimeter.cli.screen import plain, template_of
    from dosimeter.families.registry import FAMILIES
    from dosimeter.foundation.checks import suggest
    from dosimeter.jobs.store import write_text

    if family not in FAMILIES:
        known = suggest(family, FAMILIES)
        raise ConfigError(f"--family: must be a family of attack, got {family!r}: {known}")
    files = {folder / name: text for name, text in template_of(FAMILIES[family], task).items()}
    present = [str(path) for path in files if path.exists()]
    if present:
        raise StoreError(f"{', '.join(present)}: exists already: choose another folder, or delete it")
    for path, text in files.items():
        write_text(path, text)
    wrote, audit = " and ".join(map(str, files)), shlex.quote(str(folder / "audit.toml"))
    typer.echo(plain(f"Wrote {wrote}. Next: dosimeter plan {audit}"))


@app.command(epilog="Example: dosimeter plan audit.toml --json")
def plan(
    audit: o.AuditFile,
    out: o.Out = None,
    store: o.StorePlace = None,
    device: o.Device = "cpu",
    workers: o.Count = None,
    runner: o.Runner = o.RunnerChoice.AUTO,
    address: o.Address = None,
    gpus_per_job: o.Gpus = None,
    trust_pickle: o.TrustPickle = False,
    topology: o.Topology = False,
    as_json: o.Json = False,
) -> None:
    """Show what an audit would train, what is cached, what is refused, and what it costs. Trains nothing."""
    import dataclasses

    if topology:
        from dosimeter.cli.topology import topology_text

        with _own_output():
            text = topology_text(audit, as_json=as_json)
        typer.echo(text)
        return
    from dosimeter.pipeline import verbs
    from dosimeter.pipeline.execution import Execution
    from dosimeter.pipeline.recipe.data import load_audit
    from dosimeter.pipeline.run_folder import check_folder

    crew = o.crew(workers, runner, address, gpus_per_job)
    with _own_output():
        settings = load_audit(audit)
        folder = out or Path("runs") / settings.name
        cache = Execution(folder, store).cache
        found = verbs.plan(settings, store=cache, device=device, workers=crew, trust_pickle=trust_pickle)
    check_folder(folder, found.key, settings.settings())
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=1, sort_keys=True))
        return
    from dosimeter.cli.screen import plan_lines

    typer.echo("\n".join(plan_lines(found)))


@app.command(epilog="Example: dosimeter run audit.toml --workers 2")
def run(
    audit: o.AuditFile,
    out: o.Out = None,
    store: o.StorePlace = None,
    device: o.Device = "cpu",
    workers: o.Count = None,
    runner: o.Runner = o.RunnerChoice.AUTO,
    address: o.Address = None,
    gpus_per_job: o.Gpus = None,
    trust_pickle: o.TrustPickle = False,
    disk_cap: o.DiskCap = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train, observe, attack, measure, and write the report. Run it again to continue after an interruption."""
    from dosimeter.jobs.housekeeping import parse_size
    from dosimeter.pipeline.recipe.data import load_audit

    with _own_output():
        settings = load_audit(audit)
    cap = None if disk_cap is None else parse_size(disk_cap, "--disk-cap")
    crew = o.crew(workers, runner, address, gpus_per_job)
    how = {"store": store, "device": device, "workers": crew, "trust_pickle": trust_pickle, "disk_cap": cap}
    _run(settings, out, as_json, quiet, **how)


@app.command(epilog="Example: dosimeter measure --scores scores.csv --out runs/mine")
def measure(
    run_folder: Annotated[Path | None, typer.Argument(help="Folder of a finished run.")] = None,
    scores: Annotated[Path | None, typer.Option(help="A table of scores instead: .csv or .parquet.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for --scores; runs/NAME unless given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --scores: root of all randomness.")] = 0,
    noun: Annotated[str, typer.Option(help="With --scores: what one record is called.")] = "record",
    fpr: Annotated[float, typer.Option(help="With --scores: false positive rate of the verdict.")] = 0.01,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Compute result.json anew from a finished run's evidence, or from a table of scores. Trains nothing."""
    if (run_folder is None) == (scores is None):
        raise ConfigError("measure: takes the folder of a finished run or --scores with a table: give one of them")
    if scores is None:
        from dosimeter.pipeline import verbs

        assert run_folder is not None
        _tell(verbs.measure(run_folder), run_folder / "result.json", as_json, quiet)
        return
    from dosimeter.pipeline.table import measure_scores

    folder = out or Path("runs") / scores.stem
    found = measure_scores(scores, folder, seed=seed, noun=noun, leading_fpr=fpr)
    _tell(found, folder / "report.html", as_json, quiet)


@app.command(epilog="Example: dosimeter report runs/badge")
def report(run_folder: o.RunFolder, quiet: o.Quiet = False) -> None:
    """Write report.html anew from a run's result.json. Computes nothing."""
    from dosimeter.cli.screen import plain
    from dosimeter.pipeline import page

    path = page.report(run_folder)
    if not quiet:
        typer.echo(f"Report: {plain(path)}")


@app.command(epilog="Example: dosimeter check runs/badge --policy policy.toml --junit check.xml")
def check(
    run: o.Finished,
    policy: Annotated[Path | None, typer.Option(help="File of limits.")] = None,
    accepted: Annotated[Path | None, typer.Option(help="Run or result.json that was accepted before.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML (junit-10) to this file.")] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Hold a run against limits, or an accepted run. The exit code is 1 if it does not keep to them."""
    from dosimeter.families.registry import FAMILIES
    from dosimeter.results.policy import check as policies
    from dosimeter.results.policy import junit as as_junit
    from dosimeter.results.policy import sarif as as_sarif
    from dosimeter.results.policy.limits import load_policy
    from dosimeter.results.reading import read_result

    read = [policy, *(path for one in (run, accepted) if one for path in (one, one / "result.json"))]
    o.spare((sarif, junit), read)
    limits = load_policy(policy, FAMILIES) if policy else None
    result = read_result(run, families=FAMILIES)
    before = read_result(accepted, families=FAMILIES) if accepted else None
    found = policies.check(result, limits, FAMILIES, before)
    for path, write in ((sarif, as_sarif.sarif), (junit, as_junit.junit)):
        if path is not None:
            from dosimeter.jobs.store import write_text

            write_text(path, write(found, result))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1, sort_keys=True))
    elif not quiet:
        typer.echo("\n".join(found.lines()))
    if not found.passed:
        raise typer.Exit(1)


@app.command(epilog="Example: dosimeter diff runs/before runs/after")
def diff(old: o.Finished, new: o.Finished, as_json: o.Json = False) -> None:
    """Say what moved between two runs, and whether the intervals show it. Computes nothing anew."""
    from dosimeter.families.registry import FAMILIES
    from dosimeter.results.compare import compare
    from dosimeter.results.reading import read_result

    found = compare(*(read_result(one, families=FAMILIES) for one in (old, new)))
    typer.echo(json.dumps(found.as_json(), indent=1, sort_keys=True) if as_json else "\n".join(found.lines()))


@app.command(name="list", epilog="Example: dosimeter list --json")
def list_(as_json: o.Json = False) -> None:
    """List attacks by family, defenses, data sets, models, transfer methods and query views, and mark the defaults."""
    from dosimeter.cli import screen

    if as_json:
        found = {**screen.catalogue(), "defaults": screen.defaults(), "families": screen.families()}
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo("\n".join(screen.catalogue_lines()))


def _own_output() -> contextlib.AbstractContextManager[object]:
    """What users' code prints goes to standard error, since standard output may be read by a machine."""
    return contextlib.redirect_stdout(sys.stderr)


def _run(audit: AnyAudit, out: Path | None, as_json: bool, quiet: bool, **how: Any) -> None:
    """Run an audit and say what came of it; `how` goes to `pipeline.run`."""
    from dosimeter.pipeline import verbs
    from dosimeter.pipeline.progress import showing

    folder = out or Path("runs") / audit.name
    try:
        with _own_output(), showing(quiet or as_json, workers=how["workers"], device=how["device"]) as progress:
            path = verbs.run(audit, folder, progress=progress, **how)
    except KeyboardInterrupt as error:
        raise _StoppedError(*getattr(error, "__notes__", ())[:1]) from error
    _tell(json.loads((folder / "result.json").read_text(encoding="utf-8")), path, as_json, quiet)


def _tell(result: dict[str, Any], path: Path, as_json: bool, quiet: bool) -> None:
    """Print the verdict, the warnings, and where the report is."""
    if as_json:
        told = {"verdict": result["verdict"], "path": str(path), "audit_key": result["audit_key"]}
        told["threats"] = {one["id"]: one["verdict"] for one in result["threats"]}
        typer.echo(json.dumps(told, indent=1))
    elif not quiet:
        from dosimeter.cli.screen import verdict_lines

        typer.echo("\n".join(verdict_lines(result, path)))


@functools.cache
def _parser() -> Any:
    """The verbs as one command, put together once in a process."""
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 good, 1 limits not kept, 2 user error, 3 our error, 130 interrupted."""
    try:
        outcome = _parser()(args=arguments, prog_name="dosimeter", standalone_mode=False)
        return _interrupted() if outcome == 130 else outcome if isinstance(outcome, int) else 0
    except AuditError as error:
        return _refused(error.problems)
    except BrokenPipeError:  # `dosimeter list | head`
        sys.stdout = None
        return 141
    except OSError as error:  # what no reader or writer has told better, such as a name that is too long
        return _refused([f"{error.filename or 'a file'}: cannot be used, {error.strerror or error}: check the path"])
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except _StoppedError as error:
        return _interrupted(str(error))
    except Exception as error:
        if isinstance(error, USAGE_ERROR):
            return _usage(error)
        from dosimeter.foundation.user_code import is_users_fault
        from dosimeter.foundation.wording import describe

        if is_users_fault(error):
            return _refused([f"your code: raised {describe(error)}: correct it"])
        traceback.print_exc()
        print("internal error: this is a bug in dosimeter, please report it with the lines above", file=sys.stderr)
        return 3


class _StoppedError(Exception):
    """A run was interrupted; its text says what is kept, which the parser would lose of an interruption itself."""


def _interrupted(told: str = "") -> int:
    """Say how to go on."""
    from dosimeter.foundation.wording import one_line

    print(one_line(told or "interrupted: to continue, run the same command again", limit=2000), file=sys.stderr)
    return 130


def _refused(problems: Sequence[str]) -> int:
    """Say what is wrong, one line each."""
    from dosimeter.foundation.wording import one_line

    for problem in problems:
        print(f"error: {one_line(problem, limit=2000)}", file=sys.stderr)
    return 2


def _usage(error: Any) -> int:
    """Say what is wrong with the arguments; without any, show the help."""
    context = getattr(error, "ctx", None)
    if not str(error.format_message()).strip() or "\n" in error.format_message():
        error.show()
        return 2
    command = context.command_path if context else "dosimeter"
    return _refused([f"{error.format_message().rstrip('.')}: see `{command} --help`"])


def entry() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
