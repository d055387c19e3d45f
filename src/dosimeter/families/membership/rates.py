"""False positive rates and priors at which membership is reported."""

from __future__ import annotations

FPRS = (0.1, 0.01, 0.001, 0.0001)
"""False positive rates at which true positive rates are reported."""
PRIORS = (0.5, 0.1, 0.01)
"""Shares of members among candidates at which precision is reported."""
