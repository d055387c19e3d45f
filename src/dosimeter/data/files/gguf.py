"""Files of weights in the form of llama.cpp, which hold a model and its tokenizer; they are data and run no code."""

from __future__ import annotations

from pathlib import Path

from dosimeter.foundation.errors import DataError

OTHERS = ("config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json")
"""Files of a folder that transformers reads without such a file."""


def gguf_in(folder: Path) -> Path | None:
    """The `.gguf` file of a folder that holds a model in no other form; None if there is none.

    Raises:
        DataError: there are several.
    """
    if any((folder / name).is_file() for name in OTHERS):
        return None
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise DataError(
            f"{folder.name}: must hold one .gguf file, got {len(found)}: copy the one that you mean into a folder"
        )
    return found[0] if found else None
