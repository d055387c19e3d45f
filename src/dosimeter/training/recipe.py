"""The recipe of a stage: hyperparameters, and what defenses may change in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.training.private.accounting import Privacy

if TYPE_CHECKING:
    from torch import Tensor

    from dosimeter.models.bottleneck import Bottleneck
    from dosimeter.training.construction.settings import Construction
    from dosimeter.training.cuts.place import CutPlace

Augmentation = Literal["flip", "shift", "drop"]
Task = Literal["classes", "language"]
"""What a stage learns: the class of a record, or the next token of a text."""


@runtime_checkable
class Defense(Protocol):
    """Attributes of every defense; its effect is one or more methods of the protocols below.

    Attributes:
        paper: authors, year, link.
        place: where it acts: "recipe", "model", "loss", "step", "training", "outputs", "cut" or "joint".
        ladder: at least three settings, the weakest first.
    """

    paper: ClassVar[str]
    place: ClassVar[str]
    ladder: ClassVar[tuple[Mapping[str, Any], ...]]


@runtime_checkable
class ChangesRecipe(Protocol):
    """A defense that chooses other hyperparameters."""

    def recipe(self, hp: Hyperparameters) -> Hyperparameters:
        """The hyperparameters to train with instead of `hp`."""
        ...


@runtime_checkable
class ChangesLoss(Protocol):
    """A defense that trains with another loss than cross-entropy."""

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """Mean loss of a batch, of each of `m` models or of one; differentiable, `epoch` counts from 0."""
        ...


@runtime_checkable
class PacesLoss(Protocol):
    """A defense whose loss depends on how much of the training is over."""

    def paced(self, done: float) -> ChangesLoss:
        """The loss of an epoch, after which a share `done` of the planned epochs is over; above 0, at most 1."""
        ...


@runtime_checkable
class HidesFeatures(Protocol):
    """A defense that changes the input of the last layer during training."""

    def hide(self, features: Float[Tensor, "*b d"], uniform: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """The features to train on, from features and uniform random numbers of the same shape."""
        ...


@runtime_checkable
class PutsBottleneck(Protocol):
    """A defense that puts a noisy bottleneck before the last layer and charges for what passes it in training."""

    def bottleneck(self, features: int) -> Bottleneck:
        """A fresh bottleneck for so many features, drawn from PyTorch's default generator."""
        ...

    def charge(self, divergence: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """What is added to the loss of a batch, from the divergence of each of its records, nats."""
        ...


@runtime_checkable
class ChargesHidden(Protocol):
    """A defense that adds to the loss of a batch what the outputs of the hidden layers tell of records and labels."""

    def penalty(
        self, records: Float[Tensor, "b d"], hidden: tuple[Float[Tensor, "b _"], ...], labels: Tensor
    ) -> Float[Tensor, ""]:
        """What is added; differentiable by `hidden`, one for each hidden layer, the first layer first."""
        ...


@runtime_checkable
class FightsAdversaries(Protocol):
    """A defense that trains the layers before a cut against adversaries that learn beside the model."""

    def adversaries(self) -> Construction:
        """Settings of the adversaries."""
        ...

    def after(self) -> str:
        """Name of the layer after which the model is cut."""
        ...


@runtime_checkable
class ChargesCut(Protocol):
    """A defense that adds to the loss of a batch what the features at one cut tell of the records.

    Attributes:
        cut: name of the layer after which the cut lies; empty for the input of the last layer.
    """

    cut: str

    def charge_cut(
        self, records: Float[Tensor, "b d"], features: Float[Tensor, "b k"], labels: Tensor
    ) -> Float[Tensor, ""]:
        """What is added; differentiable by `features`."""
        ...


@runtime_checkable
class BlursCut(ChargesCut, Protocol):
    """A defense by which the layers after the cut are trained on features with noise, as they are sent later."""

    def blur(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the layers after the cut get of a batch; differentiable, drawn from PyTorch's default generator."""
        ...


@runtime_checkable
class SubModels(Protocol):
    """A defense in which models trained on parts of the records label all of them for the released model."""

    @property
    def parts(self) -> int:
        """Number of sub-models."""
        ...

    @property
    def cost(self) -> float:
        """Number of records that are trained on, as a multiple of one training."""
        ...

    def divide(self, n: int, rng: np.random.Generator) -> Bool[np.ndarray, "k n"]:
        """Mask of the sub-models that train on each record."""
        ...


@runtime_checkable
class BoundsRecords(Protocol):
    """A defense that bounds the effect of any one record on the model: DP-SGD."""

    def bound(self, n: int, hp: Hyperparameters) -> Privacy:
        """The guarantee of a training with this recipe on `n` records."""
        ...


@runtime_checkable
class ChangesAnswers(Protocol):
    """A defense that changes the answers of the trained model."""

    def release(
        self, probabilities: Float[Tensor, "r c"], noise: Callable[[], Float[Tensor, "r c"]]
    ) -> Float[Tensor, "r c"]:
        """The probabilities to release; `noise` gives the model's answers on as many random inputs."""
        ...


@runtime_checkable
class Release(Protocol):
    """A defense that changes what a device sends over the cut of a model.

    Its method is not called `release`, since defenses of answers are recognised by that name.
    """

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """What is sent in place of some features, in their shape; fresh randomness for each record comes from `rng`."""
        ...


@runtime_checkable
class FitsCut(Protocol):
    """A defense of what crosses a cut that takes scales, ranges or directions from the trained model first."""

    def fitted(self, place: CutPlace) -> Release:
        """The defense at one cut.

        Raises:
            ConfigError: it cannot act there.
        """
        ...


@runtime_checkable
class RestoresCut(FitsCut, Protocol):
    """A defense whose form at one cut can be stored, so that a device has it without the model's training records."""

    def restored(self, kept: Mapping[str, Tensor]) -> Release:
        """What `fitted` gave, from its tensors and numbers by the name of the field."""
        ...


@runtime_checkable
class GuardsMessages(Protocol):
    """A defense that changes what an organisation sends to those that it trains with.

    Attributes:
        messages: kinds of message that it changes, as `training.joint.methods` names them.
    """

    messages: ClassVar[tuple[str, ...]]

    def protect(self, arrays: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """What is sent in place of the arrays of one message; of "representations" differentiable by them."""
        ...


@runtime_checkable
class AddsStepNoise(Protocol):
    """A defense by which each gradient has noise: of a model, or of an organisation, that of its own head too."""

    def deviation(self, rate: float) -> float:
        """Standard deviation of Gaussian noise on each number of a gradient that is followed at a learning rate."""
        ...


@runtime_checkable
class MixesRecords(Protocol):
    """A defense by which an organisation trains on mixtures of its records."""

    def mix(
        self, inputs: Float[Tensor, "b ..."], targets: Float[Tensor, "b c"], rng: np.random.Generator
    ) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b c"]]:
        """Mixed records, and mixed probabilities of their classes."""
        ...


@runtime_checkable
class HidesParts(Protocol):
    """A defense by which the coordinator sees the sum of what parties send, and no part of it."""

    def sum_bits(self) -> int:
        """Bits after the binary point in which parts are summed."""
        ...


@runtime_checkable
class ChoosesMethods(Protocol):
    """A defense that cannot act in every method of transfer, or with every recipe."""

    def unfit(self, method: str, hp: Hyperparameters) -> str | None:
        """Why it cannot act in a method with a recipe, with the remedy; None where it can."""
        ...


@runtime_checkable
class CountsMessages(Protocol):
    """A defense whose guarantee grows weaker with the number of batches that hold a record."""

    def guarantee_after(self, times: int) -> str:
        """What it guarantees, in words, to a record that is in so many batches."""
        ...


def settings_of(defense: Defense) -> dict[str, Any]:
    """Settings of a defense by name."""
    return asdict(defense)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of a stage's training. All are part of the stage's key and equal for target and shadows.

    Attributes:
        epochs: passes over the stage's rows.
        batch_size: records per update.
        optimizer: "sgd" or "adam".
        lr: learning rate at its highest.
        momentum: momentum of SGD.
        weight_decay: L2 penalty, as `torch.optim` defines it.
        schedule: "constant", "cosine" (to 0), or "one-cycle" (linear up over a quarter, linear down to 0), per update.
        precision: "float32", or "bfloat16" autocast with float32 weights.
        augment: random flips and shifts of images, or texts without some of their words.
        standardise: heads only: features are scaled by mean and deviation over the model's own training rows.
        share: share of the learning-rate schedule that is run; below 1 if training stops early.
        defenses: what changes the loss, the features, the labels or the steps while training.
        privacy: what bounds each record, by one of the defenses and the number of records; see `settle`.
    """

    epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: tuple[Augmentation, ...] = ()
    standardise: bool = False
    share: float = 1.0
    defenses: tuple[Defense, ...] = ()
    privacy: Privacy | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name, except derived ones, and except `share` and `defenses` if they change nothing."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "privacy"}
        found["defenses"] = [{"defense": type(one).__name__, **settings_of(one)} for one in self.defenses]
        return {key: value for key, value in found.items() if (key, value) not in (("share", 1.0), ("defenses", []))}

    @property
    def bounded(self) -> bool:
        """Returns whether a defense bounds the effect of any one record."""
        return any(isinstance(one, BoundsRecords) for one in self.defenses)

    def done(self, epoch: int) -> float:
        """Share of the planned epochs that are over after `epoch`, which counts from 0.

        >>> Hyperparameters(epochs=5, share=0.5).done(4)
        0.5
        """
        return (epoch + 1) / self.epochs * self.share

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of update `step` of `steps`.

        >>> Hyperparameters(lr=1.0, schedule="cosine").lr_at(50, 100)
        0.5
        """
        done = step / steps * self.share
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "one-cycle":
            return self.lr * min((step + 1) * self.share / (0.25 * steps), (1 - done) / 0.75, 1.0)
        return self.lr


def settle(hp: Hyperparameters, n: int) -> Hyperparameters:
    """The recipe for `n` records: with `privacy` set, if a defense bounds records.

    Raises:
        ConfigError: the defense cannot give it.
    """
    found = next((one for one in hp.defenses if isinstance(one, BoundsRecords)), None)
    return hp if found is None or hp.privacy is not None else replace(hp, privacy=found.bound(n, hp))
