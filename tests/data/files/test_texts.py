"""Texts of a language model: bytes, words, a tokenizer; tables without labels; what is refused."""

import json

import numpy as np
import oracles_language as oracles
import pytest
from real_texts import paragraphs, write_texts

from dosimeter.data import Dataset, Options, load
from dosimeter.data.files.texts import texts_of
from dosimeter.data.options import Request
from dosimeter.foundation.errors import DataError


def test_a_table_needs_no_label(tmp_path):
    n = write_texts(tmp_path / "texts.csv", 50)
    found = load("texts.csv", base=tmp_path, options=Options(level="bytes", length=40))
    assert found.inputs.shape == (n, 40)
    assert (found.vocabulary, found.classes, found.noun) == (257, ("text",), "text")
    assert (found.labels == 0).all()
    assert found.persons[0] == f"{paragraphs()[0][1]} 0"
    for row, (text, _) in enumerate(paragraphs()[:50]):
        assert bytes(found.inputs[row, 1:].tolist()) == text.encode()[:39]
        assert found.compressed[row] == oracles.compressed(text, 40)
    part = load("texts.csv", rows="10:20", base=tmp_path, options=Options(level="bytes", length=40))
    assert (part.ids == found.ids[10:20]).all()
    assert part.fingerprint != found.fingerprint
    assert part.fingerprint == found.take(np.arange(10, 20)).fingerprint


def test_words_are_hashed_and_short_texts_end():
    options = Options(level="words", length=5, vocabulary=50)
    found = texts_of(["One, two! ONE", "und noch fünf Wörter mehr"], Request("data", options=options))
    assert found.vocabulary == 51
    assert (found.tokens[:, 0] == 50).all()
    assert found.tokens[0, 1] == found.tokens[0, 3]
    assert found.tokens[0, 4] == -1
    assert (found.tokens[1] >= 0).all()


def test_a_tokenizer_gives_its_own_tokens(tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra hf")
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = {word: number for number, word in enumerate(["<s>", "[UNK]", "one", "two"])}
    own = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=own, bos_token="<s>", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "tok")
    options = Options(level="tokenizer", tokenizer="tok", length=4)
    found = texts_of(["one two", "two three one four"], Request("data", options=options, base=tmp_path))
    assert found.tokens.tolist() == [[0, 2, 3, -1], [0, 3, 1, 2]]
    assert found.vocabulary == 4
    config = json.loads((tmp_path / "tok" / "tokenizer_config.json").read_text())
    config.pop("bos_token")
    (tmp_path / "tok" / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="must have a token that begins or ends a text, got neither"):
        texts_of(["one"], Request("data", options=options, base=tmp_path))


class Letters:
    """A tokenizer of letters, as somebody might write their own."""

    bos_token_id, eos_token_id, truncation_side = 0, None, "right"

    def __init__(self, own=lambda text: [ord(one) for one in text]):
        self.own = own

    def __len__(self):
        return 200

    def __call__(self, text, **limit):
        return {"input_ids": self.own(text)}

    def decode(self, tokens):
        return "".join(map(chr, tokens))


def by(tokenizer, *texts):
    options = Options(level="tokenizer", tokenizer=tokenizer, length=4)
    return texts_of(texts, Request("data", options=options)).tokens.tolist()


def test_a_tokenizer_of_the_users_own_is_held_to_the_length_and_to_whole_numbers():
    assert by(Letters(), "abcdef", "a") == [[0, 97, 98, 99], [0, 97, -1, -1]]
    with pytest.raises(DataError, match="must give a list of whole numbers for each text, got TypeError"):
        by(Letters(lambda text: ["a"]), "abc")


def test_what_a_tokenizer_says_of_its_trouble_holds_no_text():
    def fails(text):
        raise ValueError(f"no idea what {text} means")

    with pytest.raises(DataError, match="for each text, got ValueError: try it on your texts") as caught:
        by(Letters(fails), "a secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match="got half of a surrogate pair in row 1") as caught:
        by(Letters(), "fine", "a secret \ud800")
    assert "secret" not in str(caught.value)


def test_a_tokenizer_that_keeps_the_end_of_a_text_is_refused_where_that_matters():
    """Else the first tokens would be said to be read, and other passages than the trained ones would be."""
    last = Letters()
    last.truncation_side = "left"
    assert by(last, "abc") == [[0, 97, 98, 99]]
    with pytest.raises(DataError, match="must keep the first tokens of a text, got truncation_side = 'left'"):
        by(last, "abc", "abcd")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "tokenizer"}, "level 'tokenizer' needs the folder of one, got none"),
        ({"level": "bytes", "tokenizer": "x"}, "tokenizer is only read with level = 'tokenizer', got level = 'bytes'"),
        ({"level": "tokenizer", "tokenizer": "x"}, "tokenizer must be a folder"),
        ({"level": "bytes", "length": 1}, "length must be in 2..100000, got 1"),
        ({"level": "words", "vocabulary": 1}, "vocabulary must be in 2..10000000, got 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, tmp_path):
    with pytest.raises(DataError, match=message):
        texts_of(["one"], Request("data", options=Options(**options), base=tmp_path))


def test_empty_texts_are_refused_by_their_row_without_a_word_of_others():
    with pytest.raises(DataError) as caught:
        texts_of(["a secret", "", ""], Request("data", options=Options(level="bytes")))
    assert str(caught.value) == (
        "data: a text must have at least one token, got none in row 1 (2 such texts): remove empty texts"
    )


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[5, 9, 1]], "tokens must be in 0..8, or -1 after the end, got 9 in row 0"),
        ([[5, -1, 1]], "-1 must stand after the last token of a text, got one before it in row 0"),
        ([[5, -1, -1]], "a text must have at least one token after the first, got none in row 0"),
        ([[0.5, 1.0, 2.0]], "texts must be tokens"),
    ],
)
def test_rows_that_are_no_texts_are_refused(tokens, message):
    with pytest.raises(DataError, match=message):
        Dataset(np.array(tokens), np.zeros(1, int), ("text",), np.array(["a"]), vocabulary=9)


def test_a_named_corpus_takes_a_level():
    try:
        found = load("20news", rows="0:20", options=Options(level="words", length=30, vocabulary=500))
    except DataError as error:
        pytest.skip(str(error))
    assert found.vocabulary == 501
    assert found.noun == "post"


def test_a_function_returns_columns_of_texts(tmp_path, monkeypatch):
    (tmp_path / "own_texts.py").write_text(
        "def texts(seed):\n    return {'text': ['one two', 'three'], 'person': ['a', 'b']}\n"
        "def numbers(seed):\n    return [[1, 2]], [0]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = load("own_texts:texts", options=Options(level="bytes", length=6))
    assert found.inputs[1].tolist() == [256, *b"three"]
    assert found.persons.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="must return columns by name"):
        load("own_texts:numbers", options=Options(level="bytes", length=6))
