"""Durations that all runs share."""

from __future__ import annotations

import time

LOADING = min(time.process_time(), 15.0)
"""Seconds that this process took to import PyTorch and the rest; a run and its workers will need them again."""
REPORT_SECONDS = 2.0
"""Seconds to measure, draw and write."""
