"""DP-SGD for networks: Opacus gives each record's gradient; `privacy` sets clipping, noise and batches."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.foundation.wording import describe, one_line, quote
from dosimeter.training.language.stage import is_text, next_token_loss
from dosimeter.training.private.accounting import Privacy, check_sampling, need_opacus, poisson

AT_ONCE = 64
"""Most records whose gradients are held in memory at once."""
BATCH_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


class PrivateGradients:
    """Gradients of one private training.

    Args:
        model: in training mode, on its device.
        privacy: what bounds each record.
        n: training records.
        seed: decides batches and noise.
    """

    def __init__(self, model: nn.Module, privacy: Privacy, n: int, seed: int) -> None:
        self.model, self.privacy, self.n = model, privacy, n
        self.draws = generator(seed, "Poisson batches")
        self.noise = torch.Generator().manual_seed(seed_for(seed, "privacy noise"))
        self.sizes: list[int] = []
        self.trained = [p for p in model.parameters() if p.requires_grad]

    def batches(self, count: int) -> Iterator[Tensor]:
        """Yields the records of so many batches, each `[b]`, possibly empty."""
        device = self.trained[0].device
        for _ in range(count):
            rows = poisson(self.draws, self.n, self.privacy.rate)
            self.sizes.append(len(rows))
            yield torch.from_numpy(rows).to(device)

    def set(self, batch: Tensor, labels: Int[Tensor, b * l]) -> Tensor:
        """Gives every trained tensor its private gradient of the cross-entropy, and returns the loss summed."""
        sums, total = [torch.zeros_like(p) for p in self.trained], torch.zeros((), device=batch.device)
        for start in range(0, len(batch), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            value, each = per_record(self.model, batch[some], labels[some])
            total += value
            for own, part in zip(sums, clip_and_sum(each, self.privacy.clip), strict=True):
                own += part
        deviation, expected = self.privacy.noise_multiplier * self.privacy.clip, self.privacy.rate * self.n
        for p, own in zip(self.trained, sums, strict=True):
            noise = torch.randn(p.shape, generator=self.noise).to(p.device)
            p.grad = own.add_(noise, alpha=deviation).div_(expected)
        return total

    def check(self) -> None:
        """Refuses a training whose updates or batches differ from those that epsilon was computed for.

        Raises:
            TrainingError: more updates than counted, or batches that coins do not give.
        """
        if len(self.sizes) > self.privacy.steps:
            raise TrainingError(
                f"defense dp_sgd: at most {self.privacy.steps} updates were counted, got {len(self.sizes)}: report "
                "this as an error of dosimeter"
            )
        check_sampling(self.sizes, self.n, self.privacy.rate)


def clip_and_sum(each: list[Tensor], clip: float) -> list[Tensor]:
    """Sums of the records' gradients `[b ...]`, after each is scaled to norm `clip` at most, over all tensors."""
    norms = torch.stack([one.flatten(1).square().sum(1) for one in each]).sum(0).sqrt()
    factor = clip / norms.clamp(min=clip)
    return [torch.einsum("b,b...->...", factor, one) for one in each]


def per_record(model: nn.Module, batch: Tensor, labels: Int[Tensor, b * l]) -> tuple[Tensor, list[Tensor]]:
    """The cross-entropy summed over records, and each record's gradient of every trained tensor, `[b ...]`.

    Raises:
        TrainingError: a trained tensor got no gradient per record.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    logits = model(batch).float()
    if is_text(labels):
        value = next_token_loss(logits, labels).sum()
    else:
        value = nn.functional.cross_entropy(logits, labels, reduction="sum")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Full backward hook is firing")  # inputs need no gradient
        value.backward()  # type: ignore[no-untyped-call]
    found = []
    for name, p in named:
        each = getattr(p, "grad_sample", None)
        if not (isinstance(each, Tensor) and each.shape == (len(batch), *p.shape)):
            raise TrainingError(
                f"defense dp_sgd: every trained tensor must have a gradient for each record, got none for {name}: use "
                "layers of torch.nn as modules that are called, or freeze it"
            )
        found.append(each.float())
        p.grad_sample, p.grad = None, None  # type: ignore[attr-defined]
    return value.detach(), found


def of_bags(layer: nn.EmbeddingBag, inputs: list[Tensor], slopes: Tensor) -> dict[Tensor, Tensor]:
    """Each record's gradient of a sum or mean of word vectors, `[b v d]`, in the form that Opacus expects.

    Args:
        layer: of mode "sum" or "mean".
        inputs: the words alone, `[b k]`.
        slopes: gradients of the summed loss by the layer's outputs, `[b d]`.

    Raises:
        TrainingError: another mode or other inputs.
    """
    words = inputs[0]
    if len(inputs) > 1 or words.ndim != 2 or layer.mode not in ("sum", "mean"):
        raise TrainingError(
            "defense dp_sgd: an EmbeddingBag must give the sum or mean of rows of words [b, length], got other inputs "
            f"or mode {layer.mode!r}: change it or freeze it"
        )
    share = torch.ones_like(words, dtype=slopes.dtype)
    if layer.padding_idx is not None:
        share = (words != layer.padding_idx).to(slopes.dtype)
    if layer.mode == "mean":
        share = share / share.sum(1, keepdim=True).clamp(min=1)
    each = slopes.new_zeros(len(words) * layer.num_embeddings, slopes.shape[1])
    places = words + layer.num_embeddings * torch.arange(len(words), device=words.device)[:, None]
    each.index_add_(0, places.flatten(), torch.einsum("bk,bd->bkd", share, slopes).flatten(0, 1))
    return {layer.weight: each.view(len(words), layer.num_embeddings, -1)}


@contextlib.contextmanager
def privately(model: nn.Module, privacy: Privacy | None, n: int, seed: int) -> Iterator[PrivateGradients | None]:
    """Gives the private gradients of one training inside the block; None without `privacy`.

    Raises:
        ConfigError: Opacus is absent.
        TrainingError: a layer cannot be private, or batches were not sampled as epsilon was counted.
    """
    if privacy is None:
        yield None
        return
    with record_gradients(model):
        private = PrivateGradients(model, privacy, n, seed)
        yield private
    private.check()


@contextlib.contextmanager
def record_gradients(model: nn.Module) -> Iterator[None]:
    """Stores each record's gradient of the summed loss in `grad_sample` at every backward pass inside the block.

    Normalisation over a batch that is frozen, or has nothing to train, uses its stored statistics. Activations in
    place are not in place there, for the layers before them must keep what they gave.

    Raises:
        ConfigError: Opacus is absent.
        TrainingError: a layer mixes records, or Opacus does not know one.
    """
    need_opacus()
    from opacus.grad_sample import GradSampleModule

    class Recorder(GradSampleModule):  # type: ignore[misc]
        """Opacus' recorder with another rule for bags of words, which Opacus takes as one long row with offsets."""

        GRAD_SAMPLERS = {**GradSampleModule.GRAD_SAMPLERS, nn.EmbeddingBag: of_bags}

    in_place = [module for module in model.modules() if getattr(module, "inplace", False) is True]
    for module in model.modules():
        if isinstance(module, BATCH_NORMS) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
    _refuse_mixing(model)
    try:
        wrapped = Recorder(model, loss_reduction="sum", strict=True)
    except Exception as error:  # Opacus raises many kinds, by layer
        raise TrainingError(
            f"defense dp_sgd: every trained layer must be one that Opacus knows, got {describe(error)}: replace or "
            "freeze it"
        ) from error
    for module in in_place:
        module.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        wrapped.remove_hooks()
        for module in in_place:
            module.inplace = True  # type: ignore[assignment]
        for p in model.parameters():
            for name in ("grad_sample", "_forward_counter"):
                if hasattr(p, name):
                    delattr(p, name)


def _refuse_mixing(model: nn.Module) -> None:
    """Refuses layers in which a record's output depends on others of its batch, or that Opacus cannot follow."""
    from opacus.validators.module_validator import ModuleValidator

    problems = []
    for name, module in model.named_modules():
        validator = ModuleValidator.VALIDATORS.get(type(module))
        if validator is None or not any(p.requires_grad for p in module.parameters()):
            continue
        if problem := validator(module):
            remedy = "replace or freeze it"
            if isinstance(module, BATCH_NORMS):
                remedy = "use group normalisation (torch.nn.GroupNorm), or freeze it"
            reason = "it mixes the records of a batch" if isinstance(module, BATCH_NORMS) else str(problem[0])
            problems.append(
                one_line(
                    f"defense dp_sgd: layer {name!r} ({type(module).__name__}) cannot be private, {reason}: {remedy}"
                )
            )
    if problems:
        raise TrainingError(*problems)


def check_private(model: nn.Module, example: Tensor, *, texts: bool = False) -> None:
    """Refuses a model that cannot be trained with DP-SGD, by one gradient that is thrown away.

    Args:
        model: the part that is trained.
        example: two of its inputs.
        texts: they are texts of a language model.

    Raises:
        ConfigError: Opacus is absent.
        TrainingError: a layer cannot be private, a tensor has no gradient per record, or records touch each other.
    """
    stored = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with record_gradients(model.train()):
        try:
            per_record(model, example, example if texts else torch.arange(len(example)))
        except RuntimeError as error:
            raise TrainingError(
                f"defense dp_sgd: the model must run with a hook at every layer, raised {describe(error)}: do not "
                "change what a layer gave in place"
            ) from error
    changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, stored[name])]
    if changed:
        raise TrainingError(
            f"defense dp_sgd: nothing but gradients may tell of the records, got the buffer {quote(changed[0])}, "
            "which a training step changes without clip and noise: freeze it, or take it out"
        )
    if _touch(model, example):
        raise TrainingError(
            "defense dp_sgd: the output on a record must depend on that record alone, got one that depends on others "
            "of its batch: change the model's forward"
        )


def _touch(model: nn.Module, example: Tensor) -> bool:
    """Returns whether the first record's output depends on the second: by a gradient, or by exchange of the second."""
    if example.is_floating_point():
        leaf = example.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(leaf)[0].float().sum(), leaf, allow_unused=True)
        if slope is not None and bool((slope[1:] != 0).any()):
            return True
    other, found = example[:1].expand_as(example).clone(), []
    if example.is_floating_point():
        other[1:] += 1.0
    for rows in (example, other):
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found.append(model(rows)[0])
    return not torch.allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
