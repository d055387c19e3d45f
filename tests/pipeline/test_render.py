import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

import example
import pytest
from flat import render

from dosimeter.foundation.errors import StoreError
from dosimeter.pipeline.page import write_report

VARIANTS = {"shown": example.shown, "not_shown": example.not_shown, "tiny": example.tiny}
HEADINGS = [
    "Who the adversary is",
    "Attacks",
    "The headline attack at stricter rates",
    "What one accusation is worth",
    "Curves",
    "Utility: how well the model does its task",
    "May these numbers be believed?",
    "What was not tested",
    "How to read this",
    "Provenance",
    "Signature",
]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Walks a page: tags must nest, ids must be distinct; collects headings, texts and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.stack == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        self.ids += [value or "" for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.stack:
            self.texts.append((self.stack[-1], " ".join(data.split())))

    def of(self, tag: str) -> list[str]:
        return [text for inside, text in self.texts if inside == tag]

    @property
    def text(self) -> str:
        return " ".join(text for _, text in self.texts)


@cache
def page_of(name: str) -> str:
    return render(VARIANTS[name](), example.provenance())


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, Any], str]]:
    return VARIANTS[request.param](), page_of(request.param)


def test_sections_stand_in_order_after_the_first_sentence(variant):
    result, html = variant
    page = Page(html)
    assert page.of("h1") == [result["verdict"]["sentences"][0]]
    assert page.of("h2") == HEADINGS
    assert page.text.index(result["verdict"]["sentences"][0]) < page.text.index(HEADINGS[0])


def test_page_is_self_contained_and_prints_no_absent_value(variant):
    page = Page(variant[1])
    assert not page.tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert "http" not in re.sub(r'http-equiv="Content', "", variant[1])
    for _, key, value in page.attributes:
        assert not key.startswith("on")
        assert key not in ("href", "src") or value.startswith("#")
    assert "@import" not in variant[1]
    assert set(re.findall(r"url\((.)", variant[1])) <= {"#"}
    assert not re.search(r"\b(None|nan|NaN|null|inf|Undefined)\b", page.text)


def test_words_that_promise_too_much_never_occur(variant):
    assert not re.search(
        r"\b(safe|private|compliant|compliance|anonymous|certified safe|ε)\b", Page(variant[1]).text, re.I
    )


def test_same_input_gives_the_same_bytes(variant):
    assert render(copy.deepcopy(variant[0]), example.provenance()) == variant[1]


def test_links_inside_the_page_have_targets(variant):
    page = Page(variant[1])
    assert {value[1:] for _, key, value in page.attributes if key == "href"} <= set(page.ids)


def test_shown_has_two_ends_the_rate_reached_and_its_basis():
    html = page_of("shown")
    text = Page(html).text.replace("\xa0", " ")
    assert "Leak shown with 16 shadow models" in text
    assert "Shown: at least 13.7 % Not excluded: up to 16.6 %" in text
    assert "reached 1.12 % (0.86 to 1.46 %) of the unused" in text
    assert (
        "95 % interval (two-way bootstrap) · 40,000 member decisions · 5,000 distinct unused records · 8 targets"
        in text
    )
    assert "control, must be at chance" in text
    assert "not run: needs 1,000 population records" in text
    assert "If 1 in 100 candidates was used about 9 of 10 accusations would be wrong" in text
    assert html.count("<svg") == 2
    for label in (
        "false accusations (share of unused records)",
        "members recognised (share of members)",
        "guessing",
        "score (headline attack; higher = more likely member)",
        "share of records",
    ):
        assert f">{label}</text>" in html


def test_not_shown_always_names_the_shadows_and_what_could_be_missed():
    page = Page(page_of("not_shown"))
    text = page.text.replace("\xa0", " ")
    for found in re.finditer("Not shown ", text):
        assert text[found.end() :].startswith(
            "with 16 shadow models and 5,000 unused records; up to 1.62 % recognised is not excluded"
        )
    assert text.count("Not shown with") >= 2
    assert "this trained model only" in text
    assert "Shown: at least" not in text
    assert "Seen 1.12 % Not excluded: up to 1.62 %" in text


def test_not_shown_without_a_rate_says_so():
    result = example.tiny() | {"histograms": {}}
    result["verdict"]["status"] = "not_shown"
    text = Page(render(result, {})).text.replace("\xa0", " ")
    assert text.count("Not shown with 16 shadow models and 20 unused records; rate at 1 % not resolvable") >= 2
    assert "It says nothing in favour of the model." in text


def test_a_verdict_without_a_leading_rate_is_printed():
    result = example.tiny() | {"histograms": {}}
    result["verdict"]["fpr"] = None
    text = Page(render(result, {})).text.replace("\xa0", " ")
    assert "members recognised at 10 % false accusations is not resolvable" in text


def test_not_resolvable_is_no_zero_and_says_why():
    html = page_of("tiny")
    text = Page(html).text.replace("\xa0", " ")
    assert "Not resolvable with this much data" in text
    assert "Shown: at least" not in text
    assert "Smallest certified: 14 %." in text
    assert not re.search(
        r"\b0(\.0+)? %", Page(re.sub("<svg.*</svg>", "", html, flags=re.DOTALL)).text.replace("\xa0", " ")
    )
    assert html.count("<svg") == 1


def test_smallest_certified_rate_is_said_where_the_result_gives_no_reason():
    result = example.tiny()
    for row in result["estimates"]:
        row["reason"] = ""
    assert "20 distinct unused records can certify 14 % at the smallest" in Page(render(result, {})).text.replace(
        "\xa0", " "
    )


def test_withdrawn_shows_no_ends():
    result = example.shown() | {"curves": {}, "histograms": {}}
    result["verdict"] |= {"status": "withdrawn", "sentences": ["Withdrawn: a control beats chance."]}
    result["gates"][0]["status"] = "fail"
    text = Page(render(result, {})).text
    assert "Withdrawn: a validity check failed" in text
    assert "They must not be quoted." in text
    assert "Shown: at least" not in text
    assert text.index("✕ fail") < text.index("✓ pass")


EVIL = "<script>alert(1)</script>\u202egpj\x00\x1b[31m\u200b\ud800{{ 7*7 }}$x_1^2$&amp;\"q'"
EVIL_KEYS = (
    "name",
    "noun",
    "data",
    "model",
    "transfer",
    "mode",
    "paper",
    "reason",
    "message",
    "method",
    "split_",
    "views",
    "not_tested",
    "sentences",
    "stage",
    "at_risk",
    "access",
    "audit_key",
    "id",
    "attack",
    "variance",
)


def _poison(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k + (EVIL if k == "gamma" else ""): _poison(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_poison(item, key) for item in value]
    return EVIL + value if isinstance(value, str) and key in EVIL_KEYS else value


def test_hostile_names_stay_text():
    result = _poison(example.shown())
    for key in ("curves", "histograms"):
        result[key] = {EVIL + name: value for name, value in result[key].items()}
    provenance = {EVIL: {EVIL: EVIL}, "definitions": {EVIL: {EVIL: [EVIL, "a\nb"]}}, "git": EVIL}
    html = render(result, provenance)
    page = Page(html)
    assert "script" not in page.tags
    assert (
        "<script>alert(1)</script>[U+202E]gpj[U+0000][U+001B][31m[U+200B][U+D800]{{ 7*7 }}$x_1^2$&amp;\"q'" in page.text
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    html.encode("utf-8")


def test_every_optional_part_may_be_missing():
    result = example.shown() | {
        "chain": [],
        "attacks": [],
        "estimates": [],
        "utility": [],
        "gates": [],
        "null_audit": [],
        "curves": {},
        "histograms": {},
        "not_tested": [],
    }
    result["verdict"] |= {"status": "not_resolvable", "attack": None, "p_auc": None, "p_tpr": None}
    result["threat"] |= {"shadows": 0, "population": 0, "views": []}
    page = Page(render(result, {}))
    assert page.of("h2") == HEADINGS
    assert "No provenance.json came with this result" in page.text


def test_provenance_is_printed_whole():
    more = {"mine": {"deep": [1, {"a": None}]}, "hashed": {"kind": "models"}, "data_sha256": "ab5f", "audit_key": "k"}
    text = Page(render(example.tiny(), example.provenance() | more)).text
    for piece in (
        "0ead48f6d1c2",
        "torch 2.6.0",
        "2026-11-03T09:12:44Z",
        "root 0",
        "41c0ffee",
        '"kind": "models"',
        "ab5f",
        "deep 1, a = not set",
    ):
        assert piece in text


def test_write_report(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(example.tiny()), encoding="utf-8")
    assert write_report(tmp_path) == tmp_path / "report.html"
    (tmp_path / "provenance.json").write_text(json.dumps(example.provenance()), encoding="utf-8")
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert html == page_of("tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["provenance.json", "report.html", "result.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "result.json: not found in the run folder: run `dosimeter measure` first"),
        ("{", "result.json: is not valid JSON"),
        ("[1, NaN]", "holds NaN"),
        ("[]", "result.json: result: must be object, got array"),
        ('{"schema": 4}', "result.json: schema: must be 3, got 4"),
        ('{"schema": 1}', r"audit_key: is missing \(and \d+ more\)"),
    ],
)
def test_write_report_refuses_in_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=message) as caught:
        write_report(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(tmp_path) not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_cannot_be_written_leaves_nothing_half(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(example.tiny()), encoding="utf-8")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StoreError, match="report.html: could not be written"):
        write_report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "result.json"]
