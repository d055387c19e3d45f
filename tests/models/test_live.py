"""A frozen part that runs anew for every batch: what stays, what moves, and what is trained after it."""

import pytest
import torch
from torch import nn

from dosimeter.defenses import MID, BiDO
from dosimeter.foundation.seeds import generator
from dosimeter.models.architectures import convnet
from dosimeter.models.bottleneck import Bottleneck
from dosimeter.models.transfer import Live, divide
from dosimeter.training.chain import Link, build_chain, parts_of
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")
HP = Hyperparameters(epochs=2, batch_size=10, lr=0.05)
INPUTS = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3


def net():
    torch.manual_seed(0)
    model = convnet((1, 8, 8), 3, widths=(4, 6, 5))
    model.train()(INPUTS + 0.3)  # other statistics than those of the records
    return model


def parts():
    return divide(net(), "last-k", 1)


def state(module):
    return {name: one.clone() for name, one in module.state_dict().items()}


@pytest.mark.parametrize("statistics", ["strict", "official"])
def test_the_frozen_part_keeps_its_weights_and_moves_its_statistics_only_in_official_mode(statistics):
    model = Live(*vars(parts()).values(), statistics)
    before = state(model.frozen)
    train(model, INPUTS, LABELS, HP, seed=1, device=CPU)
    moved = {name for name, one in model.frozen.state_dict().items() if not torch.equal(one, before[name])}
    kinds = {name.rpartition(".")[2] for name in moved}
    assert kinds == ({"running_mean", "running_var", "num_batches_tracked"} if statistics == "official" else set())
    assert not any(module.training for module in model.modules())


def test_in_strict_mode_it_trains_as_if_its_features_were_computed_once():
    live, once = Live(*vars(parts()).values(), "strict"), parts()
    train(live, INPUTS, LABELS, HP, seed=1, device=CPU)
    with torch.no_grad():
        inner = once.frozen(INPUTS)
    train(once.trained, inner, LABELS, HP, seed=1, device=CPU)
    for (name, one), (_, other) in zip(
        live.trained.state_dict().items(), once.trained.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)


def test_in_official_mode_it_trains_as_a_network_whose_early_weights_take_no_gradient():
    live, twin = Live(*vars(parts()).values(), "official"), net()
    train(live, INPUTS, LABELS, HP, seed=1, device=CPU)
    own = [*twin.backbone[3].parameters(), *twin.head.parameters()]
    optimizer, order = torch.optim.SGD(own, lr=HP.lr, momentum=HP.momentum), generator(1, "order")
    twin.train()
    for _ in range(HP.epochs):
        for rows in torch.from_numpy(order.permutation(40)).split(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(INPUTS[rows]), LABELS[rows]).backward()
            optimizer.step()
    torch.testing.assert_close(live(INPUTS), twin.eval()(INPUTS), rtol=1e-4, atol=1e-4)
    strict = Live(*vars(parts()).values(), "strict")
    train(strict, INPUTS, LABELS, HP, seed=1, device=CPU)
    assert float((live(INPUTS) - strict(INPUTS)).detach().abs().max()) > 0.01


def chain(**given):
    first = Link("pretrain", "convnet", (1, 8, 8), 4, options={"widths": (4, 6, 5)})
    return (first, Link("finetune", None, (1, 8, 8), 3, transfer="last-k", **given))


@pytest.mark.parametrize(
    ("given", "live"),
    [
        ({}, False),
        ({"bn_mode": "official"}, True),
        ({"hyperparameters": Hyperparameters(augment=("flip",))}, True),
    ],
)
def test_frozen_features_are_computed_once_only_if_they_stay(given, live):
    links = chain(**given)
    found = parts_of(links, 1, build_chain(links, 1, 0, None))
    assert isinstance(found.trained, Live) == live
    assert links[1].frozen_prefix == (found.frozen is not None)
    assert links[1].definition != chain()[1].definition or not given


def test_a_whole_model_shares_what_moved():
    links = chain(bn_mode="official")
    model = build_chain(links, 1, 0, None)
    found = parts_of(links, 1, model)
    train(found.trained, INPUTS, LABELS, HP, seed=1, device=CPU)
    torch.testing.assert_close(model.eval()(INPUTS), found.trained(INPUTS))


def test_defenses_of_hidden_layers_read_the_trained_blocks_alone():
    seen = []

    class Spy(BiDO):
        def penalty(self, records, hidden, labels):
            seen.append([tuple(one.shape) for one in (records, *hidden)])
            return super().penalty(records, hidden, labels)

    links = chain(bn_mode="official", hyperparameters=Hyperparameters(epochs=1, batch_size=20, defenses=(MID(), Spy())))
    model = parts_of(links, 1, build_chain(links, 1, 0, None)).trained
    assert isinstance(model.trained[-2], Bottleneck)
    train(model, INPUTS, LABELS, links[1].hyperparameters, seed=1, device=CPU)
    assert seen == [[(20, 64), (20, 5 * 2 * 2), (20, 2)]] * 2
