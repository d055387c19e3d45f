"""What the attacks have in common: from a game to arrays, and from findings to evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.families.split.game import Secret, SplitGame
from dosimeter.foundation.errors import AccessError, DataError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.statistics.evidence import Guesses, Reconstructions
from dosimeter.training.learners.inverting import fit_inverse
from dosimeter.training.learners.pool import ABOUT, FEWEST, fit_pool
from dosimeter.training.learners.regression import fit_ridge

CLASSIFIERS = tuple(ABOUT)
"""Classifiers of a pool unless others are named."""
FEW = 4
"""Records that are sent twice, to see whether the defenses of the cut draw at random."""
MOST_KEPT = 64_000_000
"""Most numbers of features that are kept, so that they need not be sent again."""
DRAWS = 16
"""Draws of the noise of each auxiliary record that a network learns from unless another number is given."""
HELD_BACK = 4
"""One of so many auxiliary records is held back where an attack chooses between two ways."""


def checked(classifiers: Sequence[str]) -> None:
    """Refuses a pool with an unknown classifier, or with none.

    Raises:
        ValueError: it has.
    """
    wrong = [one for one in classifiers if one not in ABOUT]
    if wrong or not classifiers or len(set(classifiers)) < len(classifiers):
        raise ValueError(f"classifiers must be distinct and out of {', '.join(ABOUT)}, got {list(classifiers)}")


def sought(game: SplitGame) -> Secret:
    """The attribute of a game.

    Raises:
        AccessError: it has none.
    """
    if game.secret is None:
        raise AccessError("needs an attribute to seek, and the game has none: name `attributes` in the threat")
    return game.secret


def guessed(game: SplitGame, classifiers: Sequence[str], rng: np.random.Generator) -> Guesses:
    """What the best of some classifiers, chosen on the adversary's own records, says of each victim.

    Args:
        game: with an attribute.
        classifiers: names, see `training.learners.pool`.
        rng: gives the seed of all trainings.

    Raises:
        DataError: too few labels of a value.
    """
    secret, aux = sought(game), game.auxiliary
    counts = np.bincount(secret.known, minlength=len(secret.values))
    if counts.min() < FEWEST:
        least = secret.values[int(counts.argmin())]
        raise DataError(
            f"attribute {secret.name!r}: the adversary needs {FEWEST} labels of each value or more, got "
            f"{int(counts.min())} of {least!r}: give them more `labels`, or auxiliary records with this value"
        )
    known = flat(aux.seen)[secret.rows]
    seed = seed_for(int(rng.integers(2**31)), "attribute pool")
    best, _ = fit_pool(known, secret.known, classifiers, persons=aux.persons[secret.rows], seed=seed)
    return Guesses(game.ids, best.log_scores(flat(game.seen))[None])


def remade(game: SplitGame, records: Float[Tensor, "n ..."]) -> Reconstructions:
    """The evidence: one reconstruction of each victim, in the range of the auxiliary records.

    Args:
        game: the game.
        records: of each victim, flattened or not.
    """
    known = game.auxiliary.inputs
    low, high = known.min(), known.max()
    made = records.reshape(len(records), *known.shape[1:]).clamp(low, high)
    return Reconstructions(game.ids, made.float().cpu().numpy()[None, :, None])


def inverted(
    game: SplitGame, penalties: Sequence[float], epochs: int, lr: float, draws: int, rng: np.random.Generator
) -> Reconstructions:
    """What the better of a linear map and a network makes of each victim, chosen on held-back auxiliary records.

    Args:
        game: the game.
        penalties: of the linear map.
        epochs: of the network.
        lr: learning rate of the network.
        draws: of each auxiliary record, for the network.
        rng: draws the held-back records, and gives the seed of the training.
    """
    return remade(game, mapped(game, game.auxiliary.inputs.float(), penalties, epochs, lr, draws, rng))


def mapped(
    game: SplitGame,
    target: Float[Tensor, "p ..."],
    penalties: Sequence[float],
    epochs: int,
    lr: float,
    draws: int,
    rng: np.random.Generator,
) -> Float[Tensor, "n d"]:
    """What the victims' features are mapped to, by the better of a linear map and a network.

    Args:
        game: the game.
        target: what the auxiliary records' features are to be mapped to.
        penalties: as in `inverted`.
        epochs: as in `inverted`.
        lr: as in `inverted`.
        draws: as in `inverted`.
        rng: as in `inverted`.
    """
    seen, n = game.auxiliary.seen, len(target)
    order = torch.from_numpy(rng.permutation(n)).to(game.device)
    held, own, seed = order[: n // HELD_BACK], order[n // HELD_BACK :], int(rng.integers(2**31))
    true, anew = target.flatten(1), sent_anew(game, draws, rng)

    def linear(rows: Tensor, asked: Tensor) -> Tensor:
        return fit_ridge(seen[rows], true[rows], penalties).predict(asked).float()

    def network(rows: Tensor, asked: Tensor) -> Tensor:
        fresh = None if anew is None else lambda epoch, sent=anew: sent(epoch)[rows]
        return predicted(fit_inverse(seen[rows], target[rows], epochs, lr, seed, fresh), asked).flatten(1)

    errors = [float(((way(own, seen[held]) - true[held]) ** 2).mean()) for way in (linear, network)]
    way = linear if errors[0] <= errors[1] else network
    return way(order.sort().values, game.seen)


def sent_anew(game: SplitGame, draws: int, rng: np.random.Generator) -> Callable[[int], Tensor] | None:
    """From the number of an epoch to what is read of the auxiliary records, sent again; None where that is the same.

    A network that sees one draw of the noise of each record learns this draw by heart.

    Args:
        game: the game.
        draws: of each record that are different, the recorded one among them; after so many epochs they come again.
        rng: gives the seed of the draws.
    """
    asked, aux = game.asked, game.auxiliary
    if asked is None or draws == 1:
        return None
    seed, few = int(rng.integers(2**31)), aux.inputs[:FEW]
    if torch.equal(*(asked.sent(few, generator(seed, "send anew", one)) for one in range(2))):
        return None

    kept: dict[int, Tensor] = {0: aux.seen}

    def anew(epoch: int) -> Tensor:
        number = epoch % draws
        if number in kept:
            return kept[number]
        sent = asked.sent(aux.inputs, generator(seed, "send anew", number))
        if (len(kept) + 1) * sent.numel() <= MOST_KEPT:
            kept[number] = sent
        return sent

    return anew


def predicted(network: nn.Module, seen: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """What a network makes of features, by batches."""
    with torch.no_grad():
        return torch.cat([network(some) for some in torch.split(seen, 256)])


def flat(seen: Float[Tensor, "n ..."]) -> Float[np.ndarray, "n d"]:
    """Features as rows of numbers."""
    return np.asarray(seen.flatten(1).double().cpu().numpy())
