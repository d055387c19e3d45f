"""Photos for the life of a small face recogniser: all grey, 25 x 25, in [0, 1]."""

from dataclasses import replace

import numpy as np

from dosimeter.data import Options
from dosimeter.data.reference import load


def people(seed):
    """400 photos of 40 people, whose classes are the people."""
    whole = load("orl-faces", options=Options(size=(25, 25)))
    return replace(whole, inputs=(whole.inputs / 255).astype(np.float32))


def glasses(seed):
    """The same photos with another task: does somebody wear glasses?

    The private attribute `light` says whether a photo is brighter than half of the same person's, by median.
    """
    whole = people(seed)
    mean = whole.inputs.mean((1, 2, 3))
    bright = np.array(
        [value > np.median(mean[whole.persons == who]) for value, who in zip(mean, whole.persons, strict=True)]
    )
    labels = (whole.groups == "glasses").astype(np.int64)
    light = np.where(bright, "bright", "dark")
    return replace(whole, labels=labels, classes=("no glasses", "glasses"), groups=None, attributes={"light": light})
