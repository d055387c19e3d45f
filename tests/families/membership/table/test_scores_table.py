"""Tables of scores: the reader against a slow twin on generated tables, and every refusal."""

import csv
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv as csv_file

from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.table.columns import read_columns
from dosimeter.families.membership.table.table import Counts, read_scores
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.rates import shadow_threshold

MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SPELT = [
    ("0", "1"),
    ("0.0", "1.0"),
    ("false", "TRUE"),
    ("No", "yes"),
    ("nonmember", "Member"),
    ("non-member", "member"),
]


def write(path, rows, *, header=None):
    """Rows of text or numbers as `.csv` or `.parquet`."""
    header = header or list(rows[0])
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in header}), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([["" if row[name] is None else row[name] for name in header] for row in rows])
    return path


def text_of(tmp_path, text, name="scores.csv", seed=0):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_scores(path, seed=seed)


def simple(n=8, **more):
    """Rows of one attack and target, members first."""
    return [{"score": i / 4, "is_member": int(i < n // 2)} | {k: f(i) for k, f in more.items()} for i in range(n)]


def read(tmp_path, rows, name="scores.csv", seed=0):
    return read_scores(write(tmp_path / name, rows), seed=seed)


def attempt(path, seed=0):
    """The table, or the message that refuses it."""
    try:
        return read_scores(path, seed=seed)
    except DataError as error:
        return str(error)


# The twin: loops over rows, dictionaries, no pyarrow.


def ranked(score):
    return -np.inf if score is None or np.isnan(score) else float(score)


def named(rows, column, alone):
    return list(dict.fromkeys(row.get(column, alone) for row in rows))


def number_of(keys):
    """Keys by appearance."""
    return {one: i for i, one in enumerate(dict.fromkeys(keys))}


def twin(rows, seed):
    tested = [row for row in rows if row.get("split", "test") == "test"]
    attacks = [one for one in named(rows, "attack", "score") if one in named(tested, "attack", "score")]
    targets = [one for one in named(rows, "target", "target") if one in named(tested, "target", "target")]

    def block(attack, target, among):
        return [
            row for row in among
            if (row.get("attack", "score"), row.get("target", "target")) == (attack, target)
        ]  # fmt: skip

    first = block(attacks[0], targets[0], tested)
    places = {row["id"]: i for i, row in enumerate(first)} if "id" in rows[0] else None
    scores, bits = {}, None
    for attack in attacks:
        scores[attack], bits = np.full((len(targets), len(first)), np.nan), np.zeros((len(targets), len(first)), bool)
        for t, target in enumerate(targets):
            for i, row in enumerate(block(attack, target, tested)):
                at = i if places is None else places[row["id"]]
                scores[attack][t, at], bits[t, at] = ranked(row["score"]), row["is_member"]
    person = number_of([row["person"] for row in rows]) if "person" in rows[0] else None
    record = np.array([i if person is None else person[row["person"]] for i, row in enumerate(first)])
    if "split" not in rows[0]:
        clusters = np.unique(record, return_inverse=True)[1]
        halves = halvings(clusters, bits, generator(seed, "halves that set thresholds"))
        return attacks, targets, first, bits, scores, halves, None, None
    given_ = [row for row in rows if row["split"] != "test"]
    own = {row.get("target", "target") for row in given_} == set(targets)
    held, blocks = {attack: [] for attack in attacks}, []
    for target in targets if own else [None]:
        for attack in attacks:
            some = [
                row for row in given_
                if row.get("attack", "score") == attack and (not own or row.get("target", "target") == target)
            ]  # fmt: skip
            if "id" in rows[0]:
                some.sort(key=lambda row: (row.get("target", ""), row.get("model", ""), row["id"]))
            held[attack].append(np.array([ranked(row["score"]) for row in some]))
            if attack == attacks[0]:
                blocks.append(np.array([row["is_member"] for row in some], bool))
    return attacks, targets, first, bits, scores, blocks, held, list(range(len(targets))) if own else len(targets) * [0]


@st.composite
def tables(draw):
    """Rows of a valid table: which columns it has, how many of each, odd scores, and perhaps in any order."""
    n, a, t = draw(st.integers(8, 14)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    split = draw(st.sampled_from(["", "own", "model", "shared"]))
    has = {name: draw(st.booleans()) for name in ("id", "person", "group")}
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    whole = draw(st.booleans())
    odd = [None, np.inf, -np.inf, 0.0, 1.0]

    def key(letter, i):
        return int(i) - 3 if whole else f"{letter}{i}"

    def rows_of(target, kind, numbers, models=(None,)):
        found = {attack: [] for attack in range(a)}
        for model in models:
            member = rng.random(len(numbers)) < 0.5
            member[:4] = [True, False, True, False]
            for attack in range(a):
                for i, is_member in zip(numbers, member, strict=True):
                    row = {
                        "score": odd[rng.integers(5)] if rng.random() < 0.2 else round(float(rng.normal()), 3),
                        "is_member": bool(is_member),
                    }
                    row |= {"attack": f"attack {attack}"} if a > 1 else {}
                    row |= {"target": target} if t > 1 or split == "shared" else {}
                    row |= {"id": key("r", i)} if has["id"] else {}
                    row |= {"person": key("p", i // 2)} if has["person"] else {}
                    row |= {"group": "=1+1" if i % 3 else "<b>é</b>"} if has["group"] else {}
                    row |= {"split": kind} if split else {}
                    row |= {"model": model or target} if split == "model" else {}
                    found[attack].append(row)
        return found

    parts = [rows_of(f"t{i}", "test", range(n)) for i in range(t)]
    if split == "own":
        parts += [rows_of(f"t{i}", "calibration", range(20, 26 + i)) for i in range(t)]
    elif split == "model":
        parts += [rows_of(f"t{i}", "calibration", range(n), ("m1", "m2")) for i in range(t)]
    elif split == "shared":
        parts += [rows_of(f"s{i}", "calibration", range(n)) for i in range(2)]
    rows = [row for attack in range(a) for part in parts for row in part[attack]]
    if has["id"] and draw(st.booleans()):
        rows = [rows[i] for i in rng.permutation(len(rows))]
    return rows


def same_multiset(bits, scores, other_bits, other_scores):
    """Equal (bit, score of every attack) rows, whatever their order."""

    def rows(b, s):
        return sorted(zip(b.ravel().tolist(), s.ravel().tolist(), strict=True))

    return rows(bits, scores) == rows(other_bits, other_scores)


def check_against_twin(table, rows, seed):
    attacks, targets, first, bits, scores, blocks, held, which = twin(rows, seed)
    assert (list(table.attacks), list(table.targets)) == (attacks, targets)
    np.testing.assert_array_equal(table.truth.is_member, bits)
    for attack in attacks:
        np.testing.assert_array_equal(table.scores[attack], scores[attack])
        for i, block in enumerate(blocks if held else ()):
            assert same_multiset(
                table.calibration.is_member[i], table.calibration.scores[attack][i], block, held[attack][i]
            )
        every = [row["score"] for row in rows if row.get("attack", "score") == attack]
        finite = [one for one in every if one is not None]
        kinds = [bool(row["is_member"]) for row in rows if row.get("attack", "score") == attack]
        absent = [bit for bit, one in zip(kinds, every, strict=True) if one is None]
        by_class = [(one.count(False), one.count(True)) for one in (absent, kinds)]
        counts = (by_class[0], finite.count(-np.inf), finite.count(np.inf), by_class[1])
        assert table.counts[attack] == Counts(*counts)
    if held is None:
        assert isinstance(table.calibration, CrossFit)
        np.testing.assert_array_equal(table.calibration.halves, blocks)
        np.testing.assert_array_equal(table.calibration.is_member, bits)
    else:
        assert table.calibration.block.tolist() == which
    assert table.calibration.source == "split"
    persons = [row.get("person", i) for i, row in enumerate(first)]
    together = np.array([[p == q for q in persons] for p in persons])
    np.testing.assert_array_equal(table.truth.record[:, None] == table.truth.record[None], together)
    assert table.persons == (len(set(persons)) if "person" in rows[0] else None)
    assert (table.groups is None) == ("group" not in rows[0])
    if table.groups is not None:
        assert table.groups.tolist() == [row["group"] for row in first]
        assert table.group_names == tuple(dict.fromkeys(row["group"] for row in first))
    if "id" in rows[0] and isinstance(rows[0]["id"], int):
        assert table.truth.ids.tolist() == [row["id"] for row in first]
    assert len(set(table.truth.ids.tolist())) == len(first)


@settings(MANY, max_examples=240)
@given(
    rows=tables(), spelling=st.sampled_from(SPELT), ending=st.sampled_from([".csv", ".parquet"]), seed=st.integers(0, 9)
)
def test_the_reader_is_its_slow_twin(rows, spelling, ending, seed, tmp_path):
    spelt = [
        row | {"is_member": row["is_member"] if ending == ".parquet" else spelling[row["is_member"]]} for row in rows
    ]
    path = write(tmp_path / f"table{ending}", spelt)
    table = attempt(path, seed)
    if isinstance(table, str):  # four persons may have all members in one half, in every draw
        assert "got none in 41 draws" in table
        assert not len(twin(rows, seed)[5])
    else:
        check_against_twin(table, rows, seed)


BREAKS = ["drop row", "repeat row", "flip bit", "junk", "empty", "rename", "drop column", "person", "target"]


def broken(rows, breaks, rng):
    """A table with mistakes."""
    rows = [dict(row) for row in rows]
    for kind in breaks:
        at = int(rng.integers(len(rows)))
        columns = list(rows[0])
        name = columns[rng.integers(len(columns))]
        if kind == "drop row" and len(rows) > 1:
            del rows[at]
        elif kind == "repeat row":
            rows.insert(at, dict(rows[rng.integers(len(rows))]))
        elif kind == "flip bit" and "is_member" in columns:
            rows[at]["is_member"] = not rows[at]["is_member"]
        elif kind in ("junk", "empty"):
            rows[at][name] = "\u202e=cmd()\x07" if kind == "junk" else None
        elif kind == "rename":
            rows = [{("x" + key if key == name else key): value for key, value in row.items()} for row in rows]
        elif kind == "drop column" and len(columns) > 1:
            rows = [{key: value for key, value in row.items() if key != name} for row in rows]
        elif kind in rows[0]:
            rows[at][kind] = rows[rng.integers(len(rows))][kind]
    return rows


@settings(MANY, max_examples=280)
@given(
    rows=tables(),
    breaks=st.lists(st.sampled_from(BREAKS), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    ending=st.sampled_from([".csv", ".csv", ".parquet"]),
)
def test_a_broken_table_is_read_or_refused_in_one_printable_line(rows, breaks, seed, ending, tmp_path):
    rows = broken(rows, breaks, np.random.default_rng(seed))
    if ending == ".parquet":
        kept = [{key: value for key, value in row.items() if key != "score"} for row in rows]
        kept = [{key: None if value is None else str(value) for key, value in row.items()} for row in kept]
        scored = not any(isinstance(row.get("score", ""), str) for row in rows)  # else a column of two types
        rows = [one | ({"score": row["score"]} if scored else {}) for one, row in zip(kept, rows, strict=True)]
        header = [name for name in rows[0] if all(name in row for row in rows)]
    else:
        header = list(rows[0])
    path = write(tmp_path / f"table{ending}", rows, header=header)
    table = attempt(path)
    if isinstance(table, str):
        assert table.isprintable()  # one line, too
        assert table.startswith(str(path))
        return
    assert not any(np.isnan(values).any() for values in table.scores.values())
    assert all(0 < bits.sum() < bits.size for bits in (table.truth.is_member, *table.calibration.is_member))


@settings(MANY, max_examples=200)
@given(rows=tables(), seed=st.integers(0, 10**6), ending=st.sampled_from([".csv", ".csv", ".parquet"]))
def test_damaged_bytes_give_a_data_error_or_a_table(rows, seed, ending, tmp_path):
    path, rng = write(tmp_path / f"table{ending}", rows), np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(data)))
        odd = [b'"', b",", b"\n", b"\r", b"\x00", b"\xff", b"\xe2\x80\xae", b"nan", b"1e999", b"'", b"\t"]
        data[at : at + int(rng.integers(0, 3))] = odd[rng.integers(len(odd))]
    path.write_bytes(data[: len(data) - int(rng.integers(0, 3)) * len(data) // 4])
    table = attempt(path)
    if isinstance(table, str):
        assert table.isprintable()
        return
    assert 0 < table.truth.is_member.sum() < table.truth.is_member.size


def test_columns_of_different_lengths_are_one_line(tmp_path, monkeypatch):
    """As the footer of a damaged file may say, though each column can be read."""
    from pyarrow import parquet

    read = parquet.ParquetFile.read
    path = write(
        tmp_path / "table.parquet", [{"score": 0.5, "is_member": bit, "id": str(bit)} for bit in (True, False)]
    )
    monkeypatch.setattr(
        parquet.ParquetFile, "read", lambda file, columns: read(file, columns=columns)[: 1 if "id" in columns else 2]
    )
    assert attempt(path) == f"{path}: all columns must have as many rows, got 1 to 2: write it again as Parquet"


# What is read.


def test_a_plain_table_and_its_halves(tmp_path):
    table = read(tmp_path, simple(40), "my scores.csv")
    assert (table.name, table.attacks, table.targets) == ("my scores", ("score",), ("target",))
    assert table.truth.is_member.shape == (1, 40)
    halves = table.calibration.halves
    assert halves.shape == (41, 40)
    assert (halves[:, table.truth.is_member[0]].sum(1) == 10).all()
    assert (halves.sum(1) == 20).all()
    assert (table.persons, table.groups, table.group_names, table.notes) == (None, None, (), ())
    other = read(tmp_path, simple(40), "my scores.csv", seed=1)
    assert not np.array_equal(other.calibration.halves, halves)
    assert other.fingerprint == table.fingerprint
    assert table.truth.ids.tolist() == other.truth.ids.tolist() == list(range(40))


def test_persons_are_never_in_both_halves(tmp_path):
    table = read(tmp_path, simple(60, person=lambda i: f"p{i // 3}"))
    assert table.persons == 20
    assert (np.bincount(table.truth.record) == 3).all()
    halves = table.calibration.halves.reshape(41, 20, 3)
    assert (halves == halves[:, :, :1]).all()


def test_rehearsals_of_each_target_give_its_threshold_as_in_a_recipe(tmp_path):
    rng, n = np.random.default_rng(1), 60
    values, bits = rng.normal(size=(2, n)), rng.random((2, n)) < 0.5
    rehearsed, known = rng.normal(size=(2, 3, n)) + np.arange(2)[:, None, None], rng.random((3, n)) < 0.5
    rows = [
        {"target": f"t{t}", "model": f"t{t}", "id": i, "split": "test", "score": values[t, i], "is_member": bits[t, i]}
        for t in range(2) for i in range(n)
    ] + [
        {"target": f"t{t}", "model": f"m{k}", "id": i, "split": "calibration", "score": rehearsed[t, k, i],
         "is_member": known[k, i]}
        for t in range(2) for k in range(3) for i in range(n)
    ]  # fmt: skip
    for ending in (".csv", ".parquet"):
        table = read(tmp_path, rows, f"table{ending}")
        np.testing.assert_array_equal(table.scores["score"], values)
        expected = [shadow_threshold(rehearsed[t], known, 0.1) for t in range(2)]
        np.testing.assert_array_equal(table.calibration.thresholds("score", 0.1), expected)
        assert table.notes == ()
    without = [{key: value for key, value in row.items() if key != "model"} for row in rows]
    with pytest.raises(DataError, match=r"a record must not set the threshold that judges it, got id 0 of target 't0'"):
        read(tmp_path, without)


def test_the_format_does_not_change_the_fingerprint_and_a_cell_does(tmp_path):
    rows = simple(12, id=lambda i: f"r{i}", attack=lambda _: "a")
    prints = [read(tmp_path, some, name).fingerprint for some, name in (
        (rows, "a.csv"), (rows, "b.parquet"), ([dict(reversed(row.items())) for row in rows], "c.csv"),
        ([row | {"more": 1} for row in rows], "d.csv"),
    )]  # fmt: skip
    assert len(set(prints)) == 1
    for change in ({"score": 9}, {"id": "r99"}, {"is_member": 0}):
        assert read(tmp_path, [rows[0] | change, *rows[1:]]).fingerprint != prints[0]


def test_missing_and_infinite_scores_are_ranked_and_counted(tmp_path):
    cells = ["", "nan", "NA", "null", "-inf", "inf", "1e999", "0.5"]
    rows = [{"score": cell, "is_member": i % 2, "split": kind} for kind in ("test", "calibration")
            for i, cell in enumerate(cells)]  # fmt: skip
    table = read(tmp_path, rows)
    assert table.counts == {"score": Counts((4, 4), 2, 4, (8, 8))}
    assert table.scores["score"].tolist() == [[-np.inf] * 5 + [np.inf] * 2 + [0.5]]


def test_whole_numbers_and_odd_texts_as_ids(tmp_path):
    for ids in (["1", "2", "x", "", "3", "4", "5", "6"], ["1", "2", "NA", "3", "4", "5", "6", "7"]):
        rows = simple(8, id=lambda i, ids=ids: ids[i])
        if "" in ids:
            with pytest.raises(DataError, match=r"column 'id' must be filled in, got an empty cell in row 3"):
                read(tmp_path, rows)
        else:
            assert len(read(tmp_path, rows).truth.ids) == 8
    big = read(tmp_path, simple(8, id=lambda i: str(2**63 + i)))
    assert len(set(big.truth.ids.tolist())) == 8


def test_hostile_text_stays_text(tmp_path):
    names = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "{{7*7}}", "שלום", "a,b", 'say "x"', "../../etc"]
    rows = [row | {"attack": name, "extra\x1b[31m": "x"} for name in names for row in simple(8)]
    table = read(tmp_path, rows)
    assert table.attacks == tuple(names)
    assert table.notes == ("Columns that were not read: 'extra\\x1b[31m'.",)
    notes = "a text\nof two lines, quoted"
    assert len(read(tmp_path, [row | {"note": notes} for row in simple(8)]).truth.ids) == 8


def test_unknown_columns_are_listed(tmp_path):
    rows = [row | {f"extra{i}": 1 for i in range(7)} for row in simple(8)]
    assert read(tmp_path, rows).notes == (
        "Columns that were not read: 'extra0', 'extra1', 'extra2', 'extra3', 'extra4' and 2 more.",
    )


def test_persons_on_both_sides_of_a_stated_split_are_noted(tmp_path):
    rows = [row | {"split": kind, "person": f"p{i % 4}{kind[:i % 2]}", "id": f"{kind}{i}"}
            for kind in ("test", "calibration") for i, row in enumerate(simple(8))]  # fmt: skip
    assert read(tmp_path, rows).notes == (
        "2 persons have records that set a target's threshold and records that it judges.",
    )


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.float32(), pa.float64(), pa.bool_(), pa.dictionary(pa.int8(), pa.string())]
)
def test_parquet_types(kind, tmp_path):
    bits, scores = [0, 1] * 10, np.arange(20.0)
    bits = pa.array([str(bit) for bit in bits]).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(bits)
    table = pa.table({
        "score": pa.array(scores, pa.float32()), "is_member": bits.cast(kind),
        "person": pa.array(np.arange(20) // 2 * 1.0), "target": pa.array(np.zeros(20, np.int64)),
        "group": pa.array(["a", "b"] * 10).dictionary_encode(), "attack": pa.array(["x"] * 20, pa.large_string()),
    })  # fmt: skip
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    found = read_scores(path, seed=0)
    assert (found.targets, found.attacks, found.persons) == (("0",), ("x",), 10)
    assert sorted(found.group_names) == ["a", "b"]


# What is refused.

# SM stands for score,is_member.
REFUSED = {
    "score;is_member\n1;1\n": r"columns must be separated by ',', got ';': separate the columns by commas",
    "": r"needs a header line and rows, got an empty file",
    "SM\n": r"needs rows, got a header and none",
    "scores,is_member\n1,1\n": r"needs a column 'score', got none: did you mean 'scores'\?",
    "score,member\n1,1\n": r"needs a column 'is_member', got none: did you mean 'member'\?",
    "SM,score\n1,1,1\n": r"column names must be distinct, got 'score' twice",
    "SM,Attack\n1,1,a\n": r"unknown column 'Attack', did you mean 'attack'\?",
    "SM,spilt\n1,1,test\n": r"unknown column 'spilt', did you mean 'split'\?",
    "SM\n1,1\n2,0,9\n": r"must have 2 cells like the header, got 3 in line 3",
    "SM\n1,1\nhigh,0\n": r"column 'score' must be a number, got 'high' in row 1",
    "SM\n1,1\n2,maybe\n": r"column 'is_member' must be 0 or 1, got 'maybe' in row 1",
    "SM\n1,1\n2,\n": r"column 'is_member' must be 0 or 1, got an empty cell in row 1",
    "SM\n1,1\n2,2\n": r"must be 0 or 1, got '2' in row 1: write 0/1, true/false, yes/no or member/nonmember",
    "SM\n1,1\n2,1\n": r"the rows must have members and non-members, got 2 members and 0 non-members",
    "SM\n1,1\n2,0\n": r"needs at least 2 members when halves of the records set thresholds for each other, got 1",
    "SM,attack\n1,1,a\n2,0,\n": r"column 'attack' must be filled in, got an empty cell in row 1",
    "SM,attack\n1,1,a\x07\n2,0,a\n": r"column 'attack' must be printable text, got 'a\\x07' in row 0",
    "SM,group\n1,1,a\u202eb\n2,0,a\n": r"column 'group' must be printable text, got 'a\\u202eb' in row 0",
    f"SM,target\n1,1,a\n2,0,{'x' * 81}\n": r"must be at most 80 characters long, got 81, got 'xxx.* in row 1",
    "SM,split\n1,1,train\n": r"column 'split' must be calibration or test, got 'train' in row 0",
    "SM,split\n1,1,test\n1,0,test\n": r"needs calibration rows, got test rows only",
    "SM,split\n1,1,calibration\n": r"needs rows to be measured, got calibration rows only",
    "SM,split\n1,1,test\n1,0,test\n1,1,calibration\n": r"calibration rows of target 'target' must have",
    "SM,attack\n1,1,a\n2,0,a\n1,1,b\n": r"got 2 rows of attack 'a', target 'target' and 1 of attack 'b'",
    "SM,attack\n1,1,a\n2,0,a\n1,0,b\n2,1,b\n": r"is_member of a record must agree .* in row 2 than in row 0: add",
    "SM,attack,target\n1,1,a,t\n2,0,b,u\n": r"got no row of attack 'a', target 'u'",
    "SM,id\n1,1,a\n2,0,b\n3,0,a\n": r"got 'a' 2 times in attack 'score', target 'target' \(row 2\)",
    "SM,id,attack\n1,1,7,a\n2,0,8,a\n3,1,7,b\n": r"got 8 in 1 of 2 and not in attack 'b', target 'target'",
    "SM,id,attack\n1,1,p,a\n2,0,q,a\n3,1,p,b\n1,0,r,b\n": r"got 'q' in 1 of 2 and not in attack 'b'.*2 such",
    "SM,id,attack,person\n1,1,p,a,x\n2,0,q,a,y\n3,1,p,b,x\n1,0,q,b,z\n": r"person of a record must agree",
    "SM,id,attack,group\n1,1,p,a,x\n2,0,q,a,y\n3,1,p,b,x\n1,0,q,b,z\n": r"group of a record must agree",
    "SM,split,attack\n1,1,test,a\n1,0,test,a\n1,1,calibration,b\n": r"got one kind only of 'a'",
    "SM,split,target\n1,1,test,a\n1,0,test,a\n1,1,test,b\n1,0,test,b\n1,1,calibration,a\n": r"example 'b'",
    "SM,split,attack\n1,1,test,a\n1,0,test,a\n1,1,test,b\n1,0,test,b\n1,1,calibration,a\n1,0,calibration,a\n"
    "1,1,calibration,b\n": r"all attacks must have the same calibration rows",
    "SM,id,split,model\n1,1,p,test,m\n1,0,q,test,m\n1,1,p,calibration,m\n1,0,r,calibration,n\n": r"got id 'p'",
    "SM,id,split,model\n1,1,p,test,m\n1,0,q,test,m\n1,1,p,calibration,\n1,0,r,calibration,n\n": r"got id 'p'",
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refused(text, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        text_of(tmp_path, text.replace("SM", "score,is_member", 1))
    assert str(caught.value).isprintable()


def test_files_that_are_no_tables(tmp_path):
    for name, made, message in (
        ("none.csv", None, "must be a file, got none"),
        ("table.xlsx", b"PK", r"must end in .csv or .parquet, got '.xlsx'"),
        ("noise.csv", b"\xff\xfe\x00s", "must be readable, got UnicodeDecodeError"),
        ("cell.csv", b"score,is_member,group\n1,1,\xff\n" + b"1,0,a\n" * 3000, "must be readable"),
        ("noise.parquet", b"PAR1 no", "must be readable"),
        ("long.csv", b"x" * 200_000 + b"\n", "must be readable, got Error: field larger"),
    ):
        if made is not None:
            (tmp_path / name).write_bytes(made)
        with pytest.raises(DataError, match=message):
            read_scores(tmp_path / name, seed=0)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="must be a file, got a folder"):
        read_scores(tmp_path / "folder.csv", seed=0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("score", pa.array(["a", "b"]), "'score' must be numbers, got string"),
        ("score", pa.array([[1.0], [2.0]]), "'score' must be numbers, got list"),
        ("is_member", pa.array([0.5, 1.0]), "0 or 1, got '?0.5'? in row 0"),
        ("is_member", pa.array([None, 1]), "0 or 1, got an empty cell in row 0"),
        ("id", pa.array([1.5, 2.0]), "column 'id' must be whole numbers of at most 9007199254740992, or text, got 1.5"),
        ("id", pa.array([None, 2]), "'id' must be filled in, got an empty cell in row 0"),
        ("person", pa.array([b"\xff", b"a"]), "column 'person'.*write it as UTF-8 text"),
        ("group", pa.array([{"a": 1}, {"a": 2}]), "'group' must be text or whole numbers, got struct"),
    ],
)
def test_parquet_columns_of_other_types_are_refused(column, values, message, tmp_path):
    columns = {"score": pa.array([1.0, 2.0]), "is_member": pa.array([0, 1])} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "t.parquet", seed=0)


def test_too_many_names_are_refused(tmp_path):
    rows = [row | {"attack": f"a{i}"} for i in range(1001) for row in simple(4)[1:3]]
    with pytest.raises(DataError, match="'attack' must have at most 1000 different names, got 1001"):
        read(tmp_path, rows)


def test_very_many_targets_take_no_loop_over_rows(tmp_path):
    n = 20_000  # targets of two records, two attacks
    at = np.arange(4 * n)
    columns = {"score": at / 1.0, "is_member": at % 2, "target": at // 2 % n, "id": at % 2}
    columns["attack"] = np.repeat(["a", "b"], 2 * n)
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="needs at least 2 members when halves of the records set"):
        read_scores(tmp_path / "t.parquet", seed=0)


BIG = 1_700_000_000_000_000_000
CLOSE = {
    "counters": ([BIG + 1, BIG + 2, BIG + 3], pa.int64()),
    "beyond int64": ([2**63 + 1, 2**63 + 2, 2**64 - 1], pa.uint64()),
    "far apart": ([-BIG, BIG + 1, BIG + 2], pa.int64()),
    "decimals": ([Decimal("0.123456789012345678901"), Decimal("0.123456789012345678902"), Decimal("0.5")], None),
    "mixed": (["-0.5", "1700000000000000001", "1700000000000000002"], None),
    "digits": (["0.99999999999999999998", "0.99999999999999999999", "1"], None),
    "beyond uint64": (["-1", "36893488147419103233", "36893488147419103234"], None),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLOSE)
def test_scores_that_float64_would_merge_keep_their_order(kind, tmp_path):
    values, type_ = CLOSE[kind]
    cells = [values[i % 3] for i in range(40)] + [None]
    bits = [i % 2 for i in range(41)]
    texts = kind in ("mixed", "digits", "beyond uint64")
    if kind != "decimals":  # a CSV file has floats unless they are large
        path = tmp_path / "t.csv"
        rows = zip(["" if one is None else one for one in cells], bits, strict=True)
        path.write_text("score,is_member\n" + "".join(f"{score},{bit}\n" for score, bit in rows))
    found = [] if kind == "decimals" else [read_columns(path)]
    if not texts:
        pq.write_table(pa.table({"score": pa.array(cells, type_), "is_member": bits}), tmp_path / "t.parquet")
        found.append(read_columns(tmp_path / "t.parquet"))
    for columns in found:
        assert columns.score[:-1].tolist() == [i % 3 for i in range(40)]
        assert np.isnan(columns.score[-1])
        assert columns.notes[0].startswith("Scores stand for their ranks")


def test_large_scores_that_stay_apart_stay_as_they_are(tmp_path):
    (tmp_path / "t.csv").write_text("score,is_member\n0.1000000000000000055511151231257827,0\n0.2,1\n")
    columns = read_columns(tmp_path / "t.csv")
    assert (columns.score.tolist(), columns.notes) == ([0.1, 0.2], ())
    for values in ([1e300, -1e300], [BIG, BIG + 512], [float("inf"), float(BIG)], [2**53, 2**53 + 2]):
        table = pa.table({"score": [values[i % 2] for i in range(20)], "is_member": [i % 2 for i in range(20)]})
        pq.write_table(table, tmp_path / "t.parquet")
        csv_file.write_csv(table, tmp_path / "t.csv")
        for name in ("t.csv", "t.parquet"):
            columns = read_columns(tmp_path / name)
            assert columns.score[:2].tolist() == [float(one) for one in values]
            assert columns.notes == ()


def as_numbers(table):
    """What a report is made of: clusters, bits, scores, and what sets thresholds."""
    parts = [table.truth.record, table.truth.is_member, *table.scores.values(), table.calibration.is_member[0]]
    return [part.tolist() for part in (*parts, *table.calibration.scores["score"])] + [table.persons]


# Persons of two records each, in no order, as the CSV file spells them and as Parquet columns may hold them.
WHOLE_KEYS = [31, 7, 204, -5, 0, 12, 99, 1000, 3, 58, 6, 20]
HUGE = [2**63 + 31 - i for i in range(12)]
KEYS_AS = {
    "text": (WHOLE_KEYS, [str(one) for one in WHOLE_KEYS], pa.string()),
    "large text": (WHOLE_KEYS, [str(one) for one in WHOLE_KEYS], pa.large_string()),
    "text in a dictionary": (WHOLE_KEYS, [str(one) for one in WHOLE_KEYS], pa.dictionary(pa.int8(), pa.string())),
    "int64": (WHOLE_KEYS, WHOLE_KEYS, pa.int64()),
    "int16": (WHOLE_KEYS, WHOLE_KEYS, pa.int16()),
    "float64": (WHOLE_KEYS, WHOLE_KEYS, pa.float64()),
    "float16": (WHOLE_KEYS, WHOLE_KEYS, pa.float16()),
    "floats in both": ([f"{one}.0" for one in WHOLE_KEYS], WHOLE_KEYS, pa.float64()),
    "uint64": (HUGE, HUGE, pa.uint64()),
    "uint64 in text": (HUGE, [str(one) for one in HUGE], pa.string()),
    "padded": ([f"{one:05d}" for one in WHOLE_KEYS], [f"{one:05d}" for one in WHOLE_KEYS], pa.string()),
}


@pytest.mark.parametrize("kind", KEYS_AS)
@pytest.mark.parametrize("column", ["person", "id"])
def test_keys_give_the_same_numbers_from_csv_and_parquet(kind, column, tmp_path):
    spelt, values, type_ = KEYS_AS[kind]
    times = 2 if column == "person" else 1
    at = [i % 12 for i in range(12 * times)]
    rows = [{"score": i / 7, "is_member": int(i % 12 < 6), column: spelt[k]} for i, k in enumerate(at)]
    numbers = np.array([values[k] for k in at], np.float16) if kind == "float16" else [values[k] for k in at]
    keys = pa.array(numbers, type_ if "uint64" in kind else None)
    keys = keys.dictionary_encode() if "dictionary" in kind else keys.cast(type_)
    table = pa.table({name: [row[name] for row in rows] for name in ("score", "is_member")} | {column: keys})
    pq.write_table(table, tmp_path / "t.parquet")
    one, two = read(tmp_path, rows, "t.csv"), read_scores(tmp_path / "t.parquet", seed=0)
    assert as_numbers(one) == as_numbers(two)
    assert len(set(one.truth.record.tolist())) == 12
    assert (one.fingerprint == two.fingerprint) == (kind != "floats in both")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("pair", [("7", "00007"), ("7", "+7"), ("7", " 7"), ("7", "7.0"), ("31", "0x1F"), ("0", "-0")])
def test_keys_that_are_spelt_otherwise_are_others(pair, ending, tmp_path):
    persons = [*pair, "1", "2", "3", "4", "5", "6"]
    rows = simple(8, person=lambda i: persons[i], split=lambda _: "test")
    rows += [row | {"split": "calibration"} for row in rows]
    assert read(tmp_path, rows, f"t{ending}").persons == 8


@pytest.mark.parametrize(
    ("type_", "values", "said"),
    [
        (pa.float64(), [1.5, 2.0], r"'id' must be whole numbers of at most 9007199254740992, or text, got 1.5: write"),
        (pa.float64(), [2.0**53 + 2, 2.0], r"at most 9007199254740992, or text, got 9007199254740994.0"),
        (pa.float32(), [2.0**24 + 2, 2.0], r"at most 16777216, or text, got 16777218.0"),
        (pa.float64(), [float("inf"), 2.0], r"or text, got inf"),
    ],
)
def test_floats_that_may_have_merged_keys_are_refused(type_, values, said, tmp_path):
    columns = {"score": pa.array([1.0, 2.0]), "is_member": pa.array([0, 1]), "id": pa.array(values, type_)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=said):
        read_scores(tmp_path / "t.parquet", seed=0)
