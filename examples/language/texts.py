"""Paragraphs of Python's own language reference: texts for a first audit of a language model."""

import re
from pydoc_data.topics import topics


def paragraphs(seed):
    """Columns of texts; a person stands for four neighbouring paragraphs of a topic."""
    found = {
        " ".join(part.split()): topic for topic, text in sorted(topics.items()) for part in re.split(r"\n\s*\n", text)
    }
    kept = [(text, topic) for text, topic in found.items() if len(text) >= 120]
    return {
        "text": [text for text, _ in kept],
        "person": [f"{topic} {row // 4}" for row, (_, topic) in enumerate(kept)],
    }
