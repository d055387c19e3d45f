"""Rows of an audit file that name a plug-in and set its hyperparameters: ours by name, or a class of the user's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import findings, lines
from dosimeter.foundation.user_code import import_from, resolve
from dosimeter.foundation.wording import describe, one_line, quote
from dosimeter.jobs.store import canonical


@dataclasses.dataclass(frozen=True)
class Kind:
    """The kind of plug-in that rows of one table name.

    Attributes:
        word: what one is called, in the singular.
        known: ours by name.
        wanted: what a class of the user's must be, in words.
        fits: whether a class is that.
        needs: attributes that a built one must have, with their types.
        protocol: where a user reads of them.
    """

    word: str
    known: Mapping[str, Any]
    wanted: str
    fits: Callable[[Any], bool]
    needs: Mapping[str, type]
    protocol: str


def build(row: Mapping[str, Any], base: Path, kind: Kind) -> tuple[str, str | None, Any]:
    """Builds a row's plug-in; returns name, `id` (if there is one) and plug-in.

    Args:
        row: as TOML gives it.
        base: folder from which the user's modules are found.
        kind: what the row may name.

    Raises:
        ConfigError: every problem, as the tail of the row's place.
    """
    settings = dict(row)
    name, own_id = settings.pop("name", None), settings.pop("id", None)
    if name is None:
        raise ConfigError(f".name: is required and missing: {suggest('', kind.known)}")
    if not isinstance(name, str):
        raise ConfigError(f".name: must be text in quotes, got {quote(name)}: {suggest('', kind.known)}")
    found = _class(name, base, kind)
    fields = {field.name for field in dataclasses.fields(found) if field.init}
    unknown = [f".{key}: unknown key, {suggest(str(key), [*fields, 'name', 'id'])}" for key in settings.keys() - fields]
    if unknown:
        raise ConfigError(*sorted(unknown))
    try:
        plugin = found(**_settings(found, settings))
        check(plugin, kind)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        own = isinstance(error, ValueError) and name in kind.known
        raise ConfigError(f": {one_line(error) if own else 'raised ' + describe(error)}: correct the row") from error
    if own_id is not None:
        label(own_id)
    return name, own_id, plugin


def label(text: Any) -> str:
    """An id that can be displayed.

    Raises:
        ConfigError: it cannot.
    """
    if not isinstance(text, str) or not (0 < len(text) <= 80 and text.isprintable()):
        raise ConfigError(f".id: must be text of 1 to 80 characters, got {quote(text)}: rename it, without hidden ones")
    return text


def check(plugin: Any, kind: Kind) -> None:
    """Refuses a plug-in that lacks required attributes, or whose settings cannot be written down.

    Raises:
        ConfigError: what is wrong, as the tail of the row's place.
    """
    for name, wanted in kind.needs.items():
        value = getattr(plugin, name, None)
        if not isinstance(value, wanted):
            raise ConfigError(
                f".name: the {kind.word}'s `{name}` must be a {wanted.__name__}, got {type(value).__name__}: see "
                f"`{kind.protocol}`"
            )
    try:
        canonical(dataclasses.asdict(plugin))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f": settings must be text, finite numbers, true, false and lists of them, got {one_line(error)}: correct it"
        ) from error


def _settings(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters, converted to the types that a plug-in's annotations name."""
    hints, found, problems = get_type_hints(kind, include_extras=True), {}, []
    for key, value in given.items():
        try:
            found[key] = TypeAdapter(hints[key], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            problems += [f".{line}" for line in lines(findings(error, key, []))]
    for field in dataclasses.fields(kind):
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.init and not optional and field.name not in given:
            problems.append(f".{field.name}: is required and missing: add it")
    if problems:
        raise ConfigError(*problems)
    return found


def _class(name: str, base: Path, kind: Kind) -> Any:
    """The class behind a name."""
    if name in kind.known:
        return kind.known[name]
    if ":" not in name:
        raise ConfigError(
            f".name: unknown {kind.word} {quote(name)}, {suggest(name, kind.known)} (or write package.module:Class)"
        )
    import_from(base)
    try:
        found = resolve(name)
    except ConfigError as error:
        raise ConfigError(*[f".name: {problem}" for problem in error.problems]) from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and kind.fits(found)):
        raise ConfigError(
            f".name: must name {kind.wanted}, got {quote(name)}, a {type(found).__name__}: see `{kind.protocol}`"
        )
    return found
