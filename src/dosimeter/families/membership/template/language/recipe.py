"""Your own texts. This function is used where audit.toml names it, as "recipe:texts"."""

import re
from pydoc_data.topics import topics


def texts(seed):
    """Return columns: the texts, here paragraphs of Python's own language reference, and whose each is."""
    found = {
        " ".join(part.split()): topic for topic, text in sorted(topics.items()) for part in re.split(r"\n\s*\n", text)
    }
    kept = [(text, topic) for text, topic in found.items() if len(text) >= 120]
    return {
        "text": [text for text, _ in kept],
        "person": [f"{topic} {row // 4}" for row, (_, topic) in enumerate(kept)],
    }
