"""Options and arguments that several verbs of the command line take."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dosimeter.foundation.errors import ConfigError

if TYPE_CHECKING:
    from dosimeter.jobs.runners import Workers


class RunnerChoice(StrEnum):
    """What `--runner` takes."""

    AUTO = "auto"
    SERIAL = "serial"
    PROCESSES = "processes"
    RAY = "ray"


AuditFile = Annotated[Path, typer.Argument(help="The audit file.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Finished = Annotated[Path, typer.Argument(help="Folder of a finished run, or its result.json.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME unless given.")]
TheStore = Annotated[str, typer.Option("--store", help="Folder or URL of the cache.")]
StorePlace = Annotated[
    str | None, typer.Option("--store", help="Cache, a folder or a URL such as s3://...; .store beside the run.")
]
Device = Annotated[str, typer.Option(help="Where models are trained: cpu, cuda, cuda:1, mps.")]
Count = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one per core unless given.")]
Runner = Annotated[RunnerChoice, typer.Option(help="Who trains: this process, processes, or a Ray cluster.")]
Address = Annotated[str | None, typer.Option(help="With --runner ray: host:port; this machine's cluster unless given.")]
Gpus = Annotated[float | None, typer.Option("--gpus-per-job", help="With --runner ray: such as 0.25; 1 on cuda.")]
DiskCap = Annotated[str | None, typer.Option(help="Largest size of the cache, such as 20GB; no limit unless given.")]
TrustPickle = Annotated[
    bool,
    typer.Option("--trust-pickle", help="Load a supplied model from a file that can run code. The report says so."),
]
Topology = Annotated[bool, typer.Option("--topology", help="Show the model's cuts, and who sees what, instead.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no sentences.")]


def crew(count: int | None, runner: RunnerChoice, address: str | None, gpus: float | None) -> Workers:
    """The workers that the options ask for.

    Raises:
        ConfigError: they do not fit together.
    """
    from dosimeter.jobs.runners import Workers

    return Workers(count, runner.value, address, gpus)


def spare(written: Sequence[Path | None], others: Sequence[Path | None]) -> None:
    """Refuses to overwrite an input file, or to write two outputs to one file."""
    taken = {path.resolve() for path in others if path is not None}
    for path in written:
        if path is not None and path.resolve() in taken:
            raise ConfigError(f"{path}: must be a file of its own, got one that is used already: choose another")
        taken |= {path.resolve()} if path is not None else set()
