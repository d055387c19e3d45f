"""The verbs `dosimeter store list` and `dosimeter store gc`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dosimeter.cli import options as o
from dosimeter.foundation.errors import ConfigError

store_verbs = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="See and clean the cache of trained models.",
    epilog="Example: dosimeter store list",
)


@store_verbs.command(name="list", epilog="Example: dosimeter store list --store runs/.store")
def store_list(store: o.TheStore = "runs/.store", as_json: o.Json = False) -> None:
    """List what a cache holds, least recently used first."""
    import dataclasses

    from dosimeter.cli.screen import entry_lines
    from dosimeter.jobs import housekeeping

    found = housekeeping.entries(housekeeping.existing(store))
    rows = [dataclasses.asdict(entry) for entry in found]
    typer.echo(json.dumps(rows, indent=1) if as_json else "\n".join(entry_lines(found)))


@store_verbs.command(name="gc", epilog="Example: dosimeter store gc --keep-days 30 --max-size 20GB")
def store_gc(
    store: o.TheStore = "runs/.store",
    keep_days: Annotated[float | None, typer.Option(min=0, help="Remove what was not used for so many days.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Then the least recently used, until so much is left.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: o.Json = False,
) -> None:
    """Remove cached models and data that no living run uses. They are trained again when needed."""
    import dataclasses

    from dosimeter.cli.screen import collection_line
    from dosimeter.jobs import housekeeping

    if keep_days is None and max_size is None:
        raise ConfigError("store gc: must be told what may go, got no limit: give --keep-days or --max-size or both")
    size = None if max_size is None else housekeeping.parse_size(max_size, "--max-size")
    folder = housekeeping.existing(store)
    found = housekeeping.collect(folder, keep_days=keep_days, max_size=size, dry_run=dry_run)
    typer.echo(json.dumps(dataclasses.asdict(found), indent=1) if as_json else collection_line(found, dry_run))
