"""The twelve questions of a privacy officer, answered in words from the content of `result.json`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.families.membership.sentences import first_page_numbers as numbers
from dosimeter.results import words
from dosimeter.results.views import View
from dosimeter.results.words import plural

NOT_BELIEVED = "Not known: a check on the audit itself failed, so no number of it may be believed."
TOO_SMALL = "Not known: this audit cannot tell."
MOST_CHECKS = 3
"""Most checks that an answer names; the others are counted."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        id: which question.
        question: in words.
        answer: in words, one to four sentences.
    """

    id: str
    question: str
    answer: str


@dataclass(frozen=True)
class Subject:
    """The audited subject: data, models and adversary in words.

    Attributes:
        door: "recipe", "model" or "scores".
        noun: what one record is, in the singular.
        name: name of the audit.
        key: key of the audit.
        stages: names of the stages, in order of training.
        at_risk: the stage whose records are at risk.
        model: reference of the supplied model, or None.
        source: name of the data.
        targets: models measured.
        candidates: records judged.
        members: of them, used by each target.
        persons: in the data, None where they name none.
        texts: whether the model predicts tokens of texts, so that records have no labels.
    """

    door: str
    noun: str
    name: str
    key: str
    stages: tuple[str, ...]
    at_risk: str
    model: str | None
    source: str
    targets: int
    candidates: int
    members: int
    persons: int | None
    texts: bool = False

    @property
    def nouns(self) -> str:
        """The noun in the plural."""
        return plural(self.noun)

    @property
    def supplied(self) -> bool:
        """Returns whether membership was stated and not drawn."""
        return self.door != "recipe"


def subject(content: View, members: int) -> Subject:
    """The subject of a threat."""
    data, chain, adversary = content["data"], content["chain"], content["adversary"]
    return Subject(
        door=content["door"],
        noun=content["noun"],
        name=content["name"],
        key=content["audit_key"],
        stages=tuple(stage["stage"] for stage in chain),
        at_risk=content["at_risk"],
        model=chain[0]["model"] if content["door"] == "model" and chain else None,
        source=data["name"],
        targets=adversary["targets"],
        candidates=data["candidates"],
        members=members,
        persons=data["persons"],
        texts="vocabulary" in data,
    )


def answers(content: View, *, members: int, alike: bool = False) -> list[Answer]:
    """All answers, in the order of the page.

    Args:
        content: a threat with what is common to the run; its verdict has no answers yet.
        members: judged records that each target used.
        alike: the attack is above chance, but not above what somebody finds who never asks the model.
    """
    of, verdict = subject(content, members), content["verdict"]
    found = numbers.outcome(content, alike=alike)
    return [
        Answer("tested", "What was tested?", claim(of)),
        Answer("leak", "Is there a leak?", numbers.leak(found, of.noun, of.targets)),
        Answer("count", f"How many {of.nouns} and persons?", _count(of, found)),
        Answer("wrong", "How often is an accusation wrong?", _unless_void(found, numbers.wrong(found, of.noun))),
        Answer("attacker", "What does the attacker hold and see?", attacker(of, content["adversary"])),
        Answer("see", f"Can anybody see a {of.noun}?", see(of, content.get("details", {}).get("passages"))),
        Answer("sure", "How sure is this?", _unless_void(found, _sure(of, found, content))),
        Answer("checks", "Did the audit pass its own checks?", checks(content["gates"])),
        Answer("deployed", "Is this the deployed model?", deployment(of)),
        Answer("worst", "What is the worst case for one person?", _unless_void(found, _worst(of, content))),
        Answer("version", "Which model, and when?", version(of)),
        Answer("next", "What is to be done next?", upcoming(of, found, verdict)),
    ]


def _unless_void(found: numbers.Outcome, told: str) -> str:
    """The answer, or a remark if the audit's numbers must not be believed."""
    return {"withdrawn": NOT_BELIEVED, "not_resolvable": TOO_SMALL}.get(found.status, told)


def claim(of: Subject) -> str:
    """Text: what membership means, and in which training data."""
    where = {
        "recipe": f"the training data of the stage “{of.at_risk}”",
        "model": "the training data of the supplied model",
        "scores": "the training data of the model behind these scores",
    }[of.door]
    return (
        f"Membership: whether somebody can tell that a {of.noun} was in {where}. A member is a {of.noun} that was used "
        "in training. Nothing else was tested."
    )


def _count(of: Subject, found: numbers.Outcome) -> str:
    """Text: what was judged, and how much of it is recognised."""
    owners = "" if of.persons is None else f", of {of.persons:,} {plural('person', of.persons)} in the data"
    each = "the model" if of.targets == 1 else "each model"
    told = (
        f"Judged: {of.candidates:,} {plural(of.noun, of.candidates)}{owners}; {each} had used {of.members:,} of them. "
    )
    if of.persons is None:
        told += f"The data name no persons, so only {of.nouns} are counted. "
    if found.status in ("withdrawn", "not_resolvable"):
        return f"{told}How many are recognised is not known."
    return told + numbers.recognition(found, of.noun, of.members)


def attacker(of: Subject, threat: View) -> str:
    """Text: what the attacker holds, trains and sees."""
    if of.door == "scores":
        return "Not known: only scores were given, not how they were made."
    shadows = threat["shadows"] or 0
    by = "the training recipe" if of.door == "recipe" else "the training function"
    own = f"; with {by} they train {words.count(shadows, 'model')} of their own" if shadows else "; they train no model"
    seen = "; ".join(words.access(threat["access"] or "", texts=of.texts)) or "nothing"
    labels = "" if of.texts else " and their labels"
    return (
        f"They hold all {of.candidates:,} candidate {of.nouns}{labels}{own}. They see {seen}. They do not "
        f"know which {of.nouns} were used."
    )


def see(of: Subject, passages: View | None) -> str:
    """Text: membership inference shows nobody a record; a model of texts may have been asked for their ends."""
    alone = (
        f"Not by this attack. Somebody who already holds a {of.noun} learns whether it was used: it is recognised as "
        "training data."
    )
    if passages is None:
        return f"{alone} Whether the model gives away a {of.noun} itself was not tested."
    used, unused = (f"{one['exact']:,} of {one['of']:,}" for one in (passages["members"], passages["nonmembers"]))
    return (
        f"{alone} Asked for the last {passages['tokens']} tokens of a {of.noun} after those before them, the model "
        f"gave all of them for {used} used {of.nouns}, and for {unused} unused ones. Other "
        f"ways to draw a {of.noun} out of it were not tested."
    )


def _sure(of: Subject, found: numbers.Outcome, content: View) -> str:
    """Text: the interval, and what it covers."""
    told = [numbers.sure(found, of.noun)]
    if of.door == "recipe" and of.targets == 1:
        told.append("It speaks of this trained model only, not of another training run.")
    elif of.supplied:
        told.append("Membership was stated, not drawn: how the two sides were chosen is not in the interval.")
    limit = content["details"].get("detection_limit")
    return " ".join([*told, *([limit["sentence"]] if limit else [])])


def checks(gates: Sequence[View]) -> str:
    """Text: how many checks passed, and which did not."""
    if not gates:
        return "No check was run."
    failed, warned = ([gate for gate in gates if gate["status"] == status] for status in ("fail", "warn"))
    counts = [f"{len(gates) - len(failed) - len(warned)} passed"]
    counts += [words.count(len(warned), "warning")] * bool(warned) + [words.count(len(failed), "failure")] * bool(
        failed
    )
    whole = "No" if failed else "Yes, but read the warnings" if warned else "Yes"
    told = [f"{whole}: {', '.join(counts)}."]
    told += [f"Failed: {_gate_names(failed)}."] * bool(failed) + [f"Warned: {_gate_names(warned)}."] * bool(warned)
    return " ".join(told)


def _gate_names(gates: Sequence[View]) -> str:
    """Text: the first few checks by name."""
    named = "; ".join(f"{gate['name']} ({gate['id']})" for gate in gates[:MOST_CHECKS])
    return f"{named}; and {len(gates) - MOST_CHECKS} more" if len(gates) > MOST_CHECKS else named


def deployment(of: Subject) -> str:
    """Text: whether the numbers are about the deployed model or about models trained like it."""
    if of.door == "scores":
        models = "one model" if of.targets == 1 else f"{of.targets:,} models"
        return f"Not known: the table holds scores of {models}, and does not say which."
    if of.door == "model":
        told = "Yes, if the deployed model is the one that was supplied: it was asked itself."
        return f"{told} Nothing is known of another training run."
    models = f"{words.count(of.targets, 'model')} trained like it, by the same recipe"
    last = ""
    if of.stages and of.at_risk != of.stages[-1]:
        last = f" The answers came from the last stage, “{of.stages[-1]}”."
    each = "" if of.targets == 1 else "each "
    return f"No: {models}, {each}on a random half of the {of.nouns}. The deployed model itself was not asked.{last}"


def _worst(of: Subject, content: View) -> str:
    """Text: the most exposed person or record, and planted canaries."""
    told = [] if of.persons is not None else ["The data name no persons."]
    exposure = content["details"].get("exposure") or {}
    first = str(exposure.get("first", ""))
    if first:
        told.append(first)
    elif exposure.get("status") == "ok":
        told.append("Nothing can be said of any single one: each was in too few trainings.")
    else:
        told.append("Not known of any single one: one training says nothing about it.")
    planted = [row for row in content["details"].get("canaries") or () if row["status"] == "ok"]
    if planted:
        worst = max(planted, key=lambda row: row["low"])
        span = words.percent_range(worst["low"], worst["high"])
        told.append(
            f"Of planted canaries, chosen to be easy to find, {words.percent(worst['tpr'])} are recognised ({span})."
        )
    elif not first:
        told.append(f"The averages above can hide a {of.noun} that is recognised every time.")
    return " ".join(told)


def version(of: Subject) -> str:
    """Text: the audited model; its date is in `provenance.json` alone, see `add_date`."""
    key = f"audit key {of.key[:12]}"
    if of.door == "scores":
        return f"Not known: the table “{of.name}” names no model or version ({key}, a hash of the table)."
    if of.door == "model":
        which = f"The supplied model {of.model or of.name} ({key}, a hash of model, data and code)."
        return f"{which} When it was trained is not known."
    stages = f"{plural('stage', len(of.stages))} {', '.join(of.stages)}"
    return f"The recipe “{of.name}”, {stages} ({key}, a hash of data, code and settings)."


def add_date(told: Sequence[View], provenance: Mapping[str, Any]) -> list[Answer]:
    """The stored answers, with the date and the version of dosimeter that `provenance.json` has.

    Args:
        told: `verdict.answers` of `result.json`.
        provenance: the content of `provenance.json`; any key may be absent.
    """
    found = [Answer(one.get("id", ""), one["question"], one["answer"]) for one in told]
    versions = provenance.get("versions")
    tool = provenance.get("dosimeter") or (versions.get("dosimeter") if isinstance(versions, Mapping) else None)
    day, whose = _day(provenance.get("started")), "" if tool is None else f" with dosimeter {tool}"
    when = f"Audited{whose}; on which day is not known." if day is None else f"Audited on {day}{whose}."
    return [replace(one, answer=f"{one.answer} {when}") if one.id == "version" else one for one in found]


def _day(started: object) -> str | None:
    """A day in words, or None if the text is no date."""
    try:
        day = datetime.datetime.fromisoformat(str(started))
    except ValueError:
        return None
    return f"{day.day} {day:%B %Y}"


def upcoming(of: Subject, found: numbers.Outcome, verdict: View) -> str:
    """Text: what to do next, by verdict."""
    again = "Audit again when the model, its data or its training change."
    if found.status == "withdrawn":
        return "Quote no number. Correct what the failed check says, then audit again."
    if found.status == "not_resolvable":
        return f"Decide nothing from this audit. Audit again with more {of.nouns}, used and unused."
    if found.status == "not_shown":
        more = "" if of.door == "scores" else " or more models of the attacker"
        return f"Report what is not excluded, not “no leak”. If that is too much, audit more {of.nouns}{more}. {again}"
    more = ""
    if found.scope == "models" and of.door == "recipe":
        more = " To learn whether training again leaks too, audit more targets."
    defend = (
        "try a defense ([[defense]] rows), or give away less" if of.door == "recipe" else
        "retrain with a defense, or give away less, and audit that model"
    )  # fmt: skip
    whose = " Members and non-members of one source would show the leak alone." if found.by == "gain" else ""
    return f"Treat the leak as real in the data protection assessment. Before release, {defend}.{whose}{more} {again}"
