"""Small networks that adversaries train: decoders, encoders and critics of pictures of any size, and classifiers."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SMALLEST = 8
"""A side is halved while both sides have at least so many pixels."""
SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""
FEWEST_PLACES = 4
"""Least height and width of features that are taken for maps."""


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes from the smallest to the whole one, each half as high and wide as the next, rounded up.

    >>> halvings(28, 23)
    [(7, 6), (14, 12), (28, 23)]
    >>> halvings(6, 5)
    [(6, 5)]
    """
    sizes = [(height, width)]
    while min(sizes[0]) >= SMALLEST:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


class Scaled(nn.Module):
    """Records from a range to 0 to 1, or back.

    Args:
        low: least value of a record.
        high: largest value.
        back: from 0 to 1 to the range.
    """

    def __init__(self, low: float, high: float, *, back: bool = False) -> None:
        super().__init__()
        self.low, self.size, self.back = low, high - low, back

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The scaled records."""
        return x * self.size + self.low if self.back else (x - self.low) / self.size


class Cropped(nn.Module):
    """Pictures without the last rows and columns that a size has no room for."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Float[Tensor, "b c _h _w"]) -> Float[Tensor, "b c h w"]:
        """The pictures cut to the size."""
        return x[:, :, : self.size[0], : self.size[1]]


def decoder(shape: tuple[int, ...], latent: int, value_range: tuple[float, float], width: int = 16) -> nn.Sequential:
    """A network from latents `[b, latent]` to pictures `[b, *shape]` of a range.

    A linear layer makes the smallest size; then each transposed convolution doubles it, as in the generator of Zhang et
    al. (CVPR 2020).

    Args:
        shape: channels, height, width.
        latent: numbers of a latent.
        value_range: least and largest value of a record.
        width: channels at the whole size; each smaller size has twice as many, four times at most.
    """
    sizes = halvings(*shape[1:])
    wide = [width * min(4, 2**step) for step in reversed(range(len(sizes)))]
    first = wide[0] * sizes[0][0] * sizes[0][1]
    layers: list[nn.Module] = [nn.Linear(latent, first), nn.Unflatten(1, (wide[0], *sizes[0])), *_normed(wide[0])]
    for (before, after), size in zip(pairwise(wide), sizes[1:], strict=True):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), Cropped(size), *_normed(after)]
    return nn.Sequential(
        *layers, nn.Conv2d(wide[-1], shape[0], 3, padding=1), nn.Sigmoid(), Scaled(*value_range, back=True)
    )


def inverse(
    given: tuple[int, ...], made: tuple[int, ...], value_range: tuple[float, float], width: int = 64
) -> nn.Sequential:
    """A network from features `[b, *given]` to records `[b, *made]` of a range.

    Features that are maps, channels by height by width, go through convolutions at their own size and then at that of
    the picture; others through a hidden layer. After He, Zhang, Lee, ACSAC 2019.

    Args:
        given: shape of the features of one record.
        made: shape of one record.
        value_range: least and largest number of a record.
        width: channels of convolutions; the hidden layer has eight times as many.
    """
    size = int(torch.Size(made).numel())
    end: list[nn.Module] = [nn.Sigmoid(), Scaled(*value_range, back=True)]
    if len(given) == len(made) == 3 and min(given[1:]) >= FEWEST_PLACES:
        return nn.Sequential(
            nn.Conv2d(given[0], width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Upsample(size=tuple(made[1:]), mode="bilinear", align_corners=False),
            nn.Conv2d(width, width // 2, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width // 2, made[0], 3, padding=1), *end,
        )  # fmt: skip
    hidden = 8 * width
    return nn.Sequential(
        nn.Flatten(), nn.Linear(int(torch.Size(given).numel()), hidden), nn.ReLU(), nn.Linear(hidden, size),
        nn.Unflatten(1, made), *end,
    )  # fmt: skip


def encoder(shape: tuple[int, ...], numbers: int, value_range: tuple[float, float], width: int = 16) -> nn.Sequential:
    """A network from pictures `[b, *shape]` of a range to `[b, numbers]`; arguments as in `decoder`."""
    return _narrowing(shape, numbers, value_range, width, normed=True)


def critic(shape: tuple[int, ...], value_range: tuple[float, float], width: int = 16) -> nn.Sequential:
    """A network from pictures `[b, *shape]` of a range to one number each `[b, 1]`; arguments as in `decoder`.

    It has no normalisation, so that each picture's number is its own, as the gradient penalty asks (Gulrajani et al.,
    NeurIPS 2017, section 4).
    """
    return _narrowing(shape, 1, value_range, width, normed=False)


class ClassNorm(nn.Module):
    """Batch normalisation whose scale and shift are those of a class, and a ReLU.

    Args:
        channels: of the maps.
        classes: number of classes.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Float[Tensor, "b c h w"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """The normalised maps, each as its class has them."""
        found: Tensor = self.scale(labels)[:, :, None, None] * self.norm(x) + self.shift(labels)[:, :, None, None]
        return found.relu()


class ClassDecoder(nn.Module):
    """A network from latents and classes to pictures of a range: that of `decoder`, normalised by class.

    The class has a part in the normalisations alone, as in the generator of Miyato and Koyama ("cGANs with Projection
    Discriminator", ICLR 2018, https://arxiv.org/abs/1802.05637).

    Args:
        shape: channels, height, width.
        latent: numbers of a latent.
        classes: number of classes.
        value_range: least and largest value of a record.
        width: channels at the whole size, as in `decoder`.
    """

    def __init__(
        self, shape: tuple[int, ...], latent: int, classes: int, value_range: tuple[float, float], width: int = 16
    ) -> None:
        super().__init__()
        sizes = halvings(*shape[1:])
        wide = [width * min(4, 2**step) for step in reversed(range(len(sizes)))]
        self.first = nn.Linear(latent, wide[0] * sizes[0][0] * sizes[0][1])
        self.start = nn.Unflatten(1, (wide[0], *sizes[0]))
        self.norms = nn.ModuleList(ClassNorm(one, classes) for one in wide)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), Cropped(size))
            for (before, after), size in zip(pairwise(wide), sizes[1:], strict=True)
        )
        last = nn.Conv2d(wide[-1], shape[0], 3, padding=1)
        self.last = nn.Sequential(last, nn.Sigmoid(), Scaled(*value_range, back=True))

    def forward(self, latent: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """The pictures."""
        maps = self.norms[0](self.start(self.first(latent)), labels)
        for step, norm in zip(self.steps, self.norms[1:], strict=True):
            maps = norm(step(maps), labels)
        made: Tensor = self.last(maps)
        return made


class ClassCritic(nn.Module):
    """A network from pictures and classes to one number each `[b]`; every matrix has spectral norm 1.

    A projection discriminator (Miyato and Koyama, ICLR 2018, https://arxiv.org/abs/1802.05637, equation 3): a number of
    the picture's features, and their product with the features of the class. Arguments as in `ClassDecoder`.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, value_range: tuple[float, float], width: int = 16) -> None:
        super().__init__()
        features = 4 * width
        body = _narrowing(shape, features, value_range, width, normed=False)
        self.body = nn.Sequential(*(_bounded(layer) for layer in body), nn.LeakyReLU(SLOPE))
        self.usual, self.of_class = _bounded(nn.Linear(features, 1)), _bounded(nn.Embedding(classes, features))

    def forward(self, x: Float[Tensor, "b c h w"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """How usual each picture is for its class."""
        features = self.body(x)
        found: Tensor = self.usual(features)[:, 0] + (self.of_class(labels) * features).sum(1)
        return found


def _bounded(layer: nn.Module) -> nn.Module:
    """The layer, its matrix divided by its largest singular value; what has no matrix stays as it is."""
    return spectral_norm(layer) if hasattr(layer, "weight") else layer


def student(shape: tuple[int, ...], classes: int, value_range: tuple[float, float], width: int = 16) -> nn.Sequential:
    """A classifier of records `[b, *shape]` with logits `[b, classes]`: convolutions for pictures, else a perceptron.

    Args:
        shape: of a record.
        classes: number of classes.
        value_range: least and largest value of a record.
        width: channels at the whole size of a picture; a perceptron has eight times as many hidden numbers.
    """
    if len(shape) == 3:
        return encoder(shape, classes, value_range, width)
    hidden = nn.Linear(prod(shape), 8 * width)
    return nn.Sequential(Scaled(*value_range), nn.Flatten(), hidden, nn.ReLU(), nn.Linear(8 * width, classes))


def embedder(shape: tuple[int, ...], numbers: int, value_range: tuple[float, float], width: int = 32) -> nn.Sequential:
    """A network by which judges see pictures `[b, *shape]` as `[b, numbers]`; arguments as in `decoder`.

    Up to four blocks of 3 x 3 convolution, normalisation, halving and ReLU, all of one width, then a linear layer.
    """
    layers: list[nn.Module] = [Scaled(*value_range)]
    channels, height, wide = shape
    for _ in range(min(4, min(height, wide).bit_length() - 1)):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU()]
        channels, height, wide = width, height // 2, wide // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * wide, numbers))


def _normed(channels: int) -> tuple[nn.Module, nn.Module]:
    """Batch normalisation and ReLU."""
    return nn.BatchNorm2d(channels), nn.ReLU()


def _narrowing(
    shape: tuple[int, ...], numbers: int, value_range: tuple[float, float], width: int, *, normed: bool
) -> nn.Sequential:
    """Convolutions that halve the size, then a linear layer."""
    sizes = halvings(*shape[1:])
    wide = [width * min(4, 2**step) for step in range(len(sizes))]
    layers: list[nn.Module] = [Scaled(*value_range), nn.Conv2d(shape[0], wide[0], 3, padding=1), nn.LeakyReLU(SLOPE)]
    for before, after in pairwise(wide):
        norm = [nn.BatchNorm2d(after)] if normed else []
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), *norm, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(wide[-1] * sizes[0][0] * sizes[0][1], numbers))


def feature_critic(shape: tuple[int, ...], width: int = 32) -> nn.Sequential:
    """A network from standardised features `[b, *shape]` to one number each `[b, 1]`, without normalisation.

    Features that are maps go through two convolutions, others through two hidden layers, eight times as wide.

    Args:
        shape: of the features of one record.
        width: channels of the convolutions.
    """
    if len(shape) == 3 and min(shape[1:]) >= FEWEST_PLACES:
        strides = (2 if min(shape[1:]) >= SMALLEST else 1, 2)
        height, wide = (ceil(ceil(side / strides[0]) / strides[1]) for side in shape[1:])
        return nn.Sequential(
            nn.Conv2d(shape[0], width, 3, stride=strides[0], padding=1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, stride=strides[1], padding=1), nn.LeakyReLU(SLOPE),
            nn.Flatten(), nn.Linear(width * height * wide, 1),
        )  # fmt: skip
    hidden = 8 * width
    return nn.Sequential(
        nn.Flatten(), nn.Linear(prod(shape), hidden), nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, 1),
    )  # fmt: skip


def inert(network: nn.Module) -> nn.Module:
    """The network in evaluation mode; no parameter asks for a gradient."""
    return network.eval().requires_grad_(False)


def finite(network: nn.Module) -> bool:
    """Returns whether all weights and buffers are finite numbers."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())
