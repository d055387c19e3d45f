"""Faces that are drawn by a formula, of people whose looks are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dosimeter.data.dataset import Dataset
from dosimeter.data.labels import spread_classes
from dosimeter.data.named.in_packages import resized
from dosimeter.data.options import Request
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError

TRAITS = (
    "face width", "face height", "jaw", "skin", "hair", "hairline", "eye distance", "eye size", "eye height",
    "brow angle", "brow thickness", "nose length", "mouth width", "lips",
)  # fmt: skip
"""What makes a person, each a number from 0 to 1."""
PEOPLE, PICTURES, PART = 400, 20, 50
"""People, pictures of each, and people of a group."""
SIDE, SEED = 32, 2026


@dataclass(frozen=True)
class Pose:
    """What differs between pictures of one person; each field has one number for each picture `[n]`.

    Attributes:
        across: shift to the right, as a share of half the width.
        down: shift downwards.
        size: factor of the whole head.
        turn: rotation, radians.
        light: direction of the light, radians.
        shade: how much darker the far side is.
        smile: curvature of the mouth, below 0 for a sad one.
    """

    across: Array
    down: Array
    size: Array
    turn: Array
    light: Array
    shade: Array
    smile: Array


def poses(rng: np.random.Generator, count: int) -> Pose:
    """Random poses.

    Args:
        rng: source of randomness.
        count: pictures.
    """
    spans = ((-0.09, 0.09), (-0.09, 0.09), (0.94, 1.06), (-0.14, 0.14), (-np.pi, np.pi), (0, 0.3), (-0.6, 1))
    return Pose(*(rng.uniform(low, high, count) for low, high in spans))


def drawn(
    people: Float[Array, "n 14"], pose: Pose, rng: np.random.Generator, side: int = SIDE
) -> UInt8[Array, "n s s"]:
    """Pictures of people, grey, with soft edges and a little noise.

    Args:
        people: `TRAITS` of the person of each picture, from 0 to 1.
        pose: of each picture.
        rng: draws the noise.
        side: height and width, in pixels.
    """
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    down, across = np.meshgrid(axis, axis, indexing="ij")
    x, y = across - _each(pose.across), down - _each(pose.down)
    cosine, sine, size = (_each(one) for one in (np.cos(pose.turn), np.sin(pose.turn), pose.size))
    x, y = (x * cosine + y * sine) / size, (y * cosine - x * sine) / size
    picture = _face(x, y, dict(zip(TRAITS, (_each(one) for one in people.T), strict=True)), _each(pose.smile), 2 / side)
    toward = across * np.cos(_each(pose.light)) + down * np.sin(_each(pose.light))
    picture = picture * (1 - _each(pose.shade) * (1 - toward) / 2) + rng.normal(0, 0.02, picture.shape)
    pixels: Array = np.rint(255 * picture.clip(0, 1)).astype(np.uint8)
    return pixels


def _each(values: Array) -> Array:
    """One number for each picture `[n]`, as `[n 1 1]`."""
    return values[:, None, None]


def _face(x: Array, y: Array, trait: dict[str, Array], smile: Array, pixel: float) -> Array:
    """Brightness of each place `[n s s]`, without light and noise."""

    def between(name: str, low: float, high: float) -> Array:
        return low + (high - low) * trait[name]

    def inside(distance: Array) -> Array:
        return np.clip(0.5 - distance / pixel, 0, 1)

    def ellipse(across: Array, down: Array, width: Array, height: Array) -> Array:
        return inside((np.hypot(across / width, down / height) - 1) * np.minimum(width, height))

    def over(picture: Array, shape: Array, tone: Array | float) -> Array:
        return picture + shape * (tone - picture)

    width, height = between("face width", 0.45, 0.72), between("face height", 0.65, 0.88)
    skin, hair = between("skin", 0.45, 0.85), between("hair", 0.02, 0.4)
    apart, eyes = between("eye distance", 0.16, 0.3), between("eye height", -0.22, 0.02)
    eye, brow = between("eye size", 0.05, 0.1), between("brow thickness", 0.02, 0.06)
    picture = over(np.full_like(x, 0.95), ellipse(x, y + 0.1, width + 0.1, height + 0.05), hair)
    power = between("jaw", 1.8, 3.2)  # 2 is an ellipse, more is squarer
    far = (np.abs(x / width) ** power + np.abs(y / height) ** power) ** (1 / power)
    head = inside((far - 1) * np.minimum(width, height)) * inside(-y - height * between("hairline", 0.45, 0.85))
    picture = over(picture, head, skin)
    for sign in (-1.0, 1.0):
        picture = over(picture, ellipse(x - sign * apart, y - eyes, 1.5 * eye, eye), 0.98)
        picture = over(picture, ellipse(x - sign * apart, y - eyes, 0.6 * eye, 0.7 * eye), 0.05)
        raised = eyes - 1.5 * eye - 0.05 - sign * (x - sign * apart) * between("brow angle", -0.5, 0.5)
        strip = np.maximum(np.abs(y - raised) - brow, np.abs(x - sign * apart) - 0.13)
        picture = over(picture, inside(strip), hair)
    tip = between("nose length", 0.1, 0.32)
    nose = np.maximum(np.abs(x) - 0.035, np.abs(y - eyes - tip / 2 - 0.05) - tip / 2)
    picture = over(picture, inside(nose), 0.75 * skin)
    mouth, lips = between("mouth width", 0.14, 0.32), between("lips", 0.02, 0.07)
    curve = 0.47 - 0.12 * smile * (x / mouth) ** 2
    return over(picture, inside(np.maximum(np.abs(y - curve) - lips, np.abs(x) - mouth)), 0.5 * skin)


def looks() -> Float[Array, "400 14"]:
    """`TRAITS` of all people of the data set, in the order of their classes."""
    return np.random.default_rng(SEED).uniform(size=(PEOPLE, len(TRAITS)))


def _pictures(number: int, person: Array) -> Array:
    """All pictures of one person `[20 32 32]`."""
    rng = np.random.default_rng([SEED, number])
    return drawn(np.tile(person, (PICTURES, 1)), poses(rng, PICTURES), rng)


def load_drawn_faces(request: Request) -> Dataset:
    """Drawn faces `[n 1 32 32]` uint8: 400 people with 20 pictures each; classes and persons are the people.

    Groups are "1" to "8", of 50 people each, so that `where` gives parts without a person in common. Ids are `f001/01`.
    With the option `attributes` records have the numbers that make the person, of `TRAITS`. With `size` the pictures
    have another height and width.

    Args:
        request: rows, `noun`, `size` and `attributes`.

    Raises:
        DataError: an attribute that is none.
    """
    request.only("noun", "size", "attributes")
    strange = [name for name in request.options.attributes if name not in TRAITS]
    if strange:
        raise DataError(f"{request.name}: has no attribute {strange[0]!r}: {suggest(strange[0], TRAITS)}")
    labels = np.repeat(np.arange(PEOPLE), PICTURES)
    order = spread_classes(labels)
    names = np.array([f"f{one + 1:03d}" for one in range(PEOPLE)])
    numbers = np.tile(np.arange(PICTURES), PEOPLE)
    people = looks()
    traits = {name: people[labels[order], TRAITS.index(name)] for name in request.options.attributes}
    pictures = np.concatenate([_pictures(number, one) for number, one in enumerate(people)])
    whole = Dataset(
        inputs=resized(pictures[order], request)[:, None],
        labels=labels[order],
        classes=tuple(str(one) for one in names),
        ids=np.array([f"{names[labels[row]]}/{numbers[row] + 1:02d}" for row in order]),
        persons=names[labels[order]],
        groups=(labels[order] // PART + 1).astype(str),
        noun=request.options.noun or "picture",
        name=request.name,
        part=request.part,
        attributes=traits,
    )
    return request.select(whole)
