"""The errors that a user can cause, for `except` clauses; see `dosimeter.foundation.errors`."""

from __future__ import annotations

from dosimeter.foundation.errors import AccessError, AuditError, ConfigError, DataError, StoreError, TrainingError

__all__ = ["AccessError", "AuditError", "ConfigError", "DataError", "StoreError", "TrainingError"]
