"""Entries of public lists that a finding maps to. No list certifies anything: say "maps to", never "complies with"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Fit = Literal["equal", "superset", "relevant"]
FITS: Mapping[Fit, str] = {"equal": "same thing", "superset": "ours is one case of it", "relevant": "related entry"}
"""Kinds of fit of an entry, in the words of SARIF and in plain words."""


@dataclass(frozen=True)
class Entry:
    """One entry of a list.

    Attributes:
        source: the list.
        version: as read.
        publisher: publisher of the list.
        id: id of the entry.
        name: official, or what stands in its place.
        fit: how it relates to our finding.
    """

    source: str
    version: str
    publisher: str
    id: str
    name: str
    fit: Fit

    @property
    def line(self) -> str:
        """The entry as text."""
        return f"{self.source} {self.version}: {self.id} {self.name} ({FITS[self.fit]})"


GENERAL: tuple[Entry, ...] = (
    Entry("NIST AI RMF", "1.0", "NIST", "MEASURE 2.7",
          "AI system security and resilience – as identified in the MAP function – are evaluated and documented.",
          "relevant"),
    Entry("NIST AI RMF", "1.0", "NIST", "MEASURE 2.10",
          "Privacy risk of the AI system – as identified in the MAP function – is examined and documented.",
          "relevant"),
)  # fmt: skip
"""Entries of every family. All entries here were read in the source's own text, or in verbatim copies that agree."""
_DISCLOSURE = Entry(
    "OWASP Top 10 for LLM Applications", "2025", "OWASP", "LLM02:2025", "Sensitive Information Disclosure", "superset"
)
_INFERENCE = Entry("MITRE ATLAS", "5.6.0", "MITRE", "AML.T0024.000", "Infer Training Data Membership", "superset")
MEMBERSHIP: tuple[Entry, ...] = (
    _INFERENCE,
    Entry("OWASP Machine Learning Security Top 10", "2023", "OWASP", "ML04:2023", "Membership Inference Attack",
          "equal"),
    _DISCLOSURE,
    Entry("OWASP AISVS", "1.0", "OWASP", "v1.0-C11.2.5", "level 3", "equal"),
    *GENERAL,
)  # fmt: skip
INVERSION: tuple[Entry, ...] = (
    Entry("MITRE ATLAS", "5.6.0", "MITRE", "AML.T0024.001", "Invert AI Model", "equal"),
    Entry("OWASP Machine Learning Security Top 10", "2023", "OWASP", "ML03:2023", "Model Inversion Attack", "superset"),
    _DISCLOSURE,
    Entry("OWASP AISVS", "1.0", "OWASP", "v1.0-C11.2", "Membership-Inference and Model-Inversion Mitigation (section)",
          "superset"),
    *GENERAL,
)  # fmt: skip
SPLIT: tuple[Entry, ...] = (_DISCLOSURE, *GENERAL)
"""No list names what crosses the cut of a model, so general entries stand here."""
EXCHANGE: tuple[Entry, ...] = (replace(_INFERENCE, fit="relevant"), *GENERAL)
"""Messages of joint training: ATLAS speaks of properties of training data too, but of the answers of an API."""
FAMILIES: Mapping[str, tuple[Entry, ...]] = {
    "membership": MEMBERSHIP,
    "inversion": INVERSION,
    "split": SPLIT,
    "exchange": EXCHANGE,
}


def entries(family: str) -> tuple[Entry, ...]:
    """Entries that findings of a family map to; a utility maps to nothing."""
    return FAMILIES.get(family, ())


def all_entries() -> tuple[Entry, ...]:
    """Entries that findings of any family map to, each once."""
    return tuple(dict.fromkeys(entry for own in FAMILIES.values() for entry in own))
