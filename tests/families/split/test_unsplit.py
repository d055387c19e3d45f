"""UnSplit: known answers, what it may use, and where it fails; and that nothing of the true weights is left to it."""

import dataclasses

import numpy as np
import pytest
import torch
from audits import BASE
from sklearn.datasets import load_digits
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.families.split.attacks import ATTACKS, UnSplit
from dosimeter.families.split.game import Auxiliary, SplitGame
from dosimeter.families.split.play.form import redraw
from dosimeter.families.split.play.job import PlayJob
from dosimeter.foundation.errors import AccessError
from dosimeter.jobs.store import Store
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.loop import seed_torch
from families.split.games import Layers, audit, game_of
from families.split.test_case import done


def played(name, game, **settings):
    return torch.from_numpy(ATTACKS[name](**settings).run(game, np.random.default_rng(0)).values[0, :, 0])


def error(found, true):
    return float((found - true).pow(2).mean())


def place(found, true):
    """How often the true record is nearer than another one."""
    apart = torch.cdist(found.flatten(1), true.flatten(1))
    return float((apart > apart.diag()[:, None]).sum() / (len(true) * (len(true) - 1)))


def digits(seed, layers, victims=20):
    """A game on handwritten digits behind fresh layers, of which the adversary knows the form; and the victims."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    inputs = torch.from_numpy((pixels[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8))
    form = Layers(layers)
    half = form.fresh(1000 + seed).requires_grad_(False)
    true, known = inputs[:victims], inputs[victims : victims + 300]
    side = Auxiliary(half(known)[:0], known, labels[order][victims : victims + 300], np.arange(300))
    return SplitGame(np.arange(victims).astype(str), half(true), side, form=form), true


def convolution():
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU())


QUICK = {"rounds": 20, "steps": 12}


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_pixels_come_back_from_a_layer_of_which_only_the_form_is_known(seed):
    game, true = digits(seed, convolution)
    found = played("unsplit", game, **QUICK)
    assert error(found, true) < 0.7 * error(played("mean_input", game), true)
    assert place(found, true) > 0.95


def test_at_chance_where_features_tell_nothing():
    places = []
    for seed in range(4):
        game, true = digits(seed, convolution)
        drawn = torch.from_numpy(np.random.default_rng(seed).random(game.seen.shape).astype(np.float32))
        places.append(place(played("unsplit", dataclasses.replace(game, seen=drawn), rounds=4, steps=5), true))
    assert 0.43 < np.mean(places) < 0.57


def test_it_is_played_on_other_records_than_pictures_too_and_stays_in_their_range():
    game, _ = game_of(0, leaks=True)
    known = 10 * game.auxiliary.inputs.flatten(1)[:, :6] - 3
    form = Layers(lambda: nn.Linear(6, 6))
    seen = form.fresh(7)(known[:30]).detach()
    side = dataclasses.replace(game.auxiliary, inputs=known)
    found = played("unsplit", dataclasses.replace(game, seen=seen, auxiliary=side, form=form), rounds=5, steps=5)
    assert ((found >= known.amin(0) - 1e-4) & (found <= known.amax(0) + 1e-4)).all()


def test_it_needs_the_form_alone():
    game, _ = digits(0, convolution)
    assert (game.asked, game.half, game.rest, len(game.auxiliary.seen)) == (None, None, None, 0)
    with pytest.raises(AccessError, match="needs the form of the first half"):
        played("unsplit", dataclasses.replace(game, form=None))
    assert UnSplit.needs.in_words == "features at a cut, the layers of the first half without their weights"


class Own(nn.Module):
    """Layers of PyTorch, weights that belong to none, and one weight that two layers share."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.shift, self.mix = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.ones(4, 4))
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)
        self.b.weight = self.a.weight

    def forward(self, x):
        x = self.norm(self.first(x)) + self.shift
        x = torch.einsum("bchw,cd->bdhw", x, self.mix).relu()
        return self.b(self.a(x.mean(1).flatten(1)))


@pytest.mark.parametrize("seed", range(2))
def test_nothing_of_what_was_learned_is_left(seed):
    with seed_torch(5):
        model = Own()
    with torch.no_grad():
        for one in model.parameters():
            one.normal_(3.0, 0.1)  # as training left them
        model.norm.running_mean.fill_(9.0)
        model.norm.running_var.fill_(9.0)
    graph = read_graph(model.eval(), torch.rand(2, 1, 6, 6))
    half, _ = halves(graph, find_cut(cuts(graph), "output"))
    before = {name: one.clone() for name, one in half.state_dict().items()}
    redraw(half, seed)
    after = half.state_dict()
    for name, one in after.items():
        if one.is_floating_point():
            assert (one - before[name]).abs().min() > 0.5, name
    other = {name: one.clone() for name, one in after.items()}
    redraw(half, seed)
    assert all(torch.equal(one, other[name]) for name, one in half.state_dict().items())
    redraw(half, seed + 10)
    assert not torch.equal(half.state_dict()["module.first.weight"], other["module.first.weight"])


def test_through_the_door_it_runs_where_the_adversary_knows_nothing_and_sees_no_answers(tmp_path):
    raw = audit(None, attributes=[], knows="nothing", answers="hidden")
    del raw["attack"]
    case = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases["split"]
    refused = case.refusals()
    assert [row.id for row in case.attacks if row.id not in refused] == ["unsplit", "mean_input"]
    raw["attack"] = [{"name": "unsplit", "rounds": 2, "steps": 2}]
    games = []

    def watch(job):
        if isinstance(job, PlayJob) and job.row.id == "unsplit":
            games.append((job, job.game()))

    done(raw, tmp_path / "store", watch)
    assert games
    for job, game in games:
        assert (game.half, game.asked, game.rest, game.training, len(game.auxiliary.seen)) == (None,) * 4 + (0,)
        copy = game.form.fresh(3)
        assert copy(game.auxiliary.inputs.float()[:4]).shape[1:] == game.seen.shape[1:]
        true = dict(job._form(job.record).model.parts[1].named_parameters())
        for name, one in copy.layers.named_parameters():
            assert one.requires_grad
            assert not torch.equal(one, true[name])


def test_the_whole_model_is_copied_where_answers_are_read(tmp_path):
    case = done(audit([{"name": "unsplit", "rounds": 1, "steps": 1}], attributes=[], knows="nothing"), tmp_path)
    (own,) = [one for one in case.plays if one.row.id == "unsplit"]
    (other,) = [one for one in own.jobs if one.counterpart]
    game = other.game()
    assert game.form.fresh(0)(game.auxiliary.inputs.float()[:3]).shape == (3, game.seen.shape[1])
    assert game.seen.shape[1] == 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_knowledge_is_worth_two_layers_deep(seed):
    """S12: queries are worth more than the second half, and that more than the form alone, of dense layers at least."""

    def dense():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU())

    game, true = digits(seed, dense, victims=100)
    half = dense()
    second = nn.Linear(24, 10)
    whole = nn.Sequential(half, second)
    known, labels = game.auxiliary.inputs, torch.from_numpy(game.auxiliary.labels)
    optimiser = torch.optim.Adam(whole.parameters(), lr=0.01)
    for _ in range(150):
        loss = nn.functional.cross_entropy(whole(known), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    whole.requires_grad_(False)
    side = dataclasses.replace(game.auxiliary, seen=half(known))
    game = dataclasses.replace(game, seen=half(true), auxiliary=side, rest=second)
    errors = {name: error(played(name, game), true) for name in ("decoder", "shadow", "unsplit", "mean_input")}
    assert errors["decoder"] < errors["shadow"] < errors["unsplit"], errors
    assert errors["decoder"] < errors["mean_input"], errors
