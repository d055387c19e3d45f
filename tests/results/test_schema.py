"""Version 2 of result.json, which is still read: its schema, and what our reader says of what breaks it."""

import json
from typing import Any

import example
import jsonschema
import pytest
from flat import problems

from dosimeter.results.schema import old_schema


def short() -> dict[str, Any]:
    """A result with few rows and points."""
    result = example.shown()
    result["estimates"] = result["estimates"][:3]
    result["curves"] = {"rmia": {key: values[:3] for key, values in result["curves"]["rmia"].items()}}
    return result


def small() -> dict[str, Any]:
    return example.tiny() | {"curves": {}, "histograms": {}, "estimates": [], "null_audit": []}


VARIANTS = (example.shown, example.not_shown, example.tiny)


def test_schema_is_valid_and_of_the_draft_it_names():
    jsonschema.Draft202012Validator.check_schema(old_schema())
    assert old_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("make", VARIANTS)
def test_examples_are_valid(make):
    result = json.loads(json.dumps(make()))
    jsonschema.Draft202012Validator(old_schema()).validate(result)
    assert problems(result) == []


BREAKS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("name",), 3, "name: must be string, got integer"),
    (("data", "records"), -1, "data.records: must be at least 0, got -1"),
    (("data", "records"), True, "data.records: must be integer, got boolean"),
    (("data", "persons"), "x", "data.persons: must be integer or null, got string"),
    (("chain", 0, "given"), "yes", "chain[0].given: must be boolean, got string"),
    (("verdict", "status"), "fine", "verdict.status: must be one of"),
    (("verdict", "sentences"), [], "verdict.sentences: must have at least 1 entries, got 0"),
    (("estimates", 2, "high"), 1.5, "estimates[2].high: must be at most 1, got 1.5"),
    (("estimates", 2, "threshold"), "guess", "estimates[2].threshold: must be one of"),
    (("estimates", 0, "family"), "inversion", "estimates[0].family: must be one of"),
    (("curves", "rmia", "fpr", 1), "0", "curves.rmia.fpr[1]: must be number, got string"),
    (("gates", 0, "status"), "skipped", "gates[0].status: must be one of"),
]


@pytest.mark.parametrize(("path", "value", "message"), BREAKS)
def test_our_reader_refuses_what_jsonschema_refuses(path, value, message):
    result = short()
    node = result
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert not jsonschema.Draft202012Validator(old_schema()).is_valid(result)
    assert problems(result)[0].startswith(message)


def test_every_missing_key_is_found_as_jsonschema_finds_it():
    validator = jsonschema.Draft202012Validator(old_schema())
    parts = ["data", "threat", "verdict"]
    for part in [None, *parts]:
        for key in small() if part is None else small()[part]:
            result = small()
            del (result if part is None else result[part])[key]
            assert not validator.is_valid(result)
            assert problems(result)[0] == f"{part + '.' if part else ''}{key}: is missing"


def test_unknown_keys_are_ignored():
    assert problems(short() | {"later": 1}) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r["estimates"][0].update(value=None),
            'estimates[0]: status "ok" needs value, low and high, got null',
        ),
        (lambda r: r["utility"][1].update(low=None), 'utility[1]: status "ok" needs value, low and high, got null'),
        (lambda r: r["curves"]["rmia"]["low"].pop(), "curves.rmia: fpr, tpr, low and high must have equal lengths"),
        (lambda r: r["histograms"]["lira-online"]["edges"].pop(), "histograms.lira-online: edges must be one more"),
        (lambda r: r["estimates"][0].update(value=float("nan")), "estimates[0].value: must be finite, got nan"),
    ],
)
def test_contradictions_that_a_schema_cannot_say(change, message):
    result = short()
    change(result)
    assert problems(result)[0].startswith(message)
