"""Texts of a language model as tokens: bytes, hashed words, or the tokens of a local Hugging Face tokenizer."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data.dataset import TEXT_CLASS, Dataset
from dosimeter.data.files.gguf import gguf_in
from dosimeter.data.files.tokens import WORD, check_unicode
from dosimeter.data.options import Request, as_data_error, show_path
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

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
    if options.level == "tokenizer":
        check_unicode(texts, request.name)
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


def words_of(tokens: Int[Array, "n length"], vocabulary: int) -> Int[Array, "n w"]:
    """What a reader who has no model compares of texts: numbers of their words, 0 where a text has ended.

    Of bytes, which say little one by one, these are the words that they spell; of other tokens the tokens themselves
    and their pairs. The token that begins each text is left out.

    Args:
        tokens: as `texts_of` gives them.
        vocabulary: number of tokens that there are.

    >>> words_of(np.array([[256, 97, 32, 98], [256, 98, -1, -1]]), 257).shape
    (2, 2)
    """
    if vocabulary != BYTES + 1 or not (tokens[:, 0] == BYTES).all():
        own = np.where(tokens[:, 1:] < 0, 0, tokens[:, 1:] + 1).astype(np.int64)
        pairs = (own[:, :-1] * 1_000_003 + own[:, 1:]) % 2**31 + vocabulary + 1
        return np.concatenate([own, np.where(own[:, 1:] > 0, pairs, 0)], axis=1)
    spelled = [bytes(row[row >= 0][1:].astype(np.uint8)).decode("utf-8", "replace") for row in tokens]
    numbers = [[zlib.crc32(_raw(one[0])) % 2**31 + 1 for one in WORD.finditer(text.lower())] for text in spelled]
    found = np.zeros((len(tokens), max(1, *map(len, numbers))), np.int64)
    for row, own_words in enumerate(numbers):
        found[row, : len(own_words)] = own_words
    return found


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
        cells=None,  # raw text is not kept
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
    name: Any = request.options.tokenizer
    if name is None:
        raise DataError(
            f"{request.name}: level 'tokenizer' needs the folder of one, got none: set tokenizer, or use level 'bytes'"
        )
    loaded = opened(name, request.base, request.name)
    told = quote(name) if isinstance(name, str) else type(name).__name__
    begin, place = begin_of(loaded), f"{request.name}: tokenizer {told}"
    if begin is None:
        raise DataError(
            f"{place} must have a token that begins or ends a text, got neither: set its bos_token and save it again"
        )
    from_left = getattr(loaded, "truncation_side", "right") == "left"

    def cut(text: str, most: int) -> tuple[list[int], bytes]:
        found = _tokens(loaded, text, place, **({} if from_left else {"truncation": True, "max_length": most}))
        if from_left and len(found) > most:
            raise DataError(
                f"{place} must keep the first tokens of a text, got truncation_side = 'left' and a text longer than "
                "data_options.length: shorten the texts yourself, as the training did, or raise length"
            )
        kept = found[:most]
        return kept, _raw(loaded.decode(kept))

    return begin, len(loaded), cut


def begin_of(tokenizer: Any) -> int | None:
    """The token that begins a text, or that ends one where none begins it; None if there is neither."""
    both = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next((int(one) for one in both if one is not None), None)


def _tokens(tokenizer: Any, text: str, place: str, **limit: Any) -> list[int]:
    """Tokens of a text. What a tokenizer says of its trouble may hold the text, so only its kind is told."""
    try:
        return [index(one) for one in tokenizer(text, add_special_tokens=False, **limit)["input_ids"]]
    except Exception as error:  # the user's tokenizer
        raise DataError(
            f"{place} must give a list of whole numbers for each text, got {type(error).__name__}: try it on your texts"
        ) from None


def opened(tokenizer: Any, base: Path, place: str) -> Any:
    """A tokenizer that is named by its folder, or is there already.

    Raises:
        DataError: something else, or nothing that can be read.
    """
    if isinstance(tokenizer, str | Path):
        return load_tokenizer(base / Path(tokenizer).expanduser(), place)
    if not callable(tokenizer) or not hasattr(tokenizer, "bos_token_id") or not hasattr(tokenizer, "decode"):
        raise DataError(
            f"{place}: tokenizer must be one of transformers or its folder, got {type(tokenizer).__name__}: give the "
            "folder"
        )
    return tokenizer


def find_tokenizer(folder: Path) -> Any:
    """The tokenizer that lies in the folder of a model; None if there is none."""
    own = any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    if not own and gguf_in(folder) is None:
        return None
    return load_tokenizer(folder, one_line(folder.name, 80))


def cut_otherwise(tokens: Sequence[Array], tokenizer: Any, other: Any) -> int:
    """Number of texts that another tokenizer cuts into other tokens.

    Args:
        tokens: of texts, without the one that begins each.
        tokenizer: that cut them, or its folder.
        other: the other one.
    """
    own = opened(tokenizer, Path(), "tokenizer")
    texts = [own.decode(row.tolist()) for row in tokens]
    cut = [[_tokens(one, text, "tokenizer") for text in texts] for one in (own, other)]
    return sum(first != second for first, second in zip(*cut, strict=True))


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
    file = gguf_in(folder)
    told = {} if file is None else {"gguf_file": file.name}
    remedy = (
        "save it again with save_pretrained" if file is None else 'run pip install "dosimeter[gguf]", or get it anew'
    )
    with as_data_error(f"{place}: tokenizer {quote(folder.name)}", remedy):
        return transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **told
        )
