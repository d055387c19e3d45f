"""The first card of six verdicts at all doors: twelve answers in words of a stored list, and numbers that agree."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import example
import numpy as np
import pytest
from audits import QUICK, gaussian, material
from flat import own_view, problems, render, result

from dosimeter.cli.app import main
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.sentences import first_page
from dosimeter.families.membership.sentences import first_page_numbers as numbers
from dosimeter.families.membership.table.summary import scores_summary
from dosimeter.families.membership.table.table import read_scores
from dosimeter.pipeline import table as table_module
from dosimeter.results.rounding import round_numbers

WORDS = tomllib.loads((Path(__file__).parent / "first_page.toml").read_text("utf-8"))
ROWS = tuple(row for row in QUICK if row.id in ("loss", "constant", "count"))
SIZES = {"n": 300, "z": 40, "shadows": 10, "targets": 4}
QUESTIONS = (
    "tested", "leak", "count", "wrong", "attacker", "see", "sure", "checks", "deployed", "worst", "version", "next",
)  # fmt: skip


def recipe(leakage: float, **sizes: Any) -> Material:
    """Of a recipe that leaks so much."""
    made = material(*gaussian(sizes.pop("seed", 1), leakage=leakage, **(SIZES | sizes)), rows=ROWS)
    return dataclasses.replace(made, summary={**made.summary, "name": "holiday", "noun": "photo"})


def supplied(leakage: float, blind: float, **sizes: Any) -> Material:
    """Of a supplied model whose members are told apart so well without it."""
    made = recipe(leakage, **{"targets": 1, "shadows": 8} | sizes)
    stage = {"stage": "target", "data": "photos", "model": "net.pt", "transfer": "given", "given": True}
    chain = [{**stage, "at_risk": True, "settings": {}}]
    member, rng = made.truth.is_member[0], np.random.default_rng(0)
    return dataclasses.replace(
        made,
        summary={**made.summary, "door": "model", "chain": chain},
        blind=blind * member + rng.normal(size=len(member)),
    )


def scores(shift: float, n: int = 700, **odd: Any) -> Material:
    """Of a table of scores of `n` records, half of them members, whose scores are shifted so much."""
    rng = np.random.default_rng(odd.pop("seed", 3))
    member = np.arange(n) % 2 == 0
    values = rng.normal(size=n) + shift * member
    for name in odd:
        values[~member & (rng.random(n) < 0.3)] = {"missing": np.nan}[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holiday.csv"
        lines = [
            f"{i},{'' if np.isnan(v) else v},{int(m)}" for i, (v, m) in enumerate(zip(values, member, strict=True))
        ]
        path.write_text("\n".join(["id,score,is_member", *lines]), encoding="utf-8")
        table = read_scores(path, seed=0)
    summary = scores_summary(table, key="0" * 24, seed=0, noun="photo", leading_fpr=0.01)
    return table_module.table_material(table, summary)


def cheated(made: Material) -> Material:
    """The same with an attack that has read the design."""
    assert made.null_truth is not None
    return dataclasses.replace(made, null_scores={**made.null_scores, "loss": made.null_truth.is_member.astype(float)})


CASES: dict[tuple[str, str], Callable[[], Material]] = {
    ("recipe", "shown"): lambda: recipe(4.0),
    ("recipe", "shown by ranks"): lambda: recipe(0.6),
    ("recipe", "not shown"): lambda: recipe(0.0),
    ("recipe", "not resolvable"): lambda: recipe(3.0, n=20, targets=1, z=20),
    ("recipe", "withdrawn"): lambda: cheated(recipe(4.0)),
    ("model", "shown"): lambda: supplied(4.0, 0.0),
    ("model", "shown by ranks"): lambda: supplied(1.2, 0.0),
    ("model", "gain only"): lambda: supplied(4.0, 0.6),
    ("model", "not shown"): lambda: supplied(0.0, 0.0),
    ("model", "not resolvable"): lambda: supplied(3.0, 0.0, n=20, z=20),
    ("model", "withdrawn"): lambda: supplied(0.0, 2.0),
    ("scores", "shown"): lambda: scores(2.0),
    ("scores", "shown by ranks"): lambda: scores(0.4),
    ("scores", "not shown"): lambda: scores(0.0),
    ("scores", "not resolvable"): lambda: scores(2.0, n=40),
    ("scores", "withdrawn"): lambda: scores(2.0, missing=True),
}
every_case = pytest.mark.parametrize("case", CASES, ids=" ".join)


@cache
def content(case: tuple[str, str]) -> Any:
    """The result, as it is read from its file."""
    return json.loads(json.dumps(round_numbers(result(CASES[case]()))))


@cache
def page(case: tuple[str, str]) -> str:
    """The report."""
    return render(content(case), example.provenance())


def plain(html: str) -> str:
    """The text of a page."""
    text = re.sub(r"<[^>]*>", " ", html).replace("&#34;", '"').replace("&#39;", "'").replace("\xa0", " ")
    return re.sub(r"\s+", " ", text)


def card(case: tuple[str, str]) -> str:
    """The first card."""
    found = re.search(r'<section class="verdict".*?</section>', page(case), re.DOTALL)
    assert found is not None
    return found[0]


def shown_answers(case: tuple[str, str]) -> dict[str, str]:
    """Of each question the answer that stands in the first card."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", card(case), re.DOTALL)
    ids = [one["id"] for one in content(case)["verdict"]["answers"]]
    assert len(pairs) == len(ids)
    return {name: plain(answer) for name, (_, answer) in zip(ids, pairs, strict=True)}


@every_case
def test_the_case_is_what_its_name_says(case):
    told = content(case)["verdict"]
    kind = {"shown by ranks": "shown", "gain only": "shown"}.get(case[1], case[1])
    assert (content(case)["door"], told["status"]) == (case[0], kind.replace(" ", "_"))
    measure = {"shown": "tpr", "shown by ranks": "auc", "gain only": "gain", "not shown": "tpr"}.get(case[1])
    assert told.get("lead", {}).get("measure") == measure
    assert problems(content(case)) == []


@every_case
def test_twelve_answers_stand_in_the_first_card_in_the_words_of_the_list(case):
    found = shown_answers(case)
    assert tuple(found) == QUESTIONS
    door, verdict = case
    for question, answer in found.items():
        rules = [
            WORDS[asked][key]
            for asked in ("every", question)
            for key in ("every", door, verdict, f"{door} {verdict}")
            if key in WORDS[asked]
        ]
        assert len(rules) > 1, f"the list says nothing of {question} for {case}"
        for rule in rules:
            assert [one for one in rule.get("required", ()) if one not in answer] == [], f"{question}: {answer}"
            assert [one for one in rule.get("forbidden", ()) if one in f" {answer} "] == [], f"{question}: {answer}"


@every_case
def test_a_leak_that_is_not_shown_has_no_lower_end_that_is(case):
    text = plain(card(case))
    if case[1] in ("not shown", "not resolvable", "withdrawn"):
        assert "Shown: " not in text
        assert "Leak shown" not in text
    else:
        assert text.count("Shown: ") == 1
    if case[1] == "not shown":
        assert "Seen " in text


@every_case
def test_the_lower_end_of_what_is_shown_is_more_than_guessing_gives(case):
    lead = content(case)["verdict"].get("lead")
    if lead is not None and lead["shown"]:
        assert lead["low"] > lead["guess"]
        large = [float(one) for one in re.findall(r'class="figure">\+?([\d.]+)', card(case))]
        printed = large[-1] if lead["measure"] == "gain" else large[0]
        assert printed > (lead["guess"] if lead["measure"] == "auc" else 100 * lead["guess"])


MEASURED = [case for case in CASES if case[1] in ("shown", "shown by ranks", "not shown")]


@pytest.mark.parametrize("case", MEASURED, ids=" ".join)
def test_one_quantity_has_one_number(case):
    """The large number, the answers and the table of attacks write the interval alike."""
    text = plain(page(case))
    table = plain(re.search(r'<section id="attacks">.*?</section>', page(case), re.DOTALL)[0])
    sure = shown_answers(case)["sure"]
    low, high = re.search(r"(?:interval is|AUC of) ([\d.]+) to ([\d.]+)", sure).groups()
    assert f"{low} to {high}" in table
    figures = re.findall(r'class="figure">\+?([\d.]+)', card(case))
    assert figures[1] == high
    assert case[1] == "not shown" or figures[0] == low
    wager = re.search(r"If 1 in 100 candidates was used (.*?) accusations would be wrong", text)
    if case[1] == "shown":
        assert f"where 1 in 100 candidates was used, {wager[1]} accusations are wrong" in shown_answers(case)["wrong"]
        assert f"{wager[1]} accusations would be wrong" in plain(content(case)["verdict"]["sentences"][1])


def test_the_exposure_of_the_first_page_is_that_of_the_table():
    made = recipe(4.0, targets=8, shadows=16)
    persons = np.arange(300) // 10
    data = {**made.summary["data"], "persons": 30}
    made = dataclasses.replace(made, persons=persons, summary={**made.summary, "data": data})
    told = json.loads(json.dumps(round_numbers(result(made))))
    worst = plain(next(one["answer"] for one in told["verdict"]["answers"] if one["id"] == "worst"))
    html = render(told, {})
    table = plain(re.search(r'<section id="exposure">.*?</table>', html, re.DOTALL)[0])
    low, high = re.search(r"of any person: shown at least ([\d.]+ %), not excluded up to ([\d.]+ %)", worst).groups()
    assert f"30 persons {low} {high}" in table
    assert "The data name no persons" not in worst
    count = next(one["answer"] for one in told["verdict"]["answers"] if one["id"] == "count")
    assert "of 30 persons in the data" in count
    assert f"each for itself: {told['exposure']['persons']['shown']} of 30." in count


NOTHING = numbers.Outcome("not_shown", "none", None, None, None, None, None, (), None, 0.4, False, None)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"p": 0.4}, "Chance explains what was seen (p = 0.4)"),
        ({"p": 0.06}, "The smaller p-value is 0.06; the rule asks for 0.025 or less and for an interval beyond chance"),
        (
            {"p": 0.012},
            "A small p-value (p = 0.012) alone shows none: the rule also asks for an interval beyond chance",
        ),
        (
            {"p": 0.012, "alike": True, "blind": {"gain_low": -0.011, "gain_high": 0.05}},
            "not shown to be above what somebody tells who never asks the model (gain -1.1 to +5.0 points of AUC)",
        ),
    ],
)
def test_why_a_result_is_no_leak_depends_on_what_decided(changed, told):
    found = numbers.leak(dataclasses.replace(NOTHING, **changed), "photo", 4)
    assert told in found
    assert ("Chance explains" in found) == (changed["p"] > 0.1)


def test_of_whom_a_leak_is_shown_is_told_where_that_was_asked():
    found = dataclasses.replace(NOTHING, status="shown", by="rate", p=0.001)
    again = "training again would leak too"
    assert again not in numbers.leak(found, "photo", 2)
    models = dataclasses.replace(found, scope="models")
    assert f"shown of these 2 models, and not that {again}" in numbers.leak(models, "photo", 2)
    assert again not in numbers.leak(models, "photo", 1)  # said elsewhere: of this trained model only
    recipe = numbers.leak(dataclasses.replace(found, scope="recipe"), "photo", 8)
    assert "Models that are trained again in this way would leak too, on average." in recipe
    told = numbers.leak(dataclasses.replace(models, by="test"), "photo", 2)
    assert told.startswith("Yes, but an exact test does not show how much")


def gates(**count):
    """So many checks of each status."""
    return [
        {"id": f"P{number}", "name": f"{status} {number}", "status": status}
        for status, many in count.items()
        for number in range(many)
    ]


def test_checks_are_counted_and_the_first_are_named():
    assert first_page.checks(gates()) == "No check was run."
    assert first_page.checks(gates(**{"pass": 18})) == "Yes: 18 passed."
    told = plain(first_page.checks(gates(**{"pass": 18, "warn": 1})))
    assert told == "Yes, but read the warnings: 18 passed, 1 warning. Warned: warn 0 (P0)."
    told = plain(first_page.checks(gates(**{"pass": 2, "warn": 5, "fail": 1})))
    assert told.startswith("No: 2 passed, 5 warnings, 1 failure. Failed: fail 0 (P0). Warned: warn 0 (P0);")
    assert told.endswith("and 2 more.")


@pytest.mark.parametrize(
    ("provenance", "told"),
    [
        ({}, "Audited; on which day is not known."),
        ({"versions": {"dosimeter": "1.2"}}, "Audited with dosimeter 1.2; on which day is not known."),
        ({"started": "2026-11-29T06:37:04+00:00", "versions": {"dosimeter": "1.2"}},
         "Audited on 29 November 2026 with dosimeter 1.2."),
        ({"started": "yesterday", "versions": "none"}, "Audited; on which day is not known."),
        ({"started": {"a": 1}}, "Audited; on which day is not known."),
    ],
)  # fmt: skip
def test_the_date_comes_from_the_provenance(provenance, told):
    stored = [{"id": "version", "question": "Which model, and when?", "answer": "The recipe."}]
    (found,) = first_page.add_date(stored, provenance)
    assert found.answer == f"The recipe. {told}"


def test_a_result_of_an_earlier_version_is_told_by_its_sentences():
    old = example.shown()
    text = plain(render(old, {}))
    assert "answers" not in old["verdict"]
    assert "What was tested?" not in text
    for sentence in old["verdict"]["sentences"]:
        assert plain(sentence) in text
    assert "Shown: at least" in text


def test_an_earlier_result_whose_rate_is_no_more_than_guessing_is_told_by_its_auc():
    old = example.shown()
    for row in old["estimates"]:
        if row["metric"] == "tpr" and row["fpr"] == 0.01 and row["attack"] == "lira-online":
            row |= {"value": 0.012, "low": 0.008, "high": 0.02}
    text = plain(render(old, {}))
    assert "Shown: at least 0.8" in text  # of the AUC, 0.812
    assert "Only the ranks show the leak." in text
    assert "by ranks with 16 shadow models" in text


LARGE = {"shown": True, "value": 0.041, "low": 0.0043, "high": 0.08, "level": 0.95, "guess": 0.0}
STRANGER = {
    "auc": 0.63, "low": 0.6, "high": 0.66, "level": 0.95, "p": 0.001, "attack_auc": 1.0, "gain": 0.37,
    "gain_low": 0.3416, "gain_high": 0.4, "n": 300, "shifted": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("lead", "figures", "told"),
    [
        ({"measure": "difference"}, ["+0.4", "+8.0"], "the share of used photos recognised, less the share of unused"),
        ({"measure": "tpr", "shown": False, "low": 0.0}, ["4.1 %", "8.0 %"], "of the used photos recognised"),
        ({"measure": "gain"}, ["1.000", "0.630", "+0.4"], "points of AUC that the model adds"),
        (
            {"measure": "rate_gain"},
            ["1.000", "0.630", "+0.4"],
            "points more used photos recognised at equal accusations",
        ),
    ],
)
def test_every_kind_of_large_number_has_its_words(lead, figures, told):
    whole = content(("recipe", "shown"))
    verdict = {**whole["verdict"], "lead": {**LARGE, **lead}}
    html = render({**whole, "verdict": verdict, "blind": STRANGER}, {})
    found = re.search(r'<section class="verdict".*?</section>', html, re.DOTALL)[0]
    assert [plain(one) for one in re.findall(r'class="figure">(.*?)</span>', found)] == figures
    assert told in plain(found)
    assert ("Shown: " in plain(found)) == lead.get("shown", True)


def worst(**changed):
    """The answer about one person, of a result that is changed so."""
    told = own_view(content(("recipe", "shown")))
    details = {**told["details"], **{key: value for key, value in changed.items() if key != "data"}}
    told |= {"details": details, "data": changed.get("data", told["data"])}
    found = first_page.answers(told, members=150)
    return plain(next(one.answer for one in found if one.id == "worst"))


def test_the_worst_case_comes_from_persons_records_and_canaries():
    unsaid = {"status": "not_measurable", "reason": "one training", "first": "", "persons": None}
    told = worst(exposure=unsaid)
    assert told.startswith("The data name no persons. Not known of any single one: one training says nothing about it.")
    assert "can hide a photo that is recognised every time" in told
    planted = {"status": "ok", "low": 0.41, "high": 0.9, "tpr": 0.7}
    told = worst(exposure=unsaid, canaries=[{**planted, "low": 0.1, "tpr": 0.3}, planted, {"status": "refused"}])
    assert "Of planted canaries, chosen to be easy to find, 70 % are recognised (41 to 90 %)." in told
    assert "can hide" not in told
    data = {**content(("recipe", "shown"))["data"], "persons": 30}
    assert "name no persons" not in worst(exposure=unsaid, data=data)


def test_who_is_asked_about_a_stage_that_others_follow():
    told = content(("recipe", "shown"))
    chain = [*told["chain"], {**told["chain"][0], "stage": "deployed", "at_risk": False}]
    found = {one.id: plain(one.answer) for one in first_page.answers(own_view({**told, "chain": chain}), members=150)}
    assert found["deployed"].endswith("The answers came from the last stage, “deployed”.")
    assert "stages s, deployed" in found["version"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
FRAMES = """<body style="margin:0"><script>
const found = [];
for (const name of NAMES) {
  const frame = document.createElement("iframe");
  frame.style = "width:WIDTHpx;height:800px;border:0";
  frame.src = name;
  frame.onload = () => {
    const page = frame.contentDocument;
    const height = page.querySelector("section.verdict").getBoundingClientRect().height;
    found.push([name, height, page.documentElement.scrollWidth]);
    if (found.length == NAMES.length) document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
  };
  document.body.appendChild(frame);
}
</script></body>"""


def seen(folder: Path, width: int) -> list[tuple[str, float, int]]:
    """Name, height of the first card and width of all, of every page of a folder, in a window so wide."""
    names = sorted(path.name for path in folder.glob("*.html") if path.stem != "frames")
    frames = folder / "frames.html"
    frames.write_text(FRAMES.replace("NAMES", json.dumps(names)).replace("WIDTH", str(width)), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=60000", "--dump-dom",
         frames.as_uri()],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return [tuple(one) for one in json.loads(re.search(r"FOUND(.*)END", done.stdout, re.DOTALL)[1])]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for case in CASES:
        (folder / f"{'-'.join(case).replace(' ', '_')}.html").write_text(page(case), encoding="utf-8")
    return folder


@pytest.mark.slow
@browser
def test_the_first_card_is_at_most_one_screen_and_a_half_on_a_desktop(pages, record_figure):
    found = seen(pages, 1280)
    assert len(found) == len(CASES)
    record_figure("height of the first card at 1280 px", most=max(height for _, height, _ in found), pages=len(found))
    assert [name for name, height, _ in found if height > 1200] == []
    assert [name for name, _, width in found if width > 1280] == []


@pytest.mark.slow
@browser
def test_nothing_is_wider_than_a_phone(pages):
    assert [name for name, _, width in seen(pages, 390) if width > 390] == []


@pytest.mark.slow
@browser
def test_a_demo_is_printed_on_at_most_eight_pages(tmp_path, record_figure):
    places = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store")]
    assert main(["demo", "--quiet", "--workers", "1", *places]) == 0
    printed = tmp_path / "report.pdf"
    flags = ["--headless", "--no-sandbox", "--no-pdf-header-footer", f"--user-data-dir={tmp_path / 'browser'}"]
    report = (tmp_path / "run" / "report.html").as_uri()
    subprocess.run([str(CHROMIUM), *flags, f"--print-to-pdf={printed}", report], check=True, timeout=300)
    count = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    record_figure("pages of the demo's report when printed", pages=count)
    assert 0 < count <= 8
