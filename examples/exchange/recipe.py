"""Digits of two organisations: the second one's scanner is worse, which is why it wants to learn from the first."""

from dataclasses import replace

import numpy as np

from dosimeter.data.reference import load


def digits(seed):
    """All digits in random order; private is whether one was drawn with more ink than half of its kind."""
    whole = load("digits")
    whole = whole.take(np.random.default_rng(0).permutation(len(whole)))  # writers stand one after another
    ink, heavy = whole.inputs.sum((1, 2, 3)), np.zeros(len(whole), bool)
    for kind in range(len(whole.classes)):
        heavy |= (whole.labels == kind) & (ink > np.median(ink[whole.labels == kind]))
    return replace(whole, attributes={"pen": np.where(heavy, "heavy", "light")})


def scanned(seed):
    """The same digits as the second organisation's scanner gives them: brighter or darker from page to page."""
    whole = digits(seed)
    bright = np.random.default_rng(1).normal(scale=0.7, size=(len(whole), 1, 1, 1))
    return replace(whole, inputs=(whole.inputs + bright).astype(np.float32))
