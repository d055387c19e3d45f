"""Losses against their formulas, batched heads against one-by-one training, networks against heads."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from defenses import twins
from defenses.twins import CPU, C, D, K, data, one_head
from dosimeter.defenses import HAMP, L2, Dropout, EarlyStopping, LabelSmoothing, NegativeLabelSmoothing, RelaxLoss
from dosimeter.models.architectures import mlp
from dosimeter.training.heads import train_heads
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters

LOSSES = {
    "label_smoothing": (LabelSmoothing(0.3), lambda rows, y, _: twins.label_smoothing(rows, y, 0.3)),
    "negative_label_smoothing": (
        NegativeLabelSmoothing(-0.05),
        lambda rows, y, _: twins.label_smoothing(rows, y, -0.05),
    ),
    "relax_loss below": (RelaxLoss(2.5), lambda rows, y, epoch: twins.relax_loss(rows, y, 2.5, epoch)),
    "relax_loss above": (RelaxLoss(0.1), lambda rows, y, epoch: twins.relax_loss(rows, y, 0.1, epoch)),
    "hamp": (HAMP(0.6, 0.2), lambda rows, y, _: twins.hamp(rows, y, HAMP(0.6, 0.2).top(C), 0.2)),
}


@dataclass
class Ramp:
    """A factor of the size that the schedule has in an epoch."""

    epsilon: float


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_paper_for_one_batch_and_for_several(name, epoch):
    defense, twin = LOSSES[name]
    rng = np.random.default_rng(1)
    logits, labels = torch.from_numpy(rng.normal(0, 2, (3, 11, C))), torch.from_numpy(rng.integers(C, size=(3, 11)))
    wanted = [twin(rows, y, epoch) for rows, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    torch.testing.assert_close(defense.loss(logits, labels, epoch).tolist(), wanted, rtol=1e-9, atol=1e-9)
    for one, y, value in zip(logits, labels, wanted, strict=True):
        assert float(defense.loss(one, y, epoch)) == pytest.approx(value, abs=1e-9)


def test_label_smoothing_has_the_gradient_that_is_known():
    rng = np.random.default_rng(2)
    z, y = torch.from_numpy(rng.normal(0, 2, (9, C))).requires_grad_(), torch.from_numpy(rng.integers(C, size=9))
    LabelSmoothing(0.3).loss(z, y, 0).backward()
    target = 0.7 * torch.nn.functional.one_hot(y, C).double() + 0.3 / C
    torch.testing.assert_close(z.grad, (torch.softmax(z.detach(), 1) - target) / 9, rtol=1e-9, atol=1e-12)


def test_relax_loss_descends_above_alpha_and_ascends_below():
    rng = np.random.default_rng(3)
    z, y = torch.from_numpy(rng.normal(0, 1, (8, C))), torch.from_numpy(rng.integers(C, size=8))
    plain = torch.autograd.functional.jacobian(lambda one: torch.nn.functional.cross_entropy(one, y), z)
    for alpha, sign in ((0.01, 1), (50.0, -1)):
        slope = torch.autograd.functional.jacobian(lambda one, a=alpha: RelaxLoss(a).loss(one, y, 0), z)
        torch.testing.assert_close(slope, sign * plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("entropy", [0.05, 0.4, 0.95, 0.999])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_labels_of_hamp_have_the_entropy_asked_for(entropy, classes):
    q = HAMP(entropy).top(classes)
    assert q > 1 / classes
    p = [q] + [(1 - q) / (classes - 1)] * (classes - 1)
    assert twins.entropy(p) == pytest.approx(entropy * np.log(classes), abs=1e-6)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(
    ("defenses", "how"),
    [
        ((LabelSmoothing(0.3),), {"loss": LabelSmoothing(0.3).loss}),
        (
            (NegativeLabelSmoothing(-0.3, start=0.2, full=0.8),),
            {"loss": lambda z, y, epoch: LabelSmoothing.loss(Ramp((0, -0.1, -0.2, -0.3, -0.3)[epoch]), z, y, epoch)},
        ),
        ((RelaxLoss(0.8),), {"loss": RelaxLoss(0.8).loss}),
        ((HAMP(0.5, 0.1),), {"loss": HAMP(0.5, 0.1).loss}),
        ((Dropout(0.4),), {"hide": Dropout(0.4).hide}),
        ((Dropout(0.4), RelaxLoss(0.8)), {"loss": RelaxLoss(0.8).loss, "hide": Dropout(0.4).hide}),
    ],
    ids=["label_smoothing", "negative_label_smoothing", "relax_loss", "hamp", "dropout", "both"],
)
def test_batched_heads_equal_one_by_one_training(defenses, how, standardise):
    features, labels, rows = data()
    hp = Hyperparameters(epochs=5, batch_size=8, lr=0.05, standardise=standardise, defenses=defenses)
    heads = train_heads(features, labels, rows, hp, classes=C, seeds=[7, 8, 9, 10], device=CPU)
    for i, own in enumerate(rows):
        weight, bias = one_head(features, labels, own, hp, 7 + i, **how)
        torch.testing.assert_close(heads.weight[i], weight, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(heads.bias[i], bias, rtol=1e-5, atol=1e-5)


def test_heads_with_soft_labels_equal_one_by_one_training():
    features, _, rows = data()
    rng = np.random.default_rng(4)
    soft = torch.from_numpy(rng.dirichlet(np.ones(C), (len(rows), K)).astype(np.float32))
    hp = Hyperparameters(epochs=4, batch_size=8, lr=0.1)
    heads = train_heads(features, soft, rows, hp, classes=C, seeds=[7, 8, 9, 10], device=CPU)
    for i, own in enumerate(rows):
        weight, bias = one_head(features, soft[i], own, hp, 7 + i)
        torch.testing.assert_close(heads.weight[i], weight, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(heads.bias[i], bias, rtol=1e-5, atol=1e-5)


def test_dropout_keeps_the_mean_and_drops_the_share():
    uniform = torch.rand(2000, 50, generator=torch.Generator().manual_seed(0))
    kept = Dropout(0.3).hide(torch.ones(2000, 50), uniform)
    assert float((kept == 0).float().mean()) == pytest.approx(0.3, abs=0.006)  # 4 sigma of 100,000 coins
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.009)


def test_dropout_of_a_network_acts_on_what_its_last_layer_reads_and_leaves_no_trace():
    features, labels, _ = data()
    torch.manual_seed(0)
    model = mlp((D,), C, width=16)
    seen = []
    handle = model.head.register_forward_hook(lambda _, given, out: seen.append(float((given[0] == 0).float().mean())))
    train(model, features, labels, Hyperparameters(epochs=1), seed=1, device=CPU)
    plain = max(seen)
    train(model, features, labels, Hyperparameters(epochs=1, defenses=(Dropout(0.99),)), seed=1, device=CPU)
    assert plain < 0.8
    assert seen[-1] > 0.95
    handle.remove()
    assert not model.head._forward_pre_hooks


def test_stopping_early_is_the_beginning_of_the_whole_training():
    features, labels, rows = data()
    whole = Hyperparameters(epochs=8, batch_size=8, lr=0.1, schedule="one-cycle")
    stopped = EarlyStopping(0.25).recipe(whole)
    assert (stopped.epochs, stopped.share) == (2, 0.25)
    steps = 2 * -(-K // 8)
    assert [stopped.lr_at(step, steps) for step in range(steps)] == pytest.approx(
        [whole.lr_at(step, 4 * steps) for step in range(steps)], abs=1e-15
    )
    assert EarlyStopping(0.5).recipe(stopped).share == 0.125
    assert EarlyStopping(0.01).recipe(whole).epochs == 1


def test_l2_adds_to_the_penalty_of_the_stage():
    assert L2(0.5).recipe(Hyperparameters(weight_decay=0.25)).weight_decay == 0.75


def test_labels_of_hardly_any_entropy_are_those_of_plain_training():
    assert HAMP(entropy=1e-15).top(10) == pytest.approx(1, abs=1e-11)
    assert HAMP(entropy=1e-9).top(10) == pytest.approx(1, abs=1e-8)


def test_negative_label_smoothing_is_plain_first_and_then_follows_its_schedule_under_early_stopping_too():
    features, labels, _ = data()

    def trained(epochs, *defenses, stop=1.0):
        torch.manual_seed(0)
        model = mlp((D,), C, width=16)
        hp = Hyperparameters(epochs=epochs, batch_size=8, lr=0.1, defenses=defenses)
        train(model, features, labels, hp if stop == 1 else EarlyStopping(stop).recipe(hp), seed=1, device=CPU)
        return torch.cat([one.flatten() for one in model.parameters()])

    late = NegativeLabelSmoothing(-0.3, start=0.5, full=0.75)
    assert torch.equal(trained(8, late, stop=0.5), trained(4))
    assert not torch.allclose(trained(8, late, stop=0.75), trained(6), atol=1e-3)
    assert torch.equal(trained(4, NegativeLabelSmoothing(-0.3, 0.0, 0.0)), trained(4, Constant(-0.3)))


@dataclass(frozen=True)
class Constant:
    """Smoothing by the same factor in every epoch."""

    paper: ClassVar[str] = ""
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple] = ()

    alpha: float

    def loss(self, logits, labels, epoch):
        return NegativeLabelSmoothing(self.alpha).loss(logits, labels, epoch)


def test_targets_of_negative_label_smoothing_sum_to_one_and_others_are_pushed_down_for_ever():
    z, y = torch.zeros(1, C, dtype=torch.float64), torch.tensor([1])
    slopes = []
    for top in (0.0, 50.0):
        leaf = (z + top * torch.nn.functional.one_hot(y, C)).requires_grad_()
        NegativeLabelSmoothing(-0.2).loss(leaf, y, 0).backward()
        slopes.append(leaf.grad)
    wanted = torch.full((1, C), 0.2 / C, dtype=torch.float64)
    wanted[0, 1] -= 0.2
    torch.testing.assert_close(slopes[1], wanted)
    assert float(slopes[0].sum()) == pytest.approx(0, abs=1e-12)
