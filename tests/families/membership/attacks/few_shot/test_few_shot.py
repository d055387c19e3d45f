"""Few-shot attacks against slow twins, episodes, and what they refuse."""

import dataclasses

import numpy as np
import oracles
import pytest
import torch
from synthetic import fleet

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks import LaplacianShot, SimpleShot, TransductiveTuning
from dosimeter.families.membership.attacks.few_shot import (
    embedding,
    episodes,
    features,
    gallery,
    laplacian_shot,
    simple_shot,
    tuning,
)
from dosimeter.families.membership.known import Known

RNG = np.random.default_rng


def drawn(shots=5, d=4, queries=30, seed=0):
    """A support, its bits, and queries."""
    rng = RNG(seed)
    bits = np.repeat([True, False], shots)
    return rng.normal(size=(2 * shots, d)) + bits[:, None], bits, rng.normal(size=(queries, d))


@pytest.mark.parametrize("shots", [1, 2, 5, 10])
def test_neighbours_are_those_of_a_slow_search(shots):
    support, bits, queries = drawn(shots)
    points, asked = gallery.alike(support, bits, queries)
    assert len(points.points) == (2 if shots == 1 else 2 * shots + 2)
    shares = gallery.neighbour_shares(gallery.squared_distances(asked, points.points), points.is_member)
    for count in range(1, len(points.points) + 1):
        np.testing.assert_allclose(shares[:, count - 1], oracles.simple_shot(support, bits, queries, count), atol=1e-9)


def test_the_number_of_neighbours_is_that_of_leaving_one_out():
    """The choice of the fast way is that of a loop that makes each gallery anew."""
    for seed in range(20):
        support, bits, _ = drawn(4, seed=seed)
        losses = []
        for count in range(1, 10, 2):
            loss = 0.0
            for one in range(8):
                rest = np.arange(8) != one
                share = oracles.simple_shot(support[rest], bits[rest], support[[one]], count)[0]
                loss -= np.log(max(share if bits[one] else 1 - share, 1e-6))
            losses.append(loss)
        best = 1 + 2 * max(i for i, loss in enumerate(losses) if loss <= min(losses) + 1e-12)
        found = simple_shot.by_neighbours(support, bits, support)
        np.testing.assert_allclose(found, oracles.simple_shot(support, bits, support, best), atol=1e-9)


def graph_of(order, near, symmetric):
    """Neighbours of each query with their shares, as the slow twin takes them."""
    q = len(order)
    one_way = [{int(other): 1.0 for other in row[: near - 1]} for row in order]
    if not symmetric:
        return one_way
    both = [{} for _ in range(q)]
    for here in range(q):
        for other, share in one_way[here].items():
            both[here][other] = both[here].get(other, 0) + share / 2
            both[other][here] = both[other].get(here, 0) + share / 2
    return both


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("weight", "near"), [(0.0, 3), (1.0, 3), (2.9, 15)])
def test_assignments_are_those_of_a_slow_loop(symmetric, weight, near):
    support, bits, queries = drawn(5)
    points, asked = gallery.alike(support, bits, queries)
    among = gallery.squared_distances(asked, asked)
    np.fill_diagonal(among, np.inf)
    order = np.argsort(among, axis=1, kind="stable")
    graph = laplacian_shot.neighbours(order, near, symmetric=symmetric)
    distances = gallery.squared_distances(asked, points.points)
    found = laplacian_shot.assign(distances, weight * graph[None])[0]
    neighbours = graph_of(order, near, symmetric)
    trials = [oracles.laplacian_shot(distances, weight, neighbours, count) for count in range(21)]
    energies = [oracles.laplacian_energy(one, distances, weight, neighbours) for one in trials]
    settled = [i for i in range(1, 21) if abs(energies[i] - energies[i - 1]) <= 1e-6 * abs(energies[i - 1])]
    np.testing.assert_allclose(found, trials[settled[0] if settled else 20], atol=1e-9)
    logs, pull = np.log(np.maximum(found, 1e-300)), weight * (graph @ found)
    energy = laplacian_shot.energy(found[None], logs[None], distances, pull[None])[0]
    assert energy == pytest.approx(oracles.laplacian_energy(found, distances, weight, neighbours), rel=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_settled_assignment_is_a_fixed_point():
    support, bits, queries = drawn(5)
    points, asked = gallery.alike(support, bits, queries)
    among = gallery.squared_distances(asked, asked)
    np.fill_diagonal(among, np.inf)
    graph = laplacian_shot.neighbours(np.argsort(among, axis=1), 3, symmetric=True)
    distances = gallery.squared_distances(asked, points.points)
    found = laplacian_shot.assign(distances, 0.5 * graph[None])[0]
    again = np.exp(0.5 * graph @ found - distances)
    np.testing.assert_allclose(found, again / again.sum(axis=1, keepdims=True), atol=1e-3)


def test_settings_together_are_settings_one_by_one():
    support, bits, queries = drawn(5)
    points, asked = gallery.alike(support, bits, queries)
    grid = [(weight, near) for weight in laplacian_shot.WEIGHTS for near in laplacian_shot.NEAR]
    together = laplacian_shot.shares(asked, points, grid)
    for row, one in zip(together, grid, strict=True):
        np.testing.assert_allclose(row, laplacian_shot.shares(asked, points, [one])[0], atol=1e-12)


def net_of(seed=0, features_=6, classes=3):
    torch.manual_seed(seed)
    layers = (torch.nn.Linear(features_, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, classes))
    return torch.nn.Sequential(*layers)


def batch(rows, bits=None, seed=1, classes=3):
    rng = RNG(seed)
    inputs = torch.from_numpy(rng.normal(size=(rows, 6))).float()
    known = torch.empty(0, dtype=torch.bool) if bits is None else torch.from_numpy(bits)
    return tuning.Batch(inputs, torch.from_numpy(rng.integers(classes, size=rows)), known)


def test_tuning_starts_from_the_class_means_and_leaves_the_model_alone():
    net, support = net_of(), batch(10, np.repeat([True, False], 5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    own = tuning.begin(net, tuning.released_reading, support, released=True)
    answers = net.eval()(support.inputs).detach().numpy()
    np.testing.assert_allclose(own.weight.detach().numpy(), oracles.tuning_start(answers, support.is_member), atol=1e-9)
    assert (own.bias == 0).all()
    for _ in range(3):
        optimizer = torch.optim.Adam(tuning.trainable(own), 0.1)
        tuning.epoch(own, optimizer, support, batch(20), 7.0, released=True)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not torch.equal(own.net[0].weight, net[0].weight)
    assert not torch.equal(own.net[1].running_mean, net[1].running_mean)


def test_the_mended_start_is_the_nearest_class_mean_and_keeps_statistics():
    net, support, queries = net_of(), batch(10, np.repeat([True, False], 5)), batch(20, seed=2)
    read = tuning.label_aware(net, queries)
    own = tuning.begin(net, read, support, released=False)
    rows, asked = (read(net(one.inputs), one.labels).detach().numpy() for one in (support, queries))
    expected = simple_shot.nearer_to_members(rows, support.is_member.numpy(), asked) / 2
    np.testing.assert_allclose(own.odds(queries).numpy(), expected, atol=1e-6)
    tuning.epoch(own, torch.optim.Adam(tuning.trainable(own), 0.1), support, queries, 7.0, released=False)
    assert torch.equal(own.net[1].running_mean, net[1].running_mean)


def test_one_epoch_is_a_step_on_the_support_and_one_on_the_entropy():
    """With Adam written out: the first step moves every weight by the learning rate against its gradient's sign."""
    net, support, queries = net_of(), batch(10, np.repeat([True, False], 5)), batch(20, seed=2)
    own = tuning.begin(net, tuning.released_reading, support, released=False)
    read = net.eval()

    def odds(weight, bias, one):
        return torch.relu(read(one.inputs).double()).detach() @ weight.T + bias

    weight = own.weight.detach().clone().requires_grad_()
    torch.nn.functional.cross_entropy(odds(weight, own.bias.detach(), support), support.is_member.long()).backward()
    first = own.weight.detach() - 1e-3 * weight.grad / (weight.grad.abs() + 1e-8)
    tuned = tuning.begin(net, tuning.released_reading, support, released=False)
    optimizer = torch.optim.Adam(tuning.trainable(tuned), 1e-3)
    optimizer.zero_grad()
    tuned.eval().loss(support).backward()
    optimizer.step()
    np.testing.assert_allclose(tuned.weight.detach(), first, atol=1e-7)
    shares = torch.softmax(tuned(queries) / 7, 1)
    entropy = -(shares * shares.log()).sum(1).mean()
    assert tuned.entropy(queries, 7.0).item() == pytest.approx(entropy.item(), rel=1e-9)


def game_of(seed=0, **settings):
    return fleet(seed, **{"leakage": 1.0, "n_records": 100, **settings})[0]


def test_episodes_are_disjoint_and_judge_every_record_once():
    game = game_of()
    for mode, count in (("mended", 7), ("as_released", 4)):
        plan = episodes.plan_of(mode, 5, 7, 100, 60)
        assert plan.count == count
        for target, own in enumerate(episodes.draw(game, plan, RNG(0))):
            judged = np.concatenate([one.queries[: one.judged] for one in own])
            assert sorted(judged) == list(range(100))
            for one in own:
                bits = game.known.is_member[target]
                assert (one.is_member == bits[one.support]).all()
                assert one.is_member.sum() == (~one.is_member).sum() == 5
                assert len(one.validation) == (30 if mode == "as_released" else 0)
                assert not set(one.support) & set(one.validation)
                assert len(set(one.queries)) == len(one.queries)
                assert len(one.queries) == (60 if mode == "mended" else 30)


def test_labels_count_the_validation_too():
    for kind in (SimpleShot, LaplacianShot, TransductiveTuning):
        assert kind(5).labels == 10
        assert kind(5, "as_released").labels == 40
        assert kind(5).needs.labelled == 5
        assert kind(5, "as_released").needs.labelled == 20
    assert NamedAttack("a", "a", TransductiveTuning()).trainings is None


def test_only_the_bits_of_the_support_are_read():
    """Any known record that leaves the drawn support as it is may have the wrong bit."""
    game = game_of(n_targets=1)
    plan = episodes.plan_of("mended", 5, 1, 100)
    ((one,),) = episodes.draw(game, plan, RNG(0))
    expected, changed = SimpleShot(5, episodes=1).run(game, RNG(0)).values, 0
    for record in np.setdiff1d(np.arange(len(game.known.ids)), one.support):
        bits = game.known.is_member.copy()
        bits[0, record] ^= True
        other = with_known(game, is_member=bits)
        ((again,),) = episodes.draw(other, plan, RNG(0))
        if np.array_equal(again.support, one.support):
            changed += 1
            assert np.array_equal(SimpleShot(5, episodes=1).run(other, RNG(0)).values, expected)
    assert changed > 40


def with_known(game, **changes):
    return dataclasses.replace(game, known=dataclasses.replace(game.known, **changes))


def test_bad_known_records_are_refused():
    game = game_of()
    attack = SimpleShot(10)
    ids = game.known.ids.copy()
    ids[3] = game.ids[7]
    with pytest.raises(ValueError, match="known records must not be judged, got 1 that are, the first is '7'"):
        attack.run(with_known(game, ids=ids), RNG(0))
    one_class = np.ones_like(game.known.is_member)
    with pytest.raises(ValueError, match="at least 10 known members and 10 known non-members of each target, got 0"):
        attack.run(with_known(game, is_member=one_class), RNG(0))
    few = game.known.is_member.copy()
    few[1, np.flatnonzero(few[1])[9:]] = False
    with pytest.raises(ValueError, match="of each target, got 9: label more records, or take fewer shots"):
        attack.run(with_known(game, is_member=few), RNG(0))
    with pytest.raises(ValueError, match="needs at least 50 known members and 50 known non-members .* got 45"):
        SimpleShot(50).run(game, RNG(0))
    with pytest.raises(ValueError, match="of each target, got 0"):
        attack.run(dataclasses.replace(game, known=None), RNG(0))
    narrow = {name: values for name, values in game.known.outputs.items()}
    narrow["logits"] = narrow["logits"][..., :1]
    with pytest.raises(ValueError, match="known and judged records must have equal widths, got 1 and 2"):
        SimpleShot(5, features="logits").run(with_known(game, outputs=narrow), RNG(0))
    broken = {name: values.copy() for name, values in game.known.outputs.items()}
    broken["logit_confidence"][0, 0, 3] = np.nan
    with pytest.raises(ValueError, match=r"known.outputs\['logit_confidence'\] must be finite, got 1"):
        attack.run(with_known(game, outputs=broken), RNG(0))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SimpleShot, {"shots": 0}, "shots must be in"),
        (LaplacianShot, {"episodes": 0}, "episodes must be in"),
        (SimpleShot, {"mode": "as_released", "meta": True}, "meta must be false as released"),
        (TransductiveTuning, {"epochs": 0}, "epochs must be in"),
        (TransductiveTuning, {"lr": 0.0}, "lr must be in"),
        (TransductiveTuning, {"features": "base-relative"}, "must be 'logits' or 'label-aware' to be tuned"),
    ],
)
def test_bad_settings_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_copies_of_a_known_record_and_equal_answers_give_finite_scores():
    game = game_of()
    tables = {name: values.copy() for name, values in game.known.outputs.items()}
    for name, values in tables.items():
        values[:, :, :20] = game.outputs[name][:, :, :20]
    for attack in (SimpleShot(5), SimpleShot(5, "as_released"), LaplacianShot(5), LaplacianShot(5, "as_released")):
        assert np.isfinite(attack.run(with_known(game, outputs=tables), RNG(0)).values).all()
    flat = {name: np.ones_like(values) for name, values in game.outputs.items()}
    same = {name: np.ones_like(values) for name, values in game.known.outputs.items()}
    still = dataclasses.replace(with_known(game, outputs=same), outputs=flat, population=None)
    for attack in (SimpleShot(5), SimpleShot(5, "as_released"), LaplacianShot(5), LaplacianShot(5, "as_released")):
        assert len(np.unique(attack.run(still, RNG(0)).values.round(9))) <= 2


def test_an_embedding_reads_no_target():
    game = game_of(n_shadows=6)
    learned = embedding.train(game, "base-relative", 5, RNG(0))
    silent = {name: np.zeros_like(values) for name, values in game.outputs.items()}
    again = embedding.train(dataclasses.replace(game, outputs=silent), "base-relative", 5, RNG(0))
    assert np.array_equal(learned.matrix, again.matrix)
    assert learned.matrix.shape == (5, 5)


def test_an_embedding_learns_what_separates_the_shadows():
    """One number of three depends on membership, the others are ten times as large: the map must find it."""
    rng = RNG(0)
    bits = np.stack([rng.permutation(200) < 100 for _ in range(4)])
    values = rng.normal(size=(4, 200, 3))
    values[..., 0] += 1.5 * bits
    matrix = embedding._fit(values, bits, np.eye(3), 5, RNG(1))
    strength = np.linalg.norm(matrix, axis=1)
    assert strength[0] > 2 * strength[1:].max()


def test_features_of_a_shadow_are_relative_to_the_other_pairs():
    game = game_of(n_shadows=4)
    played, _ = game.rehearse(0)
    rows = features.rows_of(played, "base-relative", 0)
    phi = game.shadow_outputs["logit_confidence"][:, 0]
    out = np.array([np.mean([phi[s, i] for s in (2, 3) if not game.shadow_in[s, i]]) for i in range(100)])
    np.testing.assert_allclose(rows.judged[:, -2], out)
    np.testing.assert_allclose(rows.judged[:, -1], phi[0] - out)
    assert isinstance(played.known, Known)


@pytest.mark.parametrize("attack", [SimpleShot(5, episodes=8), LaplacianShot(1, episodes=8)], ids=["ss", "ls"])
def test_false_bits_of_support_and_judged_records_keep_the_null_law(attack):
    """The null audit on models that leak: AUCs of 40 draws have the mean and the spread of a permutation."""
    found = []
    for seed in range(40):
        game, truth = fleet(seed, leakage=2.0, n_records=100, n_targets=1, n_shadows=2)
        rng = RNG([seed, 7])
        false = dataclasses.replace(game.known, is_member=rng.permuted(game.known.is_member, axis=1))
        scores = attack.run(dataclasses.replace(game, known=false), RNG(seed)).values[0]
        found.append(oracles.auc(scores, rng.permutation(truth.is_member[0])))
    error = np.sqrt(101 / (12 * 50 * 50))
    assert abs(np.mean(found) - 0.5) < 4.5 * error / np.sqrt(40)
    assert 0.6 < np.std(found) / error < 1.4
