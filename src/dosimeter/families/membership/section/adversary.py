"""The threat model in plain words: who the adversary is, the chain of models, and the words of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dosimeter.results import words

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Target", "The model that is audited, or one of several trained by the same recipe that stand for it."),
    (
        "Shadow model",
        "A model that the adversary trains by the same recipe on random halves of the records, to learn what a model "
        "looks like when a record was used and when it was not.",
    ),
    ("Member, non-member", "A record that was used to train the target; one that was not (an unused record)."),
    (
        "Members recognised (TPR)",
        "Of all members, the share that the attack calls members. The true positive rate.",
    ),
    (
        "False accusations (FPR)",
        "Of all unused records, the share that the attack wrongly calls members. The false positive rate.",
    ),
    (
        "Threshold set beforehand",
        "The adversary has to decide above which score to accuse. Here that is fixed on shadow models, or without any "
        "on other records than those that are judged, as a real adversary would have to. The rate reached on the "
        "target can therefore differ from the one aimed at.",
    ),
    (
        "Choice of the other halves",
        "Without shadow models random halves of the records choose the strongest attack for each other. If they choose "
        "different ones, a record is judged by those that the halves without it chose.",
    ),
    (
        "Oracle threshold",
        "The same decision made with the true answers in hand. No adversary has them: it bounds what luck with the "
        "threshold could add.",
    ),
    (
        "Shown at least, not excluded up to",
        "The two ends of the interval. The audit has shown the lower end; it cannot rule out anything below the upper "
        "end.",
    ),
    (
        "Not resolvable",
        "There are too few unused records to tell so small a rate from luck. It does not mean zero.",
    ),
    (
        "AUC",
        "The probability that a random member gets a higher score than a random unused record; 0.5 is guessing. It "
        "averages over all records, so it can look harmless while a few records are fully exposed.",
    ),
    (
        "Control",
        "An attack that cannot know anything, such as a constant score. If it beats chance, the audit is wrong.",
    ),
    (
        "Blind baseline",
        "Classifiers that see the records and never ask the model. What they can tell is no leak of the model: members "
        "and non-members differ by themselves.",
    ),
    (
        "Null audit",
        "All attacks run again under a made-up membership that no model was trained on. If one beats chance, the audit "
        "is wrong.",
    ),
    (
        "This trained model only",
        "With one target, the interval covers the luck of drawing records. Training again could give a different "
        "number.",
    ),
    (
        "What a score is not",
        "A high score for one record is no proof that this record was used. The rates describe many records together. "
        "They are measured with particular attacks, so a stronger adversary could reach more, and they are no "
        "differential-privacy guarantee.",
    ),
)


KNOWN = {
    "finetuning-data": "the very records of the transfer",
    "initialisation": "the weights that the pretraining starts from",
}
"""Words for the values of `threat.knows`."""


@dataclass(frozen=True)
class StageBox:
    """One box of the chain."""

    name: str
    lines: tuple[tuple[str, str], ...]
    given: bool
    at_risk: bool


def chain(result: Mapping[str, Any]) -> list[StageBox]:
    """The stages in order of training."""
    boxes = []
    for stage in result["chain"]:
        lines = [(key, stage[key]) for key in ("data", "model", "transfer") if stage[key]]
        lines += [
            (key, words.setting(value)) for key, value in sorted(stage["settings"].items()) if value not in ([], {})
        ]
        boxes.append(StageBox(stage["stage"], tuple(lines), stage["given"], stage["at_risk"]))
    return boxes


def _later_stages(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about the stages between the one at risk and the queried model; empty if there are none."""
    at_risk = next((index for index, stage in enumerate(result["chain"]) if stage["at_risk"]), len(result["chain"]))
    later = result["chain"][at_risk + 1 :]
    if not later:
        return []
    names = ", ".join(f"“{stage['stage']}”" for stage in later)
    text = f"The model at risk is not deployed: it is trained further in {names}, and the last model answers."
    knows = result["adversary"].get("knows") or ()
    told = [one for key, one in KNOWN.items() if key in knows]
    own = "Of that they know the recipe and where the records come from"
    text += f" {'They know ' + ' and '.join(told) if told else own}."
    private = [stage["stage"] for stage in later if "privacy" in stage["settings"]]
    if private:
        text += (
            f" Differential privacy in “{private[0]}” bounds what is told of that stage's own records; it promises "
            "nothing for the records at risk."
        )
    return [("In between", text)]


def facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about the adversary: what they want, see, hold and do, each as label and sentence."""
    threat, data, noun = result["adversary"], result["data"], result["noun"]
    persons = "" if data["persons"] is None else f", of {words.count(data['persons'], 'person')}"
    judged = (
        f"{words.count(data['candidates'], 'candidate')} from “{data['name']}” "
        f"({words.count(data['records'], 'record')}{persons})."
    )
    if result["door"] == "scores":
        return [
            ("Wants to know", f"Was this {noun} among the training data?"),
            ("Sees, holds, trained", "Not known: only scores were given, not how they were made."),
            ("Judged by", f"{judged} {_targets(threat['targets'])}"),
            ("Kind of audit", _kind(result)),
        ]
    views = ", ".join("as it is" if view == "identity" else view for view in threat["views"]) or "as it is"
    queries = words.count(len(threat["views"]) or 1, "query").replace("querys", "queries")
    holds = _held(result)
    asked = "the stage" if result["door"] == "recipe" else "the supplied model"
    at_risk = f" “{result['at_risk']}”" if result["door"] == "recipe" else ""
    return [
        ("Wants to know", f"Was this {noun} among the training data of {asked}{at_risk}?"),
        ("Sees", _sentence("; ".join(words.access(threat["access"] or "", texts="vocabulary" in data)))),
        ("Asks the model", f"{queries} for each {noun}: {views}.{_moved_copies(result)}"),
        ("Holds", holds + _informed_rows(result)),
        ("Trained", _own_models(result)),
        *_later_stages(result),
        *_passages(result),
        *_forced(result),
        (
            "Judged by",
            f"{judged} Each target was trained on {data['members_per_target']:,} records. "
            f"{_targets(threat['targets'])}",
        ),
        ("Kind of audit", _kind(result)),
    ]


def _passages(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many texts a language model continues word for word, used ones and others; nothing if nobody asked."""
    found = result.get("details", {}).get("passages")
    if found is None:
        return []

    def told(part: Mapping[str, Any]) -> str:
        return f"{part['exact']:,} of {part['of']:,} ({words.percent_range(part['low'], part['high'])})"

    people = [part.get("persons") for part in (found["members"], found["nonmembers"])]
    whose = " and ".join(f"{one['exact']:,} of {one['of']:,}" for one in people if one)

    return [
        (
            "Word for word",
            f"Asked for the last {found['tokens']} tokens of a text after those before them, the targets gave all of "
            f"them for {told(found['members'])} texts that they had used, and for {told(found['nonmembers'])} that "
            "they had never seen, which shows how many anybody could continue so."
            + (f" These are texts of {whose} persons." if whose else ""),
        )
    ]


def _forced(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many scores of EZ-MIA a rule sets where the text cannot; nothing where it did not run."""
    told = []
    for name, found in result.get("details", {}).get("forced", {}).items():
        parts = [
            f"{sum(part[kind] for kind in ('certain', 'not_lowered', 'not_raised')):,} of {part['of']:,} for {of}"
            for of, part in (("used texts", found["members"]), ("texts never seen", found["nonmembers"]))
        ]
        certain, low, high = (
            sum(part[kind] for part in found.values()) for kind in ("certain", "not_lowered", "not_raised")
        )
        told.append(
            f"{name} sets {' and '.join(parts)} by a rule: {certain:,} at the top since the target errs nowhere, "
            f"{low:,} high since no wrong token lost anything, {high:,} low since none gained."
        )
    return [("Forced scores", " ".join(told))] if told else []


def _held(result: Mapping[str, Any]) -> str:
    """Text: the records that they hold."""
    threat, data, noun = result["adversary"], result["data"], result["noun"]
    known = (
        f"as its tokens (of {data['vocabulary']:,})"
        if "vocabulary" in data
        else (f"with its true class (1 of {data['classes'] or 0:,})")
    )
    holds = f"Every candidate {noun} {known}."
    if threat["population"]:
        holds += f" Also {words.count(threat['population'], 'record')} that are known to be outside every model."
    if threat.get("labelled"):
        holds += (
            f" They also know of {words.count(threat['labelled'], 'further record')} whether the target was trained "
            "on it; no attack judges these."
        )
    return holds


def who(result: Mapping[str, Any]) -> str:
    """The adversary in a few words."""
    if result["door"] == "scores":
        return "Not known: only scores were given"
    texts = "vocabulary" in result["data"]
    seen = "; ".join(words.access(result["adversary"]["access"] or "", texts=texts)) or "nothing"
    return f"Somebody who sees {seen}, with {words.tried(result['door'], result['adversary']['shadows'])}"


def _moved_copies(result: Mapping[str, Any]) -> str:
    """Text: queries that an attack adds by asking for moved copies; empty if none does."""
    ran = [one["settings"]["queries"] for one in result["attacks"] if _runs(one) and one["name"] == "Boundary"]
    return f" The boundary attack asks for up to {max(ran):,} moved copies besides." if ran else ""


def _informed_rows(result: Mapping[str, Any]) -> str:
    """Text: what only the adversary of rows marked "informed" holds; empty if there is no such row."""
    if not any(_runs(one) and one["mode"] == "informed" for one in result["attacks"]):
        return ""
    return " The adversary of rows marked informed, and no other, also holds all other training records of the target."


def _runs(attack: Mapping[str, Any]) -> bool:
    """Returns whether an attack was run and not refused."""
    return bool(attack["status"] == "ok")


def _kind(result: Mapping[str, Any]) -> str:
    """Text: whether membership was drawn in many runs, drawn in one run, or stated (P12)."""
    if result["door"] != "recipe":
        return "No experiment (zero-run): membership was stated by the user, and no run drew it."
    if result["adversary"]["targets"] == 1:
        return "One-run: membership of all candidates was drawn together, and one model was trained on it."
    return f"Multi-run: membership was drawn anew for each of {result['adversary']['targets']:,} targets, in pairs."


def _own_models(result: Mapping[str, Any]) -> str:
    """Text: the adversary's own models."""
    shadows = result["adversary"]["shadows"]
    if not shadows:
        return "None."
    how = "by the same recipe" if result["door"] == "recipe" else "by the training function that came with the model"
    return f"{words.count(shadows, 'shadow model')}, {how}, each on a random half of the records."


def _sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + "." if text else "Nothing."


def _targets(n: int) -> str:
    """Text: how many models were measured."""
    return "1 target was measured: this trained model only." if n == 1 else f"{n:,} targets were measured."
