"""Entries of public lists that a finding maps to. No list certifies anything: say "maps to", never "complies with"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


MEMBERSHIP: tuple[Entry, ...] = (
    Entry("MITRE ATLAS", "5.6.0", "MITRE", "AML.T0024.000", "Infer Training Data Membership", "superset"),
    Entry("OWASP Machine Learning Security Top 10", "2023", "OWASP", "ML04:2023", "Membership Inference Attack",
          "equal"),
    Entry("OWASP Top 10 for LLM Applications", "2025", "OWASP", "LLM02:2025", "Sensitive Information Disclosure",
          "superset"),
    Entry("OWASP AISVS", "1.0", "OWASP", "v1.0-C11.2.5", "level 3", "equal"),
    Entry("NIST AI RMF", "1.0", "NIST", "MEASURE 2.7",
          "AI system security and resilience – as identified in the MAP function – are evaluated and documented.",
          "relevant"),
    Entry("NIST AI RMF", "1.0", "NIST", "MEASURE 2.10",
          "Privacy risk of the AI system – as identified in the MAP function – is examined and documented.",
          "relevant"),
)  # fmt: skip
"""Entries that were read in the source's own text, or in independent verbatim copies that agree."""


INVERSION: tuple[Entry, ...] = (
    Entry("MITRE ATLAS", "5.6.0", "MITRE", "AML.T0024.001", "Invert AI Model", "equal"),
    Entry("OWASP Machine Learning Security Top 10", "2023", "OWASP", "ML03:2023", "Model Inversion Attack", "superset"),
    MEMBERSHIP[2],
    Entry("OWASP AISVS", "1.0", "OWASP", "v1.0-C11.2", "Membership-Inference and Model-Inversion Mitigation (section)",
          "superset"),
    *MEMBERSHIP[4:],
)  # fmt: skip
"""Entries of model inversion, read in the same way."""
SPLIT: tuple[Entry, ...] = (MEMBERSHIP[2], *MEMBERSHIP[4:])
"""Entries of what crosses the cut of a model: no list names it, so general ones stand here."""
FAMILIES: Mapping[str, tuple[Entry, ...]] = {"membership": MEMBERSHIP, "inversion": INVERSION, "split": SPLIT}


def entries(family: str) -> tuple[Entry, ...]:
    """Entries that findings of a family map to; a utility maps to nothing."""
    return FAMILIES.get(family, ())


def all_entries() -> tuple[Entry, ...]:
    """Entries that findings of any family map to, each once."""
    return tuple(dict.fromkeys(entry for own in FAMILIES.values() for entry in own))
