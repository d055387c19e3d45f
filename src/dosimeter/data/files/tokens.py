"""Text as integer tokens: hashed words, or the tokens of a local Hugging Face tokenizer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.options import Request, as_data_error, show_path
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote

WORD = re.compile(r"\w+")


def tokens(texts: Sequence[str], request: Request) -> Array:
    """The first words of each text as numbers.

    A word is a run of letters, digits and underscores, in lower case; its number is `crc32(word) % vocabulary + 1`. So
    a text always gets the same numbers, whatever other texts there are, and two words may share one. With `tokenizer`
    the numbers are the tokenizer's own, padded by its padding token, or 0 if it has none.

    Args:
        texts: one per record.
        request: `length`, `vocabulary`, `tokenizer`.

    Returns:
        `[n length]` int64; 0 where the text has ended.

    Raises:
        DataError: a number out of range, or no such tokenizer.

    >>> from dosimeter.data import Options
    >>> tokens(["One, two!", ""], Request("data", options=Options(length=3))).tolist()
    [[12786, 6375, 0], [0, 0, 0]]
    """
    options = request.options
    for key, value, low in (("length", options.length, 1), ("vocabulary", options.vocabulary, 2)):
        if not low <= value <= 10_000_000:
            raise DataError(f"{request.name}: {key} must be in {low}..10000000, got {value}: correct it")
    if options.tokenizer is not None:
        return _by_tokenizer(texts, options.tokenizer, request)
    found = np.zeros((len(texts), options.length), np.int64)
    numbers: dict[str, int] = {}
    for row, text in enumerate(texts):
        for place, match in enumerate(islice(WORD.finditer(text.lower()), options.length)):
            word = match[0]
            number = numbers.get(word)
            if number is None:
                number = numbers[word] = zlib.crc32(word.encode("utf-8", "surrogatepass")) % options.vocabulary + 1
            found[row, place] = number
    return found


def check_unicode(texts: Sequence[str], place: str) -> None:
    """Refuses half of a surrogate pair, which no tokenizer takes.

    Raises:
        DataError: with the row.
    """
    for row, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{place}: a tokenizer needs text of whole characters, got half of a surrogate pair in row {row}: "
                "remove it, or read the file in its own encoding"
            ) from None


def _by_tokenizer(texts: Sequence[str], tokenizer: str, request: Request) -> Array:
    """Tokens by a tokenizer from a local folder; nothing is downloaded, and no code in the folder is run."""
    check_unicode(texts, request.name)
    folder = request.base / Path(tokenizer).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{request.name}: tokenizer must be a folder, got {show_path(folder)}: save one with save_pretrained"
        )
    try:
        import transformers
    except ImportError:
        raise DataError(
            f"{request.name}: tokenizer needs the package transformers, which is not installed: "
            'pip install "dosimeter[hf]"'
        ) from None
    with as_data_error(f"{request.name}: tokenizer {quote(tokenizer)}", "save it again with save_pretrained"):
        loaded: Any = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        padding = 0 if loaded.pad_token_id is None else int(loaded.pad_token_id)
        found = np.full((len(texts), request.options.length), padding, np.int64)
        for start in range(0, len(texts), 1000):
            batch = list(texts[start : start + 1000])
            listed = loaded(batch, truncation=True, max_length=request.options.length)["input_ids"]
            for row, numbers in enumerate(listed, start):
                found[row, : len(numbers)] = numbers
    return found
