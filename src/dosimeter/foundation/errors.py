"""All errors that a user can cause; the tree comes before the code.

    AuditError
    ├── ConfigError      the audit file or an argument
    ├── DataError        records, labels, files of data
    ├── AccessError      an attack needs more than the threat model grants
    ├── TrainingError    a model could not be trained
    └── StoreError       files: cache, run folder, disk

A message is one line per problem: place, rule, value, remedy. Problems that can be found together are raised together,
so `str(error)` may hold several lines. The command line prints them without traceback and exits with code 2.
"""

from __future__ import annotations


class AuditError(Exception):
    """A problem that the user can correct; base class of all others.

    Args:
        problems: one line each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: tuple[str, ...] = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class ConfigError(AuditError):
    """The audit file or an argument is wrong."""


class DataError(AuditError):
    """Records, labels or a file of data are wrong."""


class AccessError(AuditError):
    """An attack needs more than the threat model grants."""


class TrainingError(AuditError):
    """A model could not be trained."""


class StoreError(AuditError):
    """A file could not be read or written."""
