"""Texts of a language model as tokens: bytes, hashed words, or the tokens of a local Hugging Face tokenizer."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data.dataset import TEXT_CLASS, Dataset
from dosimeter.data.files.tokens import WORD
from dosimeter.data.options import Request, as_data_error, show_path
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote

BYTES = 256
"""Tokens of a text in bytes; the next one begins it."""
ENDED = -1
"""What stands in a row of tokens after the end of its text."""


@dataclass(frozen=True)
class Texts:
    """Texts as a language model reads them.

    Attributes:
        tokens: `[n length]`, `ENDED` after the end of each.
        compressed: size of each text, as far as it was kept, after zlib, bytes `[n]`.
        vocabulary: number of tokens that there are.
    """

    tokens: Int[Array, "n length"]
    compressed: Int[Array, " n"]
    vocabulary: int


Cutter = Callable[[str, int], tuple[list[int], bytes]]
"""Gives the first tokens of a text, so many at most, and what of the text they cover."""


def texts_of(texts: Sequence[str], request: Request) -> Texts:
    """The first tokens of each text, after a token that begins it.

    Args:
        texts: one per record.
        request: `level`, `length`, `vocabulary`, `tokenizer`; `length` counts the token that begins a text.

    Raises:
        DataError: a number out of range, no such tokenizer, a tokenizer without a token that begins a text, or an
            empty text.

    >>> from dosimeter.data import Options
    >>> found = texts_of(["ab", "c"], Request("data", options=Options(level="bytes", length=3)))
    >>> found.tokens.tolist(), found.vocabulary
    ([[256, 97, 98], [256, 99, -1]], 257)
    """
    options = request.options
    if not 2 <= options.length <= 100_000:
        raise DataError(f"{request.name}: length must be in 2..100000, got {options.length}: correct it")
    begin, vocabulary, cutter = _cutter(request)
    tokens = np.full((len(texts), options.length), ENDED, np.int64)
    tokens[:, 0] = begin
    compressed = np.zeros(len(texts), np.int64)
    empty = []
    for row, text in enumerate(texts):
        found, covered = cutter(text, options.length - 1)
        tokens[row, 1 : 1 + len(found)] = found
        compressed[row] = len(zlib.compress(covered))
        if not found:
            empty.append(row)
    if empty:
        raise DataError(
            f"{request.name}: a text must have at least one token, got none in row {empty[0]} ({len(empty)} such "
            "texts): remove empty texts"
        )
    return Texts(tokens, compressed, vocabulary)


def as_texts(whole: Dataset, texts: Sequence[str], request: Request) -> Dataset:
    """A data set about texts as one for a language model: other tokens, and no labels.

    Args:
        whole: ids, persons and groups of the texts.
        texts: one per record.
        request: as for `texts_of`.
    """
    found = texts_of(texts, request)
    noun = request.options.noun or ("text" if whole.noun == "record" else whole.noun)
    return replace(
        whole,
        inputs=found.tokens,
        labels=np.zeros(len(texts), np.int64),
        classes=(TEXT_CLASS,),
        compressed=found.compressed,
        vocabulary=found.vocabulary,
        tokens=True,
        ordered=True,
        noun=noun,
        part=request.part,
    )


def _cutter(request: Request) -> tuple[int, int, Cutter]:
    """The token that begins a text, the size of the vocabulary, and the function that gives the tokens."""
    options = request.options
    if options.level == "tokenizer":
        return _by_tokenizer(request)
    if options.tokenizer is not None:
        raise DataError(
            f"{request.name}: tokenizer is only read with level = 'tokenizer', got level = {options.level!r}: remove "
            "one of them"
        )
    if options.level == "bytes":
        return BYTES, BYTES + 1, _bytes
    size = options.vocabulary
    if not 2 <= size <= 10_000_000:
        raise DataError(f"{request.name}: vocabulary must be in 2..10000000, got {size}: correct it")

    def words(text: str, most: int) -> tuple[list[int], bytes]:
        kept = list(islice(WORD.finditer(text.lower()), most))
        numbers = [zlib.crc32(_raw(one[0])) % size for one in kept]
        return numbers, _raw(text[: kept[-1].end()] if kept else "")

    return size, size + 1, words


def _bytes(text: str, most: int) -> tuple[list[int], bytes]:
    """The first bytes of a text in UTF-8."""
    kept = _raw(text)[:most]
    return list(kept), kept


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _by_tokenizer(request: Request) -> tuple[int, int, Cutter]:
    """The same for a tokenizer in a local folder; nothing is downloaded, and no code in the folder is run."""
    name = request.options.tokenizer
    if name is None:
        raise DataError(
            f"{request.name}: level 'tokenizer' needs the folder of one, got none: set tokenizer, or use level 'bytes'"
        )
    loaded = load_tokenizer(request.base / Path(name).expanduser(), request.name)
    begin = next((one for one in (loaded.bos_token_id, loaded.eos_token_id) if one is not None), None)
    if begin is None:
        raise DataError(
            f"{request.name}: tokenizer {quote(name)} must have a token that begins or ends a text, got neither: set "
            "its bos_token and save it again"
        )

    def cut(text: str, most: int) -> tuple[list[int], bytes]:
        kept = loaded(text, add_special_tokens=False, truncation=True, max_length=most)["input_ids"]
        return list(kept), _raw(loaded.decode(kept))

    return int(begin), len(loaded), cut


def load_tokenizer(folder: Path, place: str) -> Any:
    """A tokenizer of transformers from a local folder.

    Raises:
        DataError: no folder, no transformers, or no tokenizer in it.
    """
    if not folder.is_dir():
        raise DataError(f"{place}: tokenizer must be a folder, got {show_path(folder)}: save one with save_pretrained")
    try:
        import transformers
    except ImportError:
        raise DataError(
            f'{place}: tokenizer needs the package transformers, which is not installed: pip install "dosimeter[hf]"'
        ) from None
    with as_data_error(f"{place}: tokenizer {quote(folder.name)}", "save it again with save_pretrained"):
        return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
