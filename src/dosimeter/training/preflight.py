"""Checks that need no training: the device, the user's code, each stage's model on two records."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dosimeter.data import Dataset
from dosimeter.foundation.errors import AuditError, ConfigError, TrainingError
from dosimeter.foundation.user_code import is_file, resolve
from dosimeter.foundation.wording import describe, one_line, quote
from dosimeter.models.architectures import as_float
from dosimeter.models.size import check_gradients
from dosimeter.training.chain import Link, build_chain, parts_of
from dosimeter.training.charges import charges
from dosimeter.training.construction.trying import check_fight
from dosimeter.training.language.stage import next_token_loss, unfit_defenses
from dosimeter.training.loop import defended_features, seed_torch
from dosimeter.training.private.loop import check_private

logger = logging.getLogger(__name__)


class Together:
    """Collects the problems of several checks; each check is one `with` block, which ends at its first error."""

    def __init__(self) -> None:
        self.errors: list[AuditError] = []

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, AuditError):
            self.errors.append(error)
            return True
        return False

    def tell(self) -> None:
        """Raises the collected problems as one error."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            kinds = {type(error) for error in self.errors}
            kind = kinds.pop() if len(kinds) == 1 else AuditError
            raise kind(*dict.fromkeys(line for error in self.errors for line in error.problems)) from self.errors[0]


def check_device(device: str) -> None:
    """Refuses a device that does not exist, or that computes nothing ("meta")."""
    problem = f"--device: must be cpu, or an accelerator that PyTorch can use here, got {quote(device)}: use cpu"
    if device.startswith("cpu") and device != "cpu":
        raise ConfigError(problem)
    try:
        float(torch.zeros(1, device=torch.device(device)))
    except Exception as error:  # PyTorch raises many kinds, by device
        raise ConfigError(problem) from error


def check_sources(link: Link) -> None:
    """Finds the user's code before training, and checks that `fit` takes its arguments."""
    try:
        _ = link.sources
    except AuditError as error:
        raise ConfigError(*[f"stage {link.name!r}: {problem}" for problem in error.problems]) from error
    if link.fit is not None:
        try:
            inspect.signature(resolve(link.fit)).bind(None, None, 0)
        except TypeError as error:
            raise ConfigError(
                f"stage {link.name!r}, fit: {link.fit} must take (model, dataset, seed), got {one_line(error)}: "
                "change it"
            ) from error
        except ValueError:
            logger.debug("%s: has no signature to check", link.fit)


@contextlib.contextmanager
def about(place: str) -> Iterator[None]:
    """Adds the place in front of errors from the block, unless they name it already."""
    try:
        yield
    except AuditError as error:
        told = [one if one.startswith(place) else f"{place}: {one}" for one in error.problems]
        raise type(error)(*told) from error


def try_models(
    links: Sequence[Link], data: Sequence[Dataset | None], *, records: Sequence[int], together: Together
) -> None:
    """Builds each stage's model and runs it on two records in evaluation and in training mode, to find errors early.

    Args:
        links: the chain.
        data: of each stage, None for a given one.
        records: that one model of each stage trains on.
        together: collects what is wrong.
    """
    chain = tuple(links)
    for index, link in enumerate(chain):
        own = next(one for one in data[index:] if one is not None)
        example = as_float(torch.from_numpy(own.inputs[:2].copy()))
        with together, about(f"stage {link.name!r}"):
            if link.weights and ":" in str(link.model) and not is_file(Path(link.weights)):
                _check_weights(link)
            model = build_chain(chain, index, 0, None)
            if link.language:
                _try_texts(chain, index, model, own, records[index])
                continue
            parts = parts_of(chain, index, model)
            check_output(model, link, example)
            if data[index] is not None and link.fit is None:
                size = link.hyperparameters.batch_size
                smallest = min(records[index] % size or size, 2)
                with torch.no_grad():
                    inner = example if parts.frozen is None else parts.frozen.eval()(example)
                if link.transfer == "head":
                    _check_bias(parts.trained)
                elif link.hyperparameters.bounded:
                    check_private(parts.trained, inner)
                check_fight(model, link, own)
                check_training(parts.trained, link, inner[:smallest], example[:smallest])
            continue
        break  # later stages start from this one


def _try_texts(chain: tuple[Link, ...], index: int, model: nn.Module, texts: Dataset, records: int) -> None:
    """Runs and trains a language model on two texts; what is wrong is told as for other models."""
    link = chain[index]
    unfit_defenses(link.hyperparameters.defenses, f"stage {link.name!r}")
    example = torch.from_numpy(texts.inputs[:2].copy())
    check_output(model, link, example)
    trained = parts_of(chain, index, model).trained
    if link.fit is None and records:
        if link.hyperparameters.bounded:
            check_private(trained, example, texts=True)
        size = link.hyperparameters.batch_size
        check_training(trained, link, example[: min(records % size or size, 2)])


def _check_bias(head: nn.Module) -> None:
    """Refuses a head without bias: the heads of a fleet are one program, which trains a bias."""
    if isinstance(head, nn.Linear) and head.bias is None:
        raise ConfigError(
            f"transfer: 'head' trains a linear layer with a bias, got {one_line(repr(head))}: give it one, or use "
            "transfer 'last-k' or 'full'"
        )


def _check_weights(link: Link) -> None:
    """Refuses weights that are neither a file nor an argument that the user's builder takes."""
    try:
        parameters = inspect.signature(resolve(str(link.model))).parameters.values()
    except ValueError:
        return
    if not any(one.name == "weights" or one.kind is one.VAR_KEYWORD for one in parameters):
        raise ConfigError(
            f"stage {link.name!r}, weights: no such file, and {link.model} takes no `weights`, got "
            f"{quote(link.weights)}: correct the path"
        )


def check_output(model: nn.Module, link: Link, example: Tensor) -> None:
    """Runs a model on two records and refuses an output that is not logits `[2, classes]`.

    Raises:
        TrainingError: the model raised, or its output is of another shape or not finite.
    """
    place = f"stage {link.name!r}, model {link.model or 'of its parent'!r}"
    try:
        with torch.no_grad():
            out = model.eval()(example)
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(
            f"{place}: must take inputs of shape {tuple(example.shape)}, got {describe(error)}: correct it"
        ) from error
    if link.language:
        _check_token_logits(out, link, example, place)
        return
    wanted = (len(example), link.classes)
    if not isinstance(out, Tensor) or tuple(out.shape) != wanted:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise TrainingError(
            f"{place}: must return logits of shape {wanted} for {wanted[0]} records of {wanted[1]} classes, got {got}: "
            f"return one column per class"
        )
    if not out.is_floating_point() or not bool(torch.isfinite(out).all()):
        got = "NaN or infinity" if out.is_floating_point() else str(out.dtype)
        raise TrainingError(f"{place}: logits must be finite floating-point numbers, got {got}: correct it")


def _check_token_logits(out: object, link: Link, example: Tensor, place: str) -> None:
    """Refuses what is not finite logits `[b l v]` of all tokens of the data and perhaps more."""
    wanted = (*example.shape, link.classes)
    if not isinstance(out, Tensor) or out.ndim != 3 or out.shape[:2] != example.shape or out.shape[2] < link.classes:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise TrainingError(
            f"{place}: must return logits of shape {wanted}, one for each place and token, got {got}: return those of "
            "the next token at each place"
        )
    if not bool(torch.isfinite(out).all()):
        raise TrainingError(f"{place}: logits must be finite numbers, got NaN or infinity: correct it")


def check_training(trained: nn.Module, link: Link, example: Tensor, records: Tensor | None = None) -> None:
    """Computes one gradient and discards it, so that a model that cannot be trained is found before the fleet.

    Args:
        trained: the part that is trained.
        link: the stage.
        example: inputs of that part, as many as the smallest batch has, at most two.
        records: what they were made from, if that is something else.

    Raises:
        ConfigError: the gradients do not fit into memory.
        TrainingError: no parameters, no gradient, a defense needs what is not there, or the model raised.
    """
    place = f"stage {link.name!r}, model {link.model or 'of its parent'!r}"
    weights = [one for one in trained.parameters() if one.requires_grad]
    if not weights:
        raise TrainingError(
            f"{place}: must have parameters to train, got none: add a layer, or correct `requires_grad`"
        )
    check_gradients(trained, place)
    try:
        hp, labels = link.hyperparameters, example if link.language else torch.arange(len(example))
        with charges(trained, hp, example) as charge, defended_features(trained, hp, example), seed_torch(0):
            logits = trained.train()(example).float()
            loss = (
                next_token_loss(logits, labels).mean() if link.language else nn.functional.cross_entropy(logits, labels)
            )
            loss = loss if charge is None else loss + charge(example if records is None else records, labels)
        torch.autograd.grad(loss, weights, allow_unused=True)
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(
            f"{place}: must be trainable with a batch of {len(example)}, the smallest that batch_size gives, got "
            f"{describe(error)}: correct it or change batch_size"
        ) from error
