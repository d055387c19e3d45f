"""Kinds of classes and functions that a user's training may read, none of which hides content."""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import enum
import functools
import operator
import typing

import pydantic
import torch
from torch import nn

Tuple = collections.namedtuple("Tuple", "a b")  # noqa: PYI024
FIRST = operator.itemgetter(1)
ALIAS = typing.Optional[int]  # noqa: UP045


class Named(typing.NamedTuple):
    a: int = 1


class Mode(enum.IntFlag):
    A = 1
    B = 2


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    a: list = dataclasses.field(default_factory=list)


class Model(pydantic.BaseModel):
    a: int = pydantic.Field(default=3, ge=1)

    @pydantic.field_validator("a")
    @classmethod
    def checked(cls, a):
        return a


class Seen(typing.Protocol):
    def f(self) -> int: ...


class Keys(typing.TypedDict):
    a: int


Kind = typing.TypeVar("Kind")


class Generic(typing.Generic[Kind], abc.ABC):
    @abc.abstractmethod
    def f(self) -> Kind: ...


class Net(nn.Module):
    kind = nn.ReLU
    act = staticmethod(torch.relu)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    @torch.no_grad()
    def forward(self, x):
        return self.act(self.layer(x))


class Methods:
    @functools.cached_property
    def once(self):
        return 1

    @functools.cache  # noqa: B019  such classes are read, not kept
    def kept(self):
        return 2

    bound = functools.partialmethod(kept, 3)

    @functools.singledispatchmethod
    def split(self, x):
        return x


@functools.singledispatch
def dispatched(x):
    return x


@contextlib.contextmanager
def within():
    yield 1


class Open(dict):
    def __getattr__(self, name):
        return self[name]


CONFIG = Open(a=1)


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
