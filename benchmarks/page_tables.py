"""Tables of pages in `docs/` from stored figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


def fill(page: str, tables: Mapping[str, Iterable[str]]) -> str:
    """A page with the rows of each table, which stands after a line such as `<!-- table: NAME -->` and has its head.

    Args:
        page: the page.
        tables: rows by name.
    """
    for name, rows in tables.items():
        place = re.compile(rf"(<!-- table: {name} -->\n\n\|.*\n\| ---.*\n)(?:\|.*\n)*")
        if not place.search(page):
            raise SystemExit(f"the page has no line '<!-- table: {name} -->' with the head of a table after it")
        told = "\n".join(rows)
        page = place.sub(lambda match, told=told: match[1] + told + "\n", page)
    return page
