"""The command line. Every verb imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import contextlib
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

from dosimeter._version import __version__
from dosimeter.errors import AuditError, StoreError

if TYPE_CHECKING:
    from dosimeter.config import Audit

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

AuditFile = Annotated[Path, typer.Argument(help="The audit file.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME unless given.")]
StoreFolder = Annotated[Path | None, typer.Option("--store", help="Cache; .store beside the run unless given.")]
Device = Annotated[str, typer.Option(help="Where models are trained: cpu, cuda, cuda:1, mps.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one per core unless given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no sentences.")]


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
    out: Out = None,
    store: StoreFolder = None,
    device: Device = "cpu",
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit a face recogniser whose head was finetuned on 180 photos, and write its report."""
    import tomllib

    from dosimeter.config import parse

    table = tomllib.loads((resources.files("dosimeter.demos") / "badge.toml").read_text(encoding="utf-8"))
    if quick:
        table["name"] = "badge-quick"
        table["stage"][0]["options"] = {"size": 96}
        table["threat"] |= {"shadows": 62, "targets": 8}
    _run(parse(table, base=Path.cwd()), out, store, device, workers, as_json, quiet)


@app.command(epilog="Example: dosimeter init my-audit")
def init(folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path()) -> None:
    """Write a commented audit.toml and a recipe.py that run as they are."""
    from dosimeter.store import write_text

    start = resources.files("dosimeter.demos") / "start"
    names = ("audit.toml", "recipe.py")
    present = [str(folder / name) for name in names if (folder / name).exists()]
    if present:
        raise StoreError(f"{', '.join(present)}: exists already: choose another folder, or delete it")
    for name in names:
        write_text(folder / name, (start / name).read_text(encoding="utf-8"))
    audit, recipe = folder / "audit.toml", folder / "recipe.py"
    typer.echo(f"Wrote {audit} and {recipe}. Next: dosimeter plan {shlex.quote(str(audit))}")


@app.command(epilog="Example: dosimeter plan audit.toml --json")
def plan(
    audit: AuditFile,
    out: Out = None,
    store: StoreFolder = None,
    device: Device = "cpu",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Show what an audit would train, what is cached, what is refused, and what it costs. Trains nothing."""
    import dataclasses

    from dosimeter import pipeline
    from dosimeter.preparation import load_audit

    with _own_output():
        settings = load_audit(audit)
        folder = out or Path("runs") / settings.name
        place = store or folder.parent / pipeline.STORE
        found = pipeline.plan(settings, store=place, device=device, workers=workers)
    pipeline.check_folder(folder, found.key)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), indent=1, sort_keys=True))
        return
    from dosimeter._terminal import plan_lines

    typer.echo("\n".join(plan_lines(found)))


@app.command(epilog="Example: dosimeter run audit.toml --workers 2")
def run(
    audit: AuditFile,
    out: Out = None,
    store: StoreFolder = None,
    device: Device = "cpu",
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, observe, attack, measure, and write the report. Run it again to continue after an interruption."""
    from dosimeter.preparation import load_audit

    with _own_output():
        settings = load_audit(audit)
    _run(settings, out, store, device, workers, as_json, quiet)


@app.command(epilog="Example: dosimeter measure runs/badge")
def measure(run_folder: RunFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Compute result.json and scores.parquet anew from a finished run's evidence. Trains nothing."""
    from dosimeter import pipeline

    found = pipeline.measure(run_folder)
    _tell(found, run_folder / "result.json", as_json, quiet)


@app.command(epilog="Example: dosimeter report runs/badge")
def report(run_folder: RunFolder, quiet: Quiet = False) -> None:
    """Write report.html anew from a run's result.json. Computes nothing."""
    from dosimeter import pipeline

    path = pipeline.report(run_folder)
    if not quiet:
        typer.echo(f"Report: {path}")


@app.command(name="list", epilog="Example: dosimeter list --json")
def list_(as_json: Json = False) -> None:
    """List attacks, data sets, models, transfer methods and query views."""
    from dosimeter._terminal import catalogue, catalogue_lines

    found = catalogue()
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(catalogue_lines(found)))


def _own_output() -> contextlib.AbstractContextManager[object]:
    """What users' code prints goes to standard error, since standard output may be read by a machine."""
    return contextlib.redirect_stdout(sys.stderr)


def _run(
    audit: Audit, out: Path | None, store: Path | None, device: str, workers: int | None, as_json: bool, quiet: bool
) -> None:
    """Run an audit and say what came of it."""
    from dosimeter import pipeline
    from dosimeter._terminal import showing

    folder = out or Path("runs") / audit.name
    with _own_output(), showing(quiet or as_json) as progress:
        path = pipeline.run(audit, folder, store=store, device=device, workers=workers, progress=progress)
    _tell(json.loads((folder / "result.json").read_text(encoding="utf-8")), path, as_json, quiet)


def _tell(result: dict[str, Any], path: Path, as_json: bool, quiet: bool) -> None:
    """Print the verdict and where the report is."""
    if as_json:
        typer.echo(
            json.dumps({"verdict": result["verdict"], "path": str(path), "audit_key": result["audit_key"]}, indent=1)
        )
    elif not quiet:
        for sentence in result["verdict"]["sentences"]:
            typer.echo(sentence)
        typer.echo(f"{'Report' if path.suffix == '.html' else 'Result'}: {path}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 good, 2 user error, 3 internal error, 130 interrupted."""
    try:
        outcome = app(args=arguments, prog_name="dosimeter", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except AuditError as error:
        return _refused(error.problems)
    except BrokenPipeError:  # `dosimeter list | head`
        sys.stdout = None
        return 141
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted: run again to continue", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, USAGE_ERROR):
            return _usage(error)
        traceback.print_exc()
        print("internal error: this is a bug in dosimeter, please report it with the lines above", file=sys.stderr)
        return 3


def _refused(problems: Sequence[str]) -> int:
    """Say what is wrong, one line each."""
    from dosimeter._resolve import one_line

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
