"""Adapters: the layer with one by its formula, what moves in training, what is stored, whole runs."""

import json
import sys

import numpy as np
import pytest
import torch
from audits import BASE, table
from flat import flat
from safetensors.torch import load_file
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.defenses import DPSGD, Dropout
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import bag_of_words, convnet, mlp
from dosimeter.models.lora import LoRA, WithAdapters, adaptable, merge_adapters, with_adapters
from dosimeter.models.vision.resnet import resnet
from dosimeter.models.vision.vit import vit
from dosimeter.models.weights import load_state
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.chain import Link, parts_of
from dosimeter.training.loop import seed_torch, train
from dosimeter.training.preflight import check_training
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")
HP = Hyperparameters(epochs=4, lr=0.1, batch_size=8)


class Attention(nn.Module):
    """A user's own: layers that are called, layers whose weights are read elsewhere, a batch norm, tied layers."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.tied = nn.Linear(4, 16), nn.BatchNorm1d(5), nn.Linear(16, 16)
        block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder, self.again, self.fc = nn.TransformerEncoder(block, 1), self.tied, nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.encoder(self.again(self.tied(self.norm(self.inner(x))))).mean(1))


MODELS = {
    "mlp": (lambda: mlp((4,), 3, width=8, depth=2), (4,), "head", ("backbone.1.0", "backbone.2.0")),
    "convnet": (lambda: convnet((1, 8, 8), 3, widths=(8, 8)), (1, 8, 8), "head", ("backbone.1.0", "backbone.2.0")),
    "resnet": (
        lambda: resnet((1, 8, 8), 3, widths=(4, 6), blocks=(1, 1)), (1, 8, 8), "head",
        ("backbone.1.0", "backbone.2.inner.0", "backbone.2.inner.3", "backbone.3.inner.0", "backbone.3.inner.3",
         "backbone.3.around.0"),
    ),
    "vit": (
        lambda: vit((1, 8, 8), 3, width=8, depth=1, heads=2), (1, 8, 8), "head",
        ("backbone.0.1.vectors", "backbone.1.0.attend", "backbone.1.0.project", "backbone.1.0.widen",
         "backbone.1.0.narrow"),
    ),
    "own": (Attention, (5, 4), "fc", ("inner", "encoder.layers.0.linear1", "encoder.layers.0.linear2")),
}  # fmt: skip


def fresh(name, rank=3):
    build, shape, head, layers = MODELS[name]
    torch.manual_seed(1)
    model = build().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with seed_torch(2):
        return with_adapters(model, head, LoRA(rank, 6), torch.rand(2, *shape)), before, shape, head, layers


def records(shape, n=24):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(n, *shape, generator=generator), torch.arange(n) % 3


def test_the_layers_are_those_of_the_paper():
    model, _, shape, *_ = fresh("mlp")
    x, layer = records(shape)[0], model.net.backbone[1][0]
    nn.init.normal_(layer.lora_B["default"].weight)
    w, a, b = layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight
    wanted = x @ (w + 6 / 3 * b @ a).T + layer.base_layer.bias
    torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_adapters_and_head_move_and_nothing_else(name):
    model, before, shape, head, layers = fresh(name)
    x, y = records(shape)
    assert model.layers == layers
    start = {key: value.clone() for key, value in model.state_dict().items()}
    assert start.keys() == {
        *(f"net.{one}.lora_{part}.default.weight" for one in layers for part in "AB"),
        *(f"net.{head}.{part}" for part in ("weight", "bias")),
    }
    train(model, x, y, HP, seed=4, device=CPU)
    assert not [key for key, value in model.state_dict().items() if torch.equal(value, start[key])]
    answers, whole = model(x), merge_adapters(model)
    torch.testing.assert_close(whole.eval()(x), answers, rtol=1e-4, atol=1e-5)
    after = whole.state_dict()
    assert after.keys() == before.keys()  # also the statistics of batch normalisation stay
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {*(f"{one}.weight" for one in layers), f"{head}.weight", f"{head}.bias"}


def test_a_model_is_loaded_from_what_was_trained_alone():
    model, _, shape, *_ = fresh("convnet")
    x, y = records(shape)
    train(model, x, y, HP, seed=4, device=CPU)
    twin = fresh("convnet")[0]
    load_state(twin, model.state_dict(), "stage 's'")
    torch.testing.assert_close(twin.eval()(x), model(x), rtol=1e-5, atol=1e-5)
    short = dict(list(model.state_dict().items())[1:])
    with pytest.raises(TrainingError, match=r"got missing net.backbone.1.0.lora_A.default.weight: correct"):
        load_state(twin, short, "stage 's'")


def test_first_weights_come_from_the_seed_and_training_is_the_same_twice():
    links = (Link("first", "mlp", (4,), 3), Link("then", None, (4,), 3, transfer="lora", lora_rank=2))
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(1)
        model = parts_of(links, 1, mlp((4,), 3), seed).trained
        assert isinstance(model, WithAdapters)
        train(model, *records((4,)), HP, seed=4, device=CPU)
        found.append(model.state_dict()["net.backbone.1.0.lora_A.default.weight"])
    assert found[0].shape == (2, 4)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("defense", [Dropout(), DPSGD(noise_multiplier=0.8, delta=1e-2)], ids=["dropout", "dp_sgd"])
@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_defenses_work_on_adapters(name, defense):
    model, _, shape, *_ = fresh(name)
    x, y = records(shape)
    hp = Hyperparameters(epochs=2, lr=0.1, batch_size=8, defenses=(defense,))
    link = Link("s", None, shape, 3, transfer="lora", hyperparameters=hp)
    check_training(model, link, x[:2])
    start = {key: value.clone() for key, value in model.state_dict().items()}
    train(model, x, y, hp, seed=4, device=CPU)
    assert not [key for key, value in model.state_dict().items() if torch.equal(value, start[key])]


def test_private_gradients_of_adapters_are_those_of_one_record_at_a_time():
    from dosimeter.training.private.loop import per_record, record_gradients

    model, _, shape, *_ = fresh("convnet")
    model, (x, y) = model.train(), records(shape, 5)
    for name, one in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(one, std=0.1)
    trained = [one for one in model.parameters() if one.requires_grad]
    wanted = [
        torch.autograd.grad(nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), trained) for i in range(5)
    ]
    with record_gradients(model):
        _, found = per_record(model, x, y)
    for own, slow in zip(found, zip(*wanted, strict=True), strict=True):
        torch.testing.assert_close(own, torch.stack(slow), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "takes"),
    [
        (nn.Conv2d(2, 4, 3, padding="same"), True),
        (nn.Conv2d(2, 4, 3, padding=1, groups=2), False),
        (nn.Conv2d(2, 4, 3, padding=2, dilation=2), False),
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), False),
        (nn.Conv2d(2, 4, 3, stride=2), True),
    ],
)
def test_which_convolutions_take_one(layer, takes):
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    assert bool(adaptable(model, "3", torch.rand(2, 2, 8, 8))) == takes
    if takes:
        x, y = torch.rand(6, 2, 8, 8), torch.arange(6) % 3
        model = with_adapters(model, "3", LoRA(2, 4), x[:2])
        train(model, x, y, HP, seed=1, device=CPU)
        answers = model(x)
        torch.testing.assert_close(merge_adapters(model)(x), answers, rtol=1e-4, atol=1e-5)


def test_a_model_without_a_layer_for_them_says_what_stays_frozen():
    with pytest.raises(TrainingError, match=r"before the head, got none, with EmbeddingBag: use 'head' or 'full'"):
        with_adapters(bag_of_words((9,), 3, vocabulary=50), "head", LoRA(), torch.zeros(2, 9))
    words = nn.Sequential(bag_of_words((9,), 3, vocabulary=50).backbone, nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2))
    assert with_adapters(words, "3", LoRA(), torch.zeros(2, 9)).layers == ("1",)


def chain(*, last="lora", then=None, **changes):
    """A perceptron, adapted on digits; perhaps with a head after it."""
    first = {"name": "first", "data": "digits", "rows": "800:1200", "model": "mlp", "options": {"width": 16}}
    stage = {"name": "adapt", "data": "digits", "rows": "0:200", "transfer": last, "lora_rank": 2, "epochs": 3}
    stages = [{**first, "epochs": 3, "lr": 0.05}, {**stage, "lr": 0.1, **changes}]
    return table(population=20) | {"stage": stages + ([then] if then else []), "attack": [{"name": "lira"}]}


def bytes_of(folder):
    return (folder / "result.json").read_bytes()


def test_a_run_stores_adapters_alone_and_continues_to_the_same_bytes(tmp_path):
    settings = parse(chain(), base=BASE)
    for name in ("one", "two"):
        verbs.run(settings, tmp_path / name / "run", workers=1)
    assert bytes_of(tmp_path / "one" / "run") == bytes_of(tmp_path / "two" / "run")
    told = json.loads(bytes_of(tmp_path / "one" / "run"))["chain"][1]
    assert (told["transfer"], told["settings"]["lora_rank"], told["settings"]["lora_alpha"]) == ("lora", 2, 16)
    prepared = prepare(settings, store=Store(tmp_path / "one" / ".store"))
    for pack in prepared.case.jobs.packs:
        state = load_file(tmp_path / "one" / ".store" / pack.key / "tensors.safetensors")
        assert sum(one.numel() for one in state.values()) == 2 * (64 + 16) + 16 * 10 + 10
    for job in (*prepared.case.jobs.packs[:3], prepared.case.jobs.observations[0]):  # as after a kill
        for file in (tmp_path / "one" / ".store" / job.key).iterdir():
            file.unlink()
    verbs.run(settings, tmp_path / "one" / "run", workers=1)
    assert bytes_of(tmp_path / "one" / "run") == bytes_of(tmp_path / "two" / "run")


def test_adapters_at_risk_are_merged_for_the_stage_after_and_adapted_again(tmp_path):
    then = {"name": "last", "data": "digits", "rows": "1200:1400", "transfer": "lora", "epochs": 2, "lr": 0.1}
    settings = chain(then=then)
    settings["threat"] = {"at_risk": "adapt", "access": "probs", "shadows": 12, "targets": 4, "rehearsals": 2}
    settings["attack"] = [{"name": "tmi"}, {"name": "direct"}]
    verbs.run(parse(settings, base=BASE), tmp_path / "run", workers=1)
    result = flat(json.loads(bytes_of(tmp_path / "run")))
    assert {one["status"] for one in result["attacks"]} == {"ok"}
    prepared = prepare(parse(settings, base=BASE), store=Store(tmp_path / ".store"))
    pack = prepared.case.jobs.packs[0]
    (common,) = prepared.case.jobs.common
    whole, parent = (load_file(tmp_path / ".store" / one.key / "tensors.safetensors") for one in (pack, common))
    assert whole.keys() == parent.keys()
    change = np.linalg.svd((whole["backbone.1.0.weight"] - parent["backbone.1.0.weight"]).numpy(), compute_uv=False)
    assert change[1] > 100 * change[2]  # a product of rank two was added
    assert torch.equal(whole["backbone.1.0.bias"], parent["backbone.1.0.bias"])


def test_it_tells_of_what_it_memorised(tmp_path):
    settings = chain(epochs=60, lora_rank=8, lr=0.05, rows="0:120")
    verbs.run(parse(settings, base=BASE), tmp_path / "run", workers=1)
    result = flat(json.loads(bytes_of(tmp_path / "run")))
    (found,) = [one for one in result["estimates"] if one["metric"] == "auc" and one["attack"].startswith("lira")]
    assert found["low"] > 0.5


BAD = [
    ({"last": "full"}, r"stage\[1\].lora_rank: only transfer 'lora' has it, got 2 with 'full': remove it or set"),
    ({"lora_rank": 0}, r"stage\[1\].lora_rank: must be at least 1, got 0"),
    ({"lora_alpha": 1.5}, r"stage\[1\].lora_alpha: must be a whole number, got 1.5"),
    ({"fit": "mine:fit"}, r"stage\[1\].fit: transfer 'lora' trains adapters itself, got 'mine:fit': remove it"),
    ({"standardise": True}, r"stage\[1\].standardise: only the built-in training of transfer 'head'"),
]


@pytest.mark.parametrize(("changes", "line"), BAD)
def test_bad_input_is_one_line(changes, line):
    with pytest.raises(ConfigError, match=line):
        parse(chain(**changes), base=BASE)


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        ConfigError, match=r'transfer \'lora\': needs the package peft, .*pip install "dosimeter\[lora\]"'
    ):
        prepare(parse(chain(), base=BASE), store=Store(tmp_path))
