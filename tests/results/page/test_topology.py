"""The drawing of a topology: everything is drawn, told in words, escaped, and within the width of a phone."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from dosimeter.results.page.environment import environment
from dosimeter.results.page.topology import LETTER, WIDTH, drawing, in_words, topology_page

PHONE = 390
MARGINS = 2 * 16 + 2 * 1  # of a page and of a card at least


def found(parts, crossings, holds=()):
    """A topology of a result; parts as (name, party)."""
    parties = dict.fromkeys(party for _, party in parts)
    trust = ["full", "honest-but-curious", "malicious"]
    return {
        "parties": [
            {"name": name, "trust": trust[index % 3], "auxiliary": "others" if index else None}
            for index, name in enumerate(parties)
        ],
        "parts": [{"name": name, "stage": "train", "at": party} for name, party in parts],
        "holds": [{"party": party, "data": data, "attributes": []} for party, data in holds],
        "stages": [{"stage": "train", "parts": [name for name, _ in parts], "crossings": list(crossings)}],
        "risks": [
            {"adversary": ["server"], "learns": "the input", "data": "users", "holder": "phone", "attributes": ["sex"],
             "access": "features", "knows": "weights known", "threats": ["split"], "reason": "", "at_risk": "train"},
            {"adversary": ["a & b"], "learns": "the model", "data": None, "holder": None, "attributes": [],
             "access": "logits", "knows": "", "threats": [], "reason": "no attack <b>", "at_risk": "train"},
        ],
    }  # fmt: skip


def crossing(sender, receiver, sends="features", size=96):
    own = sends == "features"
    return {
        "from": sender, "to": receiver, "sends": sends, "cut": "2" if own else None, "shapes": [[24]] if own else [],
        "bytes": size,
    }  # fmt: skip


U_SHAPED = found(
    [("first", "phone"), ("middle", "server"), ("last", "phone")],
    [
        crossing("first", "middle"), crossing("middle", "last", size=32), crossing("last", "middle", "gradients", 32),
        crossing("middle", "first", "gradients"),
    ],
    [("phone", "users")],
)  # fmt: skip
LONG = found(
    [(f"a part with a very long name number {index} <&>", f"party number {index} of many") for index in range(7)],
    [crossing(f"a part with a very long name number {i} <&>", f"a part with a very long name number {j} <&>", size=None)
     for i in range(7) for j in range(7) if i != j],
    [("party number 3 of many", f"data {index}") for index in range(9)],
)  # fmt: skip
ALONE = found([("a", "phone"), ("b", "phone")], [])


@pytest.mark.parametrize("one", [U_SHAPED, LONG, ALONE], ids=["u-shaped", "long", "alone"])
def test_the_drawing_is_well_formed_and_fits_a_phone(one):
    (stage,) = one["stages"]
    root = ElementTree.fromstring(drawing(one, stage))
    _, _, width, height = map(float, root.get("viewBox").split())
    assert width == WIDTH <= PHONE - MARGINS
    for shape in root:
        kind = shape.tag
        if kind == "rect":
            assert float(shape.get("x")) + float(shape.get("width")) < width
            assert float(shape.get("y")) + float(shape.get("height")) < height
        elif kind == "text":
            wide = LETTER * len(shape.text or "")
            x = float(shape.get("x")) - (wide / 2 if shape.get("text-anchor") else 0)
            assert x >= 0
            assert x + wide <= width + 1
        elif kind == "circle":
            assert float(shape.get("cx")) + float(shape.get("r")) <= width
    assert len([shape for shape in root if shape.tag == "rect"]) == len(stage["parts"])


def test_adversaries_are_told_by_more_than_colour():
    (stage,) = U_SHAPED["stages"]
    boxes = ElementTree.fromstring(drawing(U_SHAPED, stage)).findall("rect")
    assert [one.get("stroke-dasharray") is not None for one in boxes] == [False, True, False]


def test_the_drawing_is_told_in_words():
    (stage,) = U_SHAPED["stages"]
    told = in_words(U_SHAPED, stage)
    assert "first is run by phone, who is trusted." in told
    assert "middle is run by server, who looks at what they see." in told
    assert "features after 2 cross from first to middle: 96 bytes." in told
    assert "gradients cross from last to middle: 32 bytes." in told
    root = ElementTree.fromstring(drawing(U_SHAPED, stage))
    assert (root.get("role"), root.get("aria-label")) == ("img", told)


def test_what_goes_back_has_the_number_of_its_line_in_the_table():
    page = topology_page({"topology": U_SHAPED})
    (stage,) = page["stages"]
    assert [(one["number"], one["what"], one["size"]) for one in stage["crossings"]] == [
        ("1", "features after 2", "96 bytes"), ("2", "features after 2", "32 bytes"), ("3", "gradients", "32 bytes"),
        ("4", "gradients", "96 bytes"),
    ]  # fmt: skip
    texts = [one.text for one in ElementTree.fromstring(str(stage["svg"])).findall("text")]
    assert {"3", "4"} <= set(texts)
    assert {"1: features after 2", "2: features after 2"} <= set(texts)


def test_names_are_escaped_on_the_page():
    page = environment().get_template("topology.html.j2").render(topology=topology_page({"topology": LONG}))
    assert not re.search(r"number \d <&>", page)
    assert "no attack &lt;b&gt;" in page
    assert "a &amp; b" in page
    assert page.count("<svg") == 1
    assert "threat split" in page
    assert "not tested" in page


def test_without_a_topology_there_is_nothing():
    assert topology_page({"topology": None}) is None
    assert topology_page({}) is None
