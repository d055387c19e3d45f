"""What each defense of the cut sends: twins by loops, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.defenses import DEFENSES, FisherNoise, Mask, Noise, NullSpace, Quantise, Sign, Sparsify
from dosimeter.defenses.sending import kept_of, noisy_step, restored, send, settle
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.training.cuts.place import CutPlace
from dosimeter.training.defending import DefenseRow, answering, sending
from dosimeter.training.recipe import ChangesAnswers, FitsCut, Release

DRAWS = np.random.default_rng(0)
"""For those that draw nothing."""
CUT = {name: kind for name, kind in DEFENSES.items() if kind.place == "cut"}
every_setting = pytest.mark.parametrize(
    ("name", "settings"), [(name, one) for name, kind in CUT.items() for one in kind.ladder], ids=str
)


def network(after=None):
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.ReLU(inplace=True), after or nn.Linear(12, 4)).eval()


def place_of(model=None, cut="2", records=40):
    """The place after a layer of a small network, with random records."""
    graph = read_graph((model or network()).requires_grad_(False), torch.zeros(2, 1, 3, 3))
    first, second = halves(graph, find_cut(cuts(graph), cut))
    inputs = torch.rand(records, 1, 3, 3, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        features = first(inputs)[0]
    return CutPlace(lambda x: first(x)[0], second, inputs, features)


def settled(defense, place=None):
    return settle((defense,), place or place_of(), np.random.default_rng(0))


def test_there_are_nine():
    assert list(CUT) == [
        "noise", "mask", "sign", "sparsify", "quantise", "null_space", "fisher_noise", "learned_noise", "vib",
    ]  # fmt: skip


@every_setting
def test_sends_finite_features_of_the_same_shape_and_is_none_of_answers(name, settings):
    defense, place = CUT[name](**settings), place_of()
    assert isinstance(defense, Release | FitsCut)
    assert not isinstance(defense, ChangesAnswers)
    rows = (DefenseRow(name, name, defense),)
    assert sending(rows) == (defense,)
    assert answering(rows) == ()
    chain = settled(defense, place)
    sent = send(place.features, chain, np.random.default_rng(5))
    assert sent.shape == place.features.shape
    assert torch.equal(sent, send(place.features, chain, np.random.default_rng(5)))
    picture = place.features.reshape(-1, 3, 2, 2)
    if name != "null_space":
        assert send(picture, settled(defense), np.random.default_rng(5)).shape == picture.shape


@every_setting
def test_what_is_kept_of_a_model_sends_the_same_again(name, settings):
    defense, place = CUT[name](**settings), place_of()
    (own,) = settled(defense, place)
    kept = kept_of(own) if isinstance(defense, FitsCut) else {}
    again = restored(defense, kept)
    first, second = (send(place.features, (one,), np.random.default_rng(5)) for one in (own, again))
    assert torch.equal(first, second)


@every_setting
def test_the_strongest_setting_sends_less(name, settings):
    place = place_of(records=400)

    def told(one):
        sent = send(place.features, settled(CUT[name](**one), place), np.random.default_rng(5))
        return float(np.corrcoef(sent.flatten(), place.features.flatten())[0, 1])

    if name in ("sign", "null_space", "vib", "learned_noise"):
        # A scale changes nothing that is told; the projection keeps what is read; a price acts in training; and noise
        # that is learned for an untrained network outgrows its start (a trained one: test_learned_noise).
        return
    assert told(CUT[name].ladder[-1]) < told(CUT[name].ladder[0])


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
def test_noise_has_the_law_and_the_scale_in_units_of_the_features(law):
    place = place_of(records=4000)
    (one,) = settled(Noise(law=law, scale=0.5), place)
    spread = np.sqrt(np.mean([np.var(column) for column in place.features.numpy().astype(float).T]))
    assert one.scale == pytest.approx(0.5 * spread)
    noise = (send(place.features, (one,), np.random.default_rng(1)) - place.features).numpy().ravel()
    size, deviation = {"gaussian": (np.sqrt(2 / np.pi), 1.0), "laplace": (1.0, np.sqrt(2))}[law]
    assert np.abs(noise).mean() == pytest.approx(size * one.scale, rel=0.02)
    assert noise.std() == pytest.approx(deviation * one.scale, rel=0.02)
    assert len(np.unique(noise)) > 0.99 * len(noise)  # fresh for each number; float32 rounds some to the same


@pytest.mark.parametrize(("law", "order"), [("gaussian", 2), ("laplace", 1)])
def test_clipping_bounds_the_norm_of_each_record_and_its_direction_stays(law, order):
    (one,) = settled(Noise(law=law, scale=2.0, clip=0.3))
    assert one.scale == pytest.approx(0.6)
    features = torch.randn(30, 4, 2)
    features[0] = 0.0
    features[1] *= 1e-4
    found = one.without_noise(features)
    for before, after in zip(features.flatten(1), found.flatten(1), strict=True):
        length = np.linalg.norm(before.double().numpy(), order)
        factor = min(1.0, 0.3 / length) if length else 1.0
        np.testing.assert_allclose(after.numpy(), before.numpy() * factor, rtol=1e-5, atol=1e-7)


def test_epsilon_is_given_only_where_a_clip_bounds_the_features():
    assert Noise(scale=100.0).epsilon is None
    assert "no ε can be given" in Noise(scale=100.0).guarantee
    assert Noise(law="laplace", scale=4.0, clip=7.0).epsilon == pytest.approx(0.5)
    assert Noise(scale=2.0, clip=7.0).epsilon == pytest.approx(4.377, abs=0.001)
    assert "k queries spend k times that" in Noise(scale=2.0, clip=7.0).guarantee
    assert Noise(scale=3.0, clip=7.0).epsilon < Noise(scale=2.0, clip=7.0).epsilon


def test_mask_keeps_the_mean_and_draws_anew_for_each_record():
    features = torch.ones(2000, 50)
    sent = send(features, (Mask(0.6),), np.random.default_rng(0))
    assert sent.unique().tolist() == [0.0, pytest.approx(2.5)]
    assert float(sent.mean()) == pytest.approx(1.0, abs=0.02)
    assert len({tuple(row) for row in sent.tolist()}) == 2000


def test_sign_sends_one_number_of_the_features_size():
    place = place_of()
    (one,) = settled(Sign(), place)
    values = [abs(value) for value in place.features.flatten().tolist() if value]
    assert one.size == pytest.approx(sum(values) / len(values), rel=1e-5)
    assert one.send(torch.tensor([[-3.0, 0.0, 1e-6]]), DRAWS).tolist() == [
        [pytest.approx(-one.size), 0.0, pytest.approx(one.size)]
    ]


def test_sparsify_keeps_the_largest_in_size():
    features = torch.randn(20, 2, 5)
    sent = Sparsify(0.3).send(features, DRAWS)
    for before, after in zip(features.flatten(1).tolist(), sent.flatten(1).tolist(), strict=True):
        largest = sorted(range(10), key=lambda i: -abs(before[i]))[:3]
        assert after == [before[i] if i in largest else 0.0 for i in range(10)]
    assert int((Sparsify(0.01).send(features, DRAWS) != 0).sum()) == 20  # one number at least


def test_quantise_sends_the_nearest_level_and_cuts_off_what_is_outside():
    place = place_of()
    (one,) = settled(Quantise(2), place)
    low, high = float(place.features.min()), float(place.features.max())
    levels = np.linspace(low, high, 4)
    sent = one.send(place.features, DRAWS).numpy()
    nearest = np.abs(place.features.numpy()[..., None] - levels).argmin(-1)
    np.testing.assert_allclose(sent, levels[nearest], rtol=1e-5, atol=1e-6)
    assert one.send(torch.tensor([[high + 9, low - 9]]), DRAWS).tolist()[0] == pytest.approx([high, low], abs=1e-5)
    (flat,) = settled(Quantise(2), CutPlace(place.first, place.second, place.records, torch.full((4, 3), 2.0)))
    assert flat.send(torch.full((1, 3), 2.0), DRAWS).tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize("after", [None, nn.Sequential(nn.Identity(), nn.Dropout(0.5), nn.Linear(12, 4), nn.ReLU())])
def test_null_space_keeps_the_answers_and_removes_the_rest(after):
    place = place_of(network(after).eval())
    (one,) = settled(NullSpace(), place)
    sent = one.send(place.features, DRAWS)
    torch.testing.assert_close(place.second(sent)[0], place.second(place.features)[0], rtol=0, atol=1e-5)
    assert int(torch.linalg.matrix_rank(sent)) == 4
    assert float((sent - place.features).abs().max()) > 0.01
    torch.testing.assert_close(one.send(sent, DRAWS), sent, rtol=1e-4, atol=1e-5)
    weight = next(layer for layer in place.second.modules() if isinstance(layer, nn.Linear)).weight.double().numpy()
    twin = weight.T @ np.linalg.pinv(weight @ weight.T) @ weight
    np.testing.assert_allclose(one.matrix.numpy(), twin, atol=1e-5)


@pytest.mark.parametrize(
    ("after", "cut", "told"),
    [
        (nn.Linear(12, 20), "2", "reads all 12 directions of the features, so it removes nothing"),
        (nn.Sequential(nn.Tanh(), nn.Linear(12, 4)), "2", "got Tanh"),
        (None, "1", "got ReLU"),
    ],
)
def test_null_space_refuses_where_it_would_remove_nothing_or_change_answers(after, cut, told):
    with pytest.raises(ConfigError, match=told) as caught:
        settled(NullSpace(), place_of(network(after), cut))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("cut", ["1", "2"])
def test_fisher_noise_meets_its_target(cut):
    place = place_of(records=60, cut=cut)
    (one,) = settled(FisherNoise(target=2.0, probes=400), place)
    total = 0.0
    for record in place.records:
        jacobian = torch.autograd.functional.jacobian(lambda x: place.first(x[None].clone())[0], record)
        total += float((jacobian**2).sum()) / one.scale**2 / 9
    assert total / 60 == pytest.approx(2.0, rel=0.05)


def test_fisher_noise_refuses_tokens_and_features_that_never_change():
    place = place_of()
    with pytest.raises(ConfigError, match="plain numbers"):
        settled(FisherNoise(), CutPlace(place.first, place.second, torch.ones(4, 3, dtype=torch.int64), place.features))
    with pytest.raises(ConfigError, match="do not change"):
        settled(FisherNoise(), CutPlace(lambda x: 0 * x.flatten(1), place.second, place.records, place.features))


def test_only_noise_that_comes_last_has_fisher_information():
    place = place_of()
    rng = np.random.default_rng(0)
    assert noisy_step(settle((NullSpace(), Noise()), place, rng)) is not None
    for chain in ((), (NullSpace(),), (Noise(), NullSpace()), (Noise(), Noise()), (Mask(), Noise()), (Noise(), Sign())):
        assert noisy_step(settle(chain, place, rng)) is None


def test_each_defense_sees_what_the_ones_before_it_send():
    place = place_of()
    _, second = settle((Sparsify(0.2), Quantise(4)), place, np.random.default_rng(0))
    assert second.low == float(Sparsify(0.2).send(place.features, DRAWS).min())


class Broken:
    """Gives nothing that sends."""

    def fitted(self, place):
        return 3


def test_a_defense_of_the_user_that_gives_nothing_to_send_is_refused():
    with pytest.raises(TrainingError, match="method `send`, got int"):
        settled(Broken())
    assert restored(Broken(), {}) is None


def test_what_is_kept_must_have_fields():
    with pytest.raises(TrainingError, match="must be a dataclass if there is `restored`, got int"):
        kept_of(3)
