"""Where float32 ends, which gates read without PyTorch."""

from __future__ import annotations

import math

SATURATED = 24 * math.log(2.0)
"""φ of a float32 probability that rounds to 1, nats: then 1 − p is below 2⁻²⁴."""
