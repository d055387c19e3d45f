"""Real texts that every Python has: paragraphs of its language reference, each with the topic that it belongs to."""

from __future__ import annotations

import csv
import re
from functools import cache
from pydoc_data.topics import topics


@cache
def paragraphs() -> tuple[tuple[str, str], ...]:
    """Distinct paragraphs of 120 characters and more, with their topics, in the order of these."""
    found = {
        " ".join(part.split()): topic for topic, text in sorted(topics.items()) for part in re.split(r"\n\s*\n", text)
    }
    return tuple((text, topic) for text, topic in found.items() if len(text) >= 120)


def write_texts(path, rows=None):
    """Writes a table with columns `text` and `person`, neighbours of one topic; returns the number of its rows."""
    kept = [(text, f"{topic} {row // 4}") for row, (text, topic) in enumerate(paragraphs()[:rows])]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "person"), *kept])
    return len(kept)
