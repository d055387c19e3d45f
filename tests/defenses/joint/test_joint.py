"""Defenses of joint stages: twins by loops, noise beside the accountant, one message for training and the record."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from training.joint.parties import CPU, HP, LOCAL, NAMES, STEPS, agreement, holding, keeper, trunk_and_head

from dosimeter.defenses import DPSGD, SGLD, Compress, DPMoments, MixUp, Noise, SecureSum
from dosimeter.foundation.errors import ConfigError, DataError, TrainingError
from dosimeter.statistics.leakage.local_privacy import gaussian_epsilon
from dosimeter.training.joint.alignment import coral
from dosimeter.training.joint.gradients import others_gradient, others_update
from dosimeter.training.joint.guarding import Guard, bounded, guarantees, most_batches
from dosimeter.training.joint.job import agree
from dosimeter.training.joint.methods import joint_defense_problems
from dosimeter.training.joint.moments import coral_of_moments, linear_mmd_of_moments
from dosimeter.training.joint.organisation import Organisation, keeper_of
from dosimeter.training.joint.protocols import fixed_sum, run_protocol
from dosimeter.training.joint.transcript import COORDINATOR, Transcript, Wire, read_transcript, write_transcript
from dosimeter.training.recipe import Hyperparameters

DRAWS = np.random.default_rng(0)
PLAIN = Hyperparameters(lr=0.1, momentum=0.0)


def defended(*defenses, hp=HP):
    """The recipe with some defenses."""
    return replace(hp, defenses=defenses)


def arrays(seed=0):
    """A gradient of two parameters."""
    torch.manual_seed(seed)
    return {"0.weight": torch.randn(3, 4), "0.bias": torch.randn(3)}


def apart(index, hp, method=""):
    """A party whose batches hold each record once, 4 of its 30 records in each of 4 steps."""
    own = holding(index)
    rows = np.stack([np.random.default_rng(100 * index + step).permutation(30)[:4] for step in range(STEPS)])
    own = replace(own, batches=rows)
    settled = bounded(hp, rows, 30, NAMES[index])
    model = trunk_and_head(0)[0], trunk_and_head(10 + index)[1]
    return Organisation(NAMES[index], own, model, settled, seed=index, device=CPU, method=method), own


def trained(method, hp, weight=2.0):
    """Both train, with batches that hold each record once."""
    parties, wire = [apart(index, hp, method)[0] for index in (0, 1)], Wire()
    run_protocol(agreement(method, hp, weight), parties, keeper(method, hp, weight), wire)
    return Transcript(agreement(method, hp, weight), tuple(wire.messages)), parties


# What is sent


def test_the_largest_numbers_of_the_whole_gradient_are_sent():
    given = arrays()
    sent = Compress(keep=0.2).protect(given, DRAWS)
    both = sorted((abs(float(v)) for one in given.values() for v in one.flatten()), reverse=True)
    for name, one in given.items():
        wanted = [float(v) if abs(float(v)) >= both[2] else 0.0 for v in one.flatten()]  # 0.2 · 15 numbers
        assert sent[name].flatten().tolist() == wanted


def test_signs_have_the_mean_size_and_levels_are_few():
    given = arrays()
    row = torch.cat([one.flatten() for one in given.values()])
    signs = Compress(how="sign").protect(given, DRAWS)
    for name, one in given.items():
        torch.testing.assert_close(signs[name], one.sign() * row.abs().mean())
    levels = Compress(how="quantise", bits=2).protect(given, DRAWS)
    found = torch.cat([one.flatten() for one in levels.values()])
    ladder = torch.linspace(float(row.min()), float(row.max()), 4)
    nearest = ladder[(row[:, None] - ladder[None]).abs().argmin(1)]
    torch.testing.assert_close(found, nearest, rtol=1e-5, atol=1e-6)
    assert {name: one.shape for name, one in levels.items()} == {name: one.shape for name, one in given.items()}


def test_settings_of_another_way_are_refused():
    for wrong in ({"how": "sign", "keep": 0.1}, {"bits": 4}, {"how": "quantise", "keep": 0.2}):
        with pytest.raises(ValueError, match=r"(keep|bits) must be left out, as only how = '(top-k|quantise)' has it"):
            Compress(**wrong)


def test_rows_are_clipped_and_their_noise_has_the_scale_of_the_clip():
    features = torch.from_numpy(np.random.default_rng(1).normal(size=(4000, 6))).float()
    defense = Noise(scale=0.5, clip=1.5)
    sent = defense.protect({"features": features}, np.random.default_rng(2))["features"]
    clipped = torch.stack([row * min(1.0, 1.5 / float(row.norm())) for row in features])
    noise = sent - clipped
    assert float(noise.std()) == pytest.approx(0.75, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)


def test_moments_are_those_of_clipped_rows_with_noise_of_their_sensitivity():
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(8, 3))).float()
    clipped = torch.stack([row * min(1.0, 0.7 / float(row.norm())) for row in rows])
    defense, draws = DPMoments(scale=2.0, clip=0.7), np.random.default_rng(3)
    sent = [defense.protect({"features": rows}, draws) for _ in range(4000)]
    mean = torch.stack([one["mean"] for one in sent]) - clipped.mean(0)
    second = torch.stack([one["second"] for one in sent]) - torch.einsum("ni,nj->ij", clipped, clipped) / 8
    assert float(mean.std()) == pytest.approx(2 * 0.7 * 2.0 / 8, rel=0.03)
    assert float(second[:, [0, 1, 2], [0, 1, 2]].std()) == pytest.approx(2 * 0.7**2 * 2.0 / 8, rel=0.03)
    assert torch.equal(second, second.transpose(1, 2))
    assert float(sent[0]["count"]) == 8


def test_no_exchange_of_a_record_moves_moments_by_more_than_the_noise_is_for():
    rng, clip, n = np.random.default_rng(4), 0.7, 8
    silent = DPMoments(scale=1e-9, clip=clip)
    largest = [0.0, 0.0]
    for _ in range(300):
        rows = torch.from_numpy(rng.normal(size=(n, 3)) * 5)
        other = rows.clone()
        other[0] = torch.from_numpy(rng.normal(size=3) * 5)
        a, b = (silent.protect({"features": one}, rng) for one in (rows, other))
        for place, name in enumerate(("mean", "second")):
            largest[place] = max(largest[place], float((a[name] - b[name]).norm()))
    assert 1.2 * clip / n < largest[0] <= 2 * clip / n + 1e-6
    assert clip**2 / n < largest[1] <= math.sqrt(2) * clip**2 / n + 1e-6 < 2 * clip**2 / n


# Distances of moments


def pair(seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(5, 3))), torch.from_numpy(rng.normal(0.5, 2, size=(7, 3)))


def moments(rows):
    return {"mean": rows.mean(0), "second": rows.T @ rows / len(rows), "count": torch.tensor([float(len(rows))])}


def test_coral_of_exact_moments_is_coral_with_its_gradients():
    a, b = (one.requires_grad_() for one in pair())
    whole, shown = coral(a.detach(), b.detach()), moments(a)
    found = coral_of_moments({name: one.detach() for name, one in shown.items()}, b.detach())
    torch.testing.assert_close(found.value, whole.value, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.receiver, whole.receiver, rtol=1e-9, atol=1e-12)
    pulled = sum((shown[name] * one).sum() for name, one in found.source.items())
    (through,) = torch.autograd.grad(pulled, a)
    torch.testing.assert_close(through, whole.source, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("distance", [coral_of_moments, linear_mmd_of_moments])
def test_gradients_of_moments_equal_those_of_automatic_differentiation(distance):
    a, b = pair(1)
    shown = {name: one.requires_grad_() for name, one in moments(a).items() if name != "count"}
    found = distance({**shown, "count": torch.tensor([5.0])}, b.requires_grad_())
    names = list(found.source)
    wanted = torch.autograd.grad(found.value, [*(shown[name] for name in names), b])
    torch.testing.assert_close([*found.source.values(), found.receiver], list(wanted), rtol=1e-9, atol=1e-12)


def test_the_linear_distance_is_that_of_means():
    a, b = pair(2)
    assert float(linear_mmd_of_moments(moments(a), b).value) == pytest.approx(
        float((a.mean(0) - b.mean(0)).square().sum())
    )


# One message for training and for the record


CASES = [
    ("fedsgd", Compress(keep=0.2)), ("hard", Compress(how="sign")), ("l2-sp", Compress(how="quantise", bits=3)),
    ("fedavg", Compress(keep=0.2)), ("coral", Compress(keep=0.2)), ("coral", Noise(scale=1.0, clip=1.0)),
    ("mmd", Noise(scale=1.0, clip=1.0, law="laplace")), ("dann", Noise(scale=1.0, clip=1.0)),
    ("coral", DPMoments()), ("mmd", DPMoments()), ("fedsgd", SGLD()), ("fedavg", SGLD()), ("fedsgd", MixUp()),
    ("coral", MixUp()),
    ("dsn", Compress(keep=0.2)),
]  # fmt: skip


@pytest.mark.parametrize(("method", "defense"), CASES, ids=str)
def test_training_moves_by_the_messages_that_were_recorded(method, defense):
    """The trunk of each step follows from the trunk before and the recorded messages alone, by the library's SGD."""
    hp = defended(defense, hp=PLAIN if isinstance(defense, SGLD) else HP)
    transcript, _ = trained(method, hp)
    assert not same(transcript, trained(method, replace(hp, defenses=()))[0])
    own = [nn.Parameter(one.clone()) for one in transcript.of("trunk")[0].values()]
    known = transcript.agreement
    optimizer = torch.optim.SGD(own, lr=1.0, momentum=known.momentum, weight_decay=known.weight_decay)
    for step in range(known.steps):
        kind = "update" if method == "fedavg" else "gradient"
        sent = [list(transcript.of(kind, name)[step].values()) for name in NAMES]
        optimizer.param_groups[0]["lr"] = known.rates[step]
        start = transcript.of("trunk")[0].values()
        for place, (p, first) in enumerate(zip(own, start, strict=True)):
            total = sent[0][place] + sent[1][place]
            if method == "fedavg":
                p.data.add_(total / 2)
                continue
            p.grad = total / 2 if known.averaged else total
            if method == "l2-sp":
                p.grad = p.grad + known.weight * (p.detach() - first)
        if method != "fedavg":
            optimizer.step()
        for p, recorded in zip(own, transcript.of("trunk")[step + 1].values(), strict=True):
            torch.testing.assert_close(p.data, recorded, rtol=1e-5, atol=1e-6)


def same(one, other):
    """Returns whether two transcripts hold the same numbers."""
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(array, theirs[name]) for name, array in ours.items())


def test_the_receiver_answers_to_what_was_recorded_and_the_source_goes_back_through_it():
    """Both gradients of a noisy coral follow from the recorded representations, clip and noise included."""
    hp = defended(Noise(scale=0.5, clip=1.0), hp=PLAIN)
    transcript, _ = trained("coral", hp)
    (_, source), (_, receiver) = (apart(index, PLAIN) for index in (0, 1))
    trunk, head = trunk_and_head(0)[0], trunk_and_head(10)[1]
    sent = transcript.of("representations")[0]["features"]
    features = [trunk(own.inputs[own.batches[0]]) for own in (source, receiver)]
    noise = sent - features[0].detach() * (1 / features[0].detach().norm(dim=1, keepdim=True)).clamp(max=1)
    shown = features[0] * (1 / features[0].norm(dim=1, keepdim=True)).clamp(max=1) + noise
    covariances = torch.cov(shown.T) - torch.cov(features[1].T)
    aligned = 2.0 * covariances.square().sum() / (4 * 5**2)
    loss = nn.functional.cross_entropy(head(features[0]), source.labels[source.batches[0]]) + aligned
    wanted = torch.autograd.grad(loss, [*trunk.parameters()], retain_graph=True)
    summed = [transcript.of("gradient", name)[0] for name in NAMES]
    for total, *parts in zip(wanted, *(one.values() for one in summed), strict=True):
        torch.testing.assert_close(parts[0] + parts[1], total, rtol=1e-4, atol=1e-6)


def test_only_moments_cross_and_rows_do_not():
    transcript, _ = trained("coral", defended(DPMoments(clip=5.0)))
    for message in transcript.messages:
        if message.kind == "representations":
            assert {name: tuple(one.shape) for name, one in message.arrays.items()} == {
                "mean": (5,), "second": (5, 5), "count": (1,),
            }  # fmt: skip
        if message.kind == "alignment_gradient":
            assert set(message.arrays) == {"mean", "second"}


def test_a_party_computes_the_defended_gradient_of_the_other():
    transcript, _ = trained("fedsgd", defended(Compress(keep=0.1), hp=PLAIN))
    found = others_gradient(transcript.seen_by("receiver"), "receiver")
    for step, sent in transcript.of("gradient", "source").items():
        torch.testing.assert_close(found[step], dict(sent), rtol=0, atol=2e-6)
        assert sum(int((one != 0).sum()) for one in sent.values()) == round(0.1 * 65)


@dataclass(frozen=True)
class Own:
    """A user's defense, which is wrong."""

    paper: ClassVar[str] = "none"
    place: ClassVar[str] = "joint"
    ladder: ClassVar[tuple] = ()
    messages: ClassVar[tuple] = ("gradient",)
    how: str = "nan"

    def protect(self, arrays, rng):
        if self.how == "raise":
            raise KeyError("no such key")
        if self.how == "list":
            return list(arrays.values())
        name = next(iter(arrays))
        changed = {"nan": arrays[name] * float("nan"), "shape": arrays[name][:1]}[self.how]
        return {**arrays, name: changed}


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("nan", "must give finite numbers, got others for a gradient: correct it"),
        ("shape", "must give arrays of the names and shapes of a gradient, got others"),
        ("list", "must give tensors by name, got list"),
        ("raise", "raised KeyError"),
    ],
)
def test_a_wrong_defense_is_one_line(how, line):
    with pytest.raises(TrainingError) as caught:
        trained("fedsgd", defended(Own(how)))
    (problem,) = caught.value.problems
    assert problem.startswith(f"defense Own: `protect` {line}")


# Steps with noise, mixtures, bounded records


def test_noise_of_langevin_steps_has_the_deviation_of_the_rate():
    for rate in (0.1, 0.4):
        p = nn.Parameter(torch.zeros(20_000))
        p.grad = torch.ones(20_000)
        Guard(defended(SGLD(scale=0.2)), 5).disturb(0, [p], rate)
        moved = -rate * p.grad + rate
        assert float(moved.std()) == pytest.approx(0.2 * rate**0.5, rel=0.02)
        assert float(moved.mean()) == pytest.approx(0, abs=0.003)
    first, other = (torch.zeros(3, requires_grad=True) for _ in range(2))
    first.grad, other.grad = torch.zeros(3), torch.zeros(3)
    Guard(defended(SGLD()), 5).disturb(0, [first], 0.1)
    Guard(defended(SGLD()), 5).disturb(1, [other], 0.1)
    assert not torch.equal(first.grad, other.grad)


def test_mixed_records_and_labels_are_mixed_by_the_same_share():
    inputs, targets = torch.arange(12.0).reshape(6, 2), torch.eye(6)
    mixed, wanted = MixUp(alpha=1.0).mix(inputs, targets, np.random.default_rng(0))
    torch.testing.assert_close(wanted @ inputs, mixed)
    torch.testing.assert_close(wanted.sum(1), torch.ones(6))
    assert int((wanted > 0).sum(1).max()) == 2


def test_a_party_sends_the_gradient_of_mixtures():
    transcript, _ = trained("fedsgd", defended(MixUp(), hp=PLAIN))
    _, own = apart(0, PLAIN)
    trunk, head = trunk_and_head(0)[0], trunk_and_head(10)[1]
    inputs, labels = own.inputs[own.batches[0]], own.labels[own.batches[0]]
    mixed, wanted = Guard(defended(MixUp()), 0).mix(0, inputs, nn.functional.one_hot(labels, 3).float())
    logits = head(trunk(mixed))
    loss = -(wanted * torch.log_softmax(logits, 1)).sum(1).mean()
    for found, sent in zip(torch.autograd.grad(loss, list(trunk.parameters())),
                           transcript.of("gradient", "source")[0].values(), strict=True):  # fmt: skip
        torch.testing.assert_close(found, sent, rtol=1e-4, atol=1e-6)


def one_by_one(own, step, clip):
    """Gradients of trunk and head of each record of a batch, clipped together and summed: the slow twin."""
    trunk, head = trunk_and_head(0)[0], trunk_and_head(10)[1]
    parameters = [*trunk.parameters(), *head.parameters()]
    total = [torch.zeros_like(p) for p in parameters]
    for row in own.batches[step]:
        loss = nn.functional.cross_entropy(head(trunk(own.inputs[row : row + 1])), own.labels[row : row + 1])
        each = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(float(one.square().sum()) for one in each))
        for place, one in enumerate(each):
            total[place] += one * min(1.0, clip / norm)
    return total


def test_private_gradients_are_clipped_sums_with_the_noise_that_is_counted():
    clip, sigma = 0.5, 1.3
    hp = defended(DPSGD(noise_multiplier=sigma, clip=clip), hp=PLAIN)
    found = []
    for seed in range(300):
        _, own = apart(0, PLAIN)
        settled = bounded(hp, own.batches, 30, "source")
        model = trunk_and_head(0)[0], trunk_and_head(10)[1]
        party = Organisation("source", own, model, settled, seed=seed, device=CPU)
        found.append(torch.cat([one.flatten() for one in party.gradient(0).values()]))
    sums = torch.cat([one.flatten() for one in one_by_one(own, 0, clip)[:4]])
    noise = torch.stack(found) * 4 - sums
    assert float(noise.std()) == pytest.approx(clip * sigma, rel=0.02)
    assert float(noise.mean(0).abs().max()) < 5 * clip * sigma / 300**0.5


def test_the_head_moves_by_private_gradients_too():
    """Otherwise gradients of later steps would tell of records through the head."""
    hp = defended(DPSGD(noise_multiplier=50.0, clip=0.1), hp=PLAIN)
    (party, _), before = apart(0, hp), trunk_and_head(10)[1].weight
    party.gradient(0)
    moved = (party.head()["weight"] - before).detach() / PLAIN.lr * 4
    assert float(moved.std()) == pytest.approx(5.0, rel=0.5)  # 15 numbers of noise 50 · 0.1; the sum is below 0.4


def test_epsilon_is_that_of_as_many_gaussian_releases_as_there_are_batches_of_a_record():
    """The accountant of DP-SGD beside the exact formula of composed Gaussian noise."""
    rows = np.array([[0, 1], [1, 2], [1, 3], [4, 5]])
    assert most_batches(rows) == 3
    settled = bounded(defended(DPSGD(noise_multiplier=4.0, delta=1e-5)), rows, 30, "a")
    exact = gaussian_epsilon(math.sqrt(3) / 4.0, 1e-5)
    assert exact <= settled.privacy.epsilon * 1.0001
    assert settled.privacy.epsilon == pytest.approx(exact, rel=0.02, abs=0.01)
    aimed = bounded(defended(DPSGD(epsilon=2.0, delta=1e-5)), rows, 30, "a").privacy
    assert gaussian_epsilon(math.sqrt(3) / aimed.noise_multiplier, 1e-5) == pytest.approx(2.0, rel=0.03)
    (line,) = guarantees(settled, rows)
    assert line.startswith(f"epsilon {settled.privacy.epsilon:.3g} at delta 1e-05 for each record of this stage")


@pytest.mark.parametrize("defense", [DPMoments(scale=3.0), Noise(scale=3.0, clip=1.0)])
def test_what_is_shown_k_times_is_counted_k_times(defense):
    rows = np.array([[0, 1], [1, 2]])
    once = gaussian_epsilon(math.sqrt(2 if isinstance(defense, DPMoments) else 4) / 3, 1e-5)
    twice = gaussian_epsilon(math.sqrt(2) * math.sqrt(2 if isinstance(defense, DPMoments) else 4) / 3, 1e-5)
    assert f"epsilon {twice:.3g} at delta 1e-05" in guarantees(defended(defense), rows)[0]
    assert f"epsilon {once:.3g} at delta 1e-05" in guarantees(defended(defense), rows[:1])[0]
    assert "gradients that cross beside them are not covered" in guarantees(defended(defense), rows)[0]


@pytest.mark.parametrize("defense", [DPSGD(noise_multiplier=1.0), DPMoments()])
def test_a_batch_that_holds_a_record_twice_is_refused(defense):
    with pytest.raises(
        ConfigError, match="party 'a': defense DP.* bounds what one record does, so a batch must hold each"
    ):
        bounded(defended(defense), np.array([[0, 1], [2, 2]]), 30, "a")


@pytest.mark.parametrize("method", ["fedsgd", "fedavg", "soft", "hard", "l2-sp"])
def test_private_training_of_each_method_is_finite_and_another(method):
    hp = defended(DPSGD(noise_multiplier=1.0))
    transcript, _ = trained(method, hp, 0.1)
    assert not same(transcript, trained(method, HP, 0.1)[0])
    assert same(transcript, trained(method, hp, 0.1)[0])
    assert all(bool(one.isfinite().all()) for one in transcript.tensors().values())


# Sums of three

THREE = ("a", "b", "c")


def three(method, hp):
    """Three parties train; gives their transcript."""
    parties = []
    for index, name in enumerate(THREE):
        model = trunk_and_head(0)[0], trunk_and_head(10 + index)[1]
        parties.append(Organisation(name, holding(index), model, hp, seed=index, device=CPU))
    known = agree(method, THREE, hp, STEPS, local_steps=LOCAL if method == "fedavg" else 1)
    wire = Wire()
    run_protocol(known, parties, keeper_of(known, trunk_and_head(0)[0], hp), wire)
    return Transcript(known, tuple(wire.messages))


@pytest.mark.parametrize(("method", "kind"), [("fedsgd", "gradient"), ("fedavg", "update")])
def test_the_coordinator_sees_the_sum_of_three_and_no_part(method, kind, tmp_path):
    plain, hidden = three(method, PLAIN), three(method, defended(SecureSum(bits=20), hp=PLAIN))
    assert {one.kind for one in hidden.messages} == {"trunk", "sum"}
    for step, total in hidden.of("sum").items():
        for name, one in total.items():
            parts = sum(plain.of(kind, party)[step][name] for party in THREE)
            torch.testing.assert_close(one, parts, rtol=0, atol=1e-5)  # the rounding of 20 bits, in all steps before
            assert torch.equal(one * 2**20, (one * 2**20).round())
    torch.testing.assert_close(
        dict(hidden.of("trunk")[hidden.agreement.steps]),
        dict(plain.of("trunk")[plain.agreement.steps]),
        rtol=0,
        atol=1e-5,
    )
    assert not any(one.kind == "sum" for one in hidden.seen_by("a").messages)
    assert len(hidden.seen_by(COORDINATOR).of("sum")) == hidden.agreement.steps
    write_transcript(hidden, tmp_path)
    again, notes = read_transcript(tmp_path)
    assert notes == ()
    assert again.agreement == hidden.agreement
    assert same(again, hidden)


@pytest.mark.parametrize(
    ("method", "kind", "invert"), [("fedsgd", "gradient", others_gradient), ("fedavg", "update", others_update)]
)
def test_a_party_of_three_learns_the_sum_of_the_other_two(method, kind, invert):
    hidden, plain = three(method, defended(SecureSum(bits=30), hp=PLAIN)), three(method, PLAIN)
    seen, own = hidden.seen_by("b"), plain.of(kind, "b")
    with pytest.raises(DataError, match=f"with a secure sum no {kind} of a party crosses, got none of 'b': give"):
        invert(seen, "b")
    for step, found in invert(seen, "b", own).items():
        for name, one in found.items():
            both = plain.of(kind, "a")[step][name] + plain.of(kind, "c")[step][name]
            torch.testing.assert_close(one, both, rtol=0, atol=1e-5)


def test_sums_in_whole_numbers_are_those_of_masked_parts():
    """Masks that cancel modulo 2^64 leave the sum as it is: the twin of what is simulated."""
    rng = np.random.default_rng(0)
    parts = [torch.from_numpy(rng.normal(size=50)).float() for _ in range(4)]
    whole = [np.round(one.double().numpy() * 2.0**20).astype(np.int64).view(np.uint64) for one in parts]
    masks = [rng.integers(0, 2**64, size=50, dtype=np.uint64) for _ in range(3)]
    masks.append(-(masks[0] + masks[1] + masks[2]))
    total = sum((one + mask for one, mask in zip(whole, masks, strict=True)), np.zeros(50, np.uint64)).view(np.int64)
    wanted = torch.from_numpy(total / 2.0**20).float()
    assert torch.equal(fixed_sum(parts, 20), wanted)
    with pytest.raises(TrainingError, match="must be summed in 64 bits, got one of 1e.12 with 40 bits"):
        fixed_sum([torch.tensor([1e12])], 40)


# What cannot be


@pytest.mark.parametrize(
    ("method", "named", "line"),
    [
        (
            "fedsgd",
            ("noise", Noise(clip=1.0)),
            "noise changes representations, got transfer 'fedsgd', which sends no such",
        ),
        ("soft", ("compress", Compress()), "compress changes gradient and update, got transfer 'soft', which sends no"),
        ("coral", ("noise", Noise()), "noise needs the norm that features are clipped to, got none: set clip"),
        ("dann", ("dp_moments", DPMoments()), "dp_moments the discriminator of 'dann' reads rows, and this shows none"),
        (
            "coral",
            ("dp_sgd", DPSGD(epsilon=1.0)),
            "dp_sgd bounds gradients, got transfer 'coral', which shows features",
        ),
        ("fedsgd", ("sgld", SGLD()), "sgld is defined for steps without momentum, got momentum = 0.9: set 0"),
        (
            "fedsgd",
            ("secure_sum", SecureSum()),
            "secure_sum hides parts in a sum, got transfer 'fedsgd' with 2",
        ),
        (
            "hard",
            ("secure_sum", SecureSum()),
            "secure_sum hides parts in a sum, got transfer 'hard' with 2 par",
        ),
        ("fedsgd", ("own", object()), "own does not act where parties train together, got transfer 'fedsgd': use comp"),
    ],
)
def test_what_cannot_act_is_one_line(method, named, line):
    (problem,) = joint_defense_problems(method, [named], HP, 2)
    assert problem.startswith(line)


def test_two_that_decide_one_step_are_refused():
    several = [("dp_sgd", DPSGD(epsilon=1.0)), ("mixup", MixUp()), ("mixup", MixUp(2.0))]
    found = joint_defense_problems("fedsgd", several, HP, 2)
    assert any("one of a kind acts in a stage, got mixup and mixup: keep one" in one for one in found)
    assert any("dp_sgd bounds what one record does, got mixup, which mixes two: keep one" in one for one in found)
    assert joint_defense_problems("coral", [("noise", Noise(clip=1.0)), ("compress", Compress())], HP, 2) == []
