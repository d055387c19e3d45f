"""Defenses that act on hidden layers: dependence against double sums, networks against training written out."""

import json

import numpy as np
import pytest
import torch
from audits import BASE, table
from sklearn.datasets import load_digits
from torch import nn

from defenses import twins
from defenses.twins import CPU, C, D, data
from dosimeter.config.audit import parse
from dosimeter.defenses import MID, BiDO, Dropout
from dosimeter.defenses.training.dependence import coco, gaussian_kernel, label_kernel, normalised_hsic
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.architectures import bag_of_words, convnet, linear, mlp
from dosimeter.models.bottleneck import Bottleneck, bottleneck_of, noisy, with_bottleneck
from dosimeter.pipeline import verbs
from dosimeter.training.chain import Link, build_chain, parts_of
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters


def numbers(*shape, seed=0, scale=1.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape))


@pytest.mark.parametrize("width", [0.5, 5.0])
@pytest.mark.parametrize("measure", [normalised_hsic, coco])
def test_dependence_is_that_of_its_definition(measure, width):
    x, z, y = numbers(12, 5), numbers(12, 3, seed=1), torch.from_numpy(np.random.default_rng(2).integers(3, size=12))
    same = np.array([[float(a == b) for b in y.tolist()] for a in y.tolist()])
    twin, k, m = getattr(twins, measure.__name__), twins.gaussian(x.numpy(), width), twins.gaussian(z.numpy(), width)
    for found, wanted in (
        (measure(gaussian_kernel(x, width), gaussian_kernel(z, width)), twin(k, m)),
        (measure(gaussian_kernel(z, width), label_kernel(y)), twin(m, same)),
    ):
        assert wanted > 0
        assert float(found) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("measure", [normalised_hsic, coco])
def test_dependence_is_larger_for_a_function_than_for_independent_numbers(measure):
    x = gaussian_kernel(numbers(40, 1), 1.0)
    on_itself = measure(x, gaussian_kernel(numbers(40, 1).tanh(), 1.0))
    elsewhere = [measure(x, gaussian_kernel(numbers(40, 1, seed=seed), 1.0)) for seed in range(1, 21)]
    assert float(on_itself) > 1.2 * max(map(float, elsewhere))


def test_much_of_normalised_hsic_is_chance_in_small_batches():
    """The figures of the page, on images of digits and a random layer's outputs on them or on others."""
    images = torch.from_numpy(load_digits().data / 16)
    found, rng = {}, np.random.default_rng(0)
    for b in (32, 128):
        own, other = [], []
        for _ in range(40):
            rows, others = (images[rng.permutation(len(images))[:b]] for _ in range(2))
            layer = torch.from_numpy(rng.normal(size=(64, 32)) / 8)
            x, z, w = (gaussian_kernel(one, 5.0) for one in (rows, (rows @ layer).relu(), (others @ layer).relu()))
            own.append(float(normalised_hsic(x, z)))
            other.append(float(normalised_hsic(x, w)))
        found[b] = np.mean(own), np.mean(other)
    assert found[32] == pytest.approx((10.6, 8.6), abs=0.4)
    assert found[128] == pytest.approx((10.7, 3.5), abs=0.4)
    alone = gaussian_kernel(numbers(32, 64), 5.0)
    for seed in range(3):
        assert 0.9 * 31 < float(normalised_hsic(alone, gaussian_kernel(numbers(32, 64, seed=seed), 5.0))) < 31


def test_soft_labels_that_are_certain_are_classes():
    y = torch.tensor([0, 2, 1, 2])
    assert torch.equal(label_kernel(y), label_kernel(nn.functional.one_hot(y, 3).float()))


@pytest.mark.parametrize("measure", ["hsic", "coco"])
def test_a_batch_of_one_record_or_of_one_class_or_without_differences_has_a_finite_slope(measure):
    for z, y in (
        (numbers(1, 3), torch.tensor([0])),
        (numbers(6, 3), torch.zeros(6, dtype=torch.long)),
        (torch.ones(6, 3, dtype=torch.float64), torch.arange(6) % 2),
    ):
        leaf = z.clone().requires_grad_()
        BiDO(measure, 1.0, 1.0).penalty(numbers(len(z), 2, seed=3), (leaf,), y).backward()
        assert bool(leaf.grad.isfinite().all())


@pytest.mark.parametrize("measure", ["hsic", "coco"])
def test_the_penalty_has_the_slope_of_finite_differences(measure):
    z, x, y = numbers(7, 3, scale=3.0), numbers(7, 2, seed=3), torch.arange(7) % 3
    defense = BiDO(measure, 0.7, 1.3, 1.0)
    assert torch.autograd.gradcheck(lambda one: defense.penalty(x, (one, one.sin()), y), z.requires_grad_(), atol=1e-4)


def by_hand(model, layers, features, labels, hp, seed, added):
    """Train a network by PyTorch's optimizer on cross-entropy plus `added`, which gets what each of `layers` gives."""
    optimizer = torch.optim.SGD(model.parameters(), lr=hp.lr, momentum=hp.momentum, weight_decay=hp.weight_decay)
    order = generator(seed, "order")
    torch.manual_seed(seed_for(seed, "dropout"))
    for _ in range(hp.epochs):
        for rows in torch.from_numpy(order.permutation(len(features))).split(hp.batch_size):
            given, kept = features[rows], []
            for layer in layers:
                given = layer(given)
                kept.append(given)
            loss = nn.functional.cross_entropy(kept[-1], labels[rows]) + added(features[rows], kept, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def net(seed=0):
    torch.manual_seed(seed)
    return mlp((D,), C, width=12, depth=2)


def same(first, second):
    for (name, one), (_, other) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("defense", [BiDO("hsic", 0.05, 0.5), BiDO("coco", 1.0, 50.0)], ids=["hsic", "coco"])
def test_bido_trains_a_network_as_it_is_written_out(defense):
    features, labels, _ = data()
    hp = Hyperparameters(epochs=3, batch_size=16, lr=0.1, defenses=(defense,))
    trained, twin, plain = net(), net(), net()
    train(trained, features, labels, hp, seed=4, device=CPU)
    train(plain, features, labels, Hyperparameters(epochs=3, batch_size=16, lr=0.1), seed=4, device=CPU)

    def added(x, kept, y):
        # both hidden layers: the second is what the last layer reads, and counts once
        return defense.penalty(x.flatten(1), (kept[1], kept[2]), y).float()

    by_hand(twin, [*twin.backbone, twin.head], features, labels, hp, 4, added)
    same(trained, twin)
    assert float((trained.head.weight - plain.head.weight).detach().abs().max()) > 1e-3
    assert not trained.backbone[1]._forward_hooks
    assert not trained.head._forward_pre_hooks


def test_bido_of_two_layers_is_the_twin_of_the_formula():
    x, y = numbers(9, 4), torch.arange(9) % 3
    hidden = (numbers(9, 3, seed=1), numbers(9, 5, seed=2))
    for measure in ("hsic", "coco"):
        wanted = twins.bido(measure, x.numpy(), [z.numpy() for z in hidden], y.tolist(), 0.3, 0.9, 2.0)
        assert float(BiDO(measure, 0.3, 0.9, 2.0).penalty(x, hidden, y)) == pytest.approx(wanted, rel=1e-6)


def test_bido_reads_the_blocks_of_a_convolutional_net_and_what_its_last_layer_reads():
    torch.manual_seed(0)
    model, seen = convnet((1, 8, 8), 3, widths=(4, 6), norm="batch"), []

    class Spy(BiDO):
        def penalty(self, records, hidden, labels):
            seen.append([tuple(one.shape) for one in (records, *hidden)])
            return super().penalty(records, hidden, labels)

    inputs, labels = torch.rand(10, 1, 8, 8), torch.arange(10) % 3
    train(model, inputs, labels, Hyperparameters(epochs=1, batch_size=5, defenses=(Spy(),)), seed=1, device=CPU)
    assert seen == [[(5, 64), (5, 4 * 4 * 4), (5, 6 * 4 * 4), (5, 6)]] * 2


def test_bido_compares_with_the_records_themselves_where_a_part_is_frozen():
    features, labels, _ = data()
    whole, seen = net(), []

    class Spy(BiDO):
        def penalty(self, records, hidden, labels):
            seen.append((records, len(hidden)))
            return super().penalty(records, hidden, labels)

    part = nn.Sequential(whole.backbone[2], whole.head)
    inner = whole.backbone[:2](features).detach()
    hp = Hyperparameters(epochs=1, batch_size=len(features), defenses=(Spy(),))
    train(part, inner, labels, hp, seed=1, device=CPU, records=features)
    ((records, layers),) = seen
    assert layers == 1
    assert torch.equal(records.sum(1).sort().values, features.sum(1).sort().values)


def test_mid_trains_a_network_as_it_is_written_out():
    features, labels, _ = data()
    defense, hp = MID(0.05), Hyperparameters(epochs=3, batch_size=16, lr=0.1, defenses=(MID(0.05),))
    trained, twin = (with_bottleneck(net(), defense.bottleneck, features[:2], None) for _ in range(2))
    twin.load_state_dict(trained.state_dict())
    assert trained.head.in_features == 6
    train(trained, features, labels, hp, seed=4, device=CPU)
    divergences = []

    def narrow(x):
        mean, raw = twin.backbone[-1].both(x).chunk(2, 1)
        deviation = torch.log1p(torch.exp(raw - 5))
        normal = torch.distributions.Normal(mean, deviation)
        divergences.append(torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1))
        return mean + deviation * torch.randn_like(deviation)

    layers = [*twin.backbone[:-1], narrow, twin.head]
    by_hand(twin, layers, features, labels, hp, 4, lambda *_: 0.05 * divergences[-1].mean())
    same(trained, twin)


def test_a_bottleneck_answers_with_its_mean_after_training_and_the_same_twice():
    torch.manual_seed(0)
    one, x = Bottleneck(6, 3), torch.randn(5, 6)
    with noisy(one):
        first, second = one(x), one(x)
        assert one.divergence is not None
        assert one.divergence.shape == (5,)
    assert not torch.equal(first, second)
    assert torch.equal(one(x), one.both(x)[:, :3])
    assert one.divergence is None
    with noisy(one):
        many = torch.stack([one(x[:1]) for _ in range(4000)])[:, 0]
    deviation = nn.functional.softplus(one.both(x[:1])[0, 3:] - 5)
    torch.testing.assert_close(many.std(0), deviation, rtol=0.05, atol=0)  # about 4.5 sigma
    assert bool(((many.mean(0) - one(x[:1])[0]).abs() < 5 * deviation / 4000**0.5).all())


def test_a_large_price_lets_nothing_pass():
    features, labels, _ = data()
    model = with_bottleneck(net(), MID(100.0).bottleneck, features[:2], None)
    hp = Hyperparameters(epochs=40, batch_size=20, optimizer="adam", lr=0.02, defenses=(MID(100.0),))
    train(model, features, labels, hp, seed=1, device=CPU)
    narrow = bottleneck_of(model)
    with noisy(narrow):
        narrow.train()(model.backbone[:-1](features))
        assert float(narrow.divergence.detach().mean()) < 0.1
    with torch.no_grad():
        assert float(torch.softmax(model.eval()(features), 1).std(0).max()) < 0.05


class Block(nn.Module):
    """A network of a user's, without `backbone` and `head`."""

    def __init__(self):
        super().__init__()
        self.inner, self.fc = nn.Linear(D, 10), nn.Linear(10, C)

    def forward(self, x):
        return self.fc(self.inner(x).relu())


@pytest.mark.parametrize("name", [None, "fc"])
def test_a_network_of_the_users_takes_a_bottleneck_and_bido(name):
    features, labels, _ = data()
    torch.manual_seed(0)
    model = with_bottleneck(Block(), MID().bottleneck, features[:2], name)
    assert isinstance(model.fc[0], Bottleneck)
    assert (model.fc[1].in_features, model.fc[1].out_features) == (5, C)
    hp = Hyperparameters(epochs=2, batch_size=16, defenses=(MID(), BiDO(), Dropout(0.2)))
    before = model.fc[0].both.weight.clone()
    train(model, features, labels, hp, seed=1, device=CPU)
    assert not torch.equal(before, model.fc[0].both.weight)


def test_a_sequential_keeps_its_last_layer_last():
    features = data()[0]
    model = with_bottleneck(
        nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Linear(8, C)), MID().bottleneck, features, None
    )
    assert [type(one) for one in model] == [nn.Linear, nn.ReLU, Bottleneck, nn.Linear]


def chain(transfer, *defenses, last_k=1, head=None, model="mlp"):
    hp = Hyperparameters(defenses=defenses)
    first = Link("pretrain", model, (D,), C, options={"depth": 2, "width": 12} if model == "mlp" else {}, head=head)
    return (first, Link("finetune", None, (D,), 3, transfer=transfer, last_k=last_k, hyperparameters=hp))


@pytest.mark.parametrize(("transfer", "frozen"), [("last-k", 2), ("full", None)])
def test_a_bottleneck_is_trained_and_does_not_count_as_a_block(transfer, frozen):
    links = chain(transfer, MID())
    parts = parts_of(links, 1, build_chain(links, 1, 0, None))
    plain = parts_of(chain(transfer), 1, build_chain(chain(transfer), 1, 0, None))
    assert (None if parts.frozen is None else len(parts.frozen)) == frozen
    assert (None if plain.frozen is None else len(plain.frozen)) == frozen
    assert all(weight.requires_grad for weight in parts.trained.parameters())
    assert isinstance(bottleneck_of(parts.trained), Bottleneck)
    assert parts.trained(torch.zeros(2, 12 if frozen else D)).shape == (2, 3)


def test_a_later_stage_keeps_the_bottleneck_of_the_one_before_and_may_freeze_it():
    middle = chain("full", MID())
    links = (*middle, Link("last", None, (D,), 5, transfer="head"))
    trained = build_chain(middle, 1, 3, None)
    model = build_chain(links, 2, 4, trained.state_dict())
    parts = parts_of(links, 2, model)
    assert isinstance(parts.frozen[-1], Bottleneck)
    assert torch.equal(parts.frozen[-1].both.weight, bottleneck_of(trained).both.weight)
    assert parts.trained.in_features == 6


def test_a_named_last_layer_is_found_again_behind_bottlenecks():
    links = (*chain("full", MID(), head="fc", model="defenses.training.test_hidden:build_block"),)
    links = (*links, Link("last", None, (D,), 5, transfer="full", hyperparameters=Hyperparameters(defenses=(MID(),))))
    model = build_chain(links, 2, 0, None)
    assert model(torch.zeros(2, D)).shape == (2, 5)
    assert sum(isinstance(one, Bottleneck) for one in model.modules()) == 2
    assert parts_of(links, 2, model).trained is model


def build_block(shape, classes):
    assert (shape, classes) == ((D,), C)
    return Block()


def test_models_without_hidden_layers_and_texts_are_refused():
    features, labels, _ = data()
    hp = Hyperparameters(epochs=1, defenses=(BiDO(),))
    with pytest.raises(TrainingError, match="acts on hidden layers that are trained, got a model that trains its last"):
        train(linear((D,), C), features, labels, hp, seed=1, device=CPU)
    words = torch.randint(1, 20, (12, 6), generator=torch.Generator().manual_seed(0))
    with pytest.raises(
        TrainingError, match="compares records as numbers, got int64 tokens: use another defense for te"
    ):
        train(bag_of_words((6,), 2, vocabulary=20), words, torch.arange(12) % 2, hp, seed=1, device=CPU)
    with pytest.raises(TrainingError, match="must hold a bottleneck before its last layer, got none"):
        train(net(), features, labels, Hyperparameters(defenses=(MID(),)), seed=1, device=CPU)


def test_an_audit_of_a_defended_stage_with_live_frozen_layers_runs_and_resumes(tmp_path):
    """Both defenses in one stage that freezes early layers, moves their statistics and augments its records."""
    image = {"data": "digits", "epochs": 1, "lr": 0.02}
    options = {"widths": [4, 6]}
    stages = [
        {"name": "pretrain", "rows": "900:1100", "model": "convnet", "options": options, **image},
        {"name": "finetune", "rows": "0:300", "transfer": "last-k", "bn_mode": "official", "augment": ["shift"],
         "defenses": [{"name": "mid"}, {"name": "bido"}], **image},
    ]  # fmt: skip
    whole = table(population=40, shadows=4, targets=1, views=["identity"])
    settings = whole | {"stage": stages, "attack": [{"name": "loss"}]}
    audit = parse(settings, base=BASE)
    verbs.run(audit, tmp_path / "run", store=tmp_path / "store", workers=1)
    plan = verbs.plan(audit, store=tmp_path / "store", workers=1)
    assert [(one.models, one.cached) for one in plan.stages] == [(1, 1), (6, 6)]
    told = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    settings = told["chain"][1]["settings"]
    assert settings["bn_mode"] == "official"
    assert [words.split()[0] for words in settings["defenses"]] == ["mid", "bido"]
    assert settings["augment"] == ["shift"]
