"""Names of the copies of a text, which settings check without PyTorch."""

WORD_VIEWS = tuple(f"drop{number}" for number in range(1, 8))
"""Names of the copies of a text; each lacks other words."""
