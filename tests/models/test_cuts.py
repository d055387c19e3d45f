"""Cuts of models: two halves answer as the whole, and costs follow the formulas of their layers."""

import math

import jaxtyping
import pytest
import torch
from scipy import stats
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import bag_of_words, convnet, efficientnet_lite0, linear, mlp
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts, find_cut, not_divided
from dosimeter.models.cuts.radius import radii, radius
from dosimeter.models.last_layer import example_of
from dosimeter.models.vision.resnet import resnet
from dosimeter.models.vision.vgg import vgg
from dosimeter.models.vision.vit import vit


@pytest.fixture(autouse=True)
def no_type_checks():
    """Types are not checked inside: `torch.fx` follows stand-ins for tensors, as it does outside of tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Residual(nn.Module):
    """Two convolutions around which the input goes; one activation serves three times, in place."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.second = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.act(self.norm(self.first(x)))
        y = self.second(self.inner(x))
        y += x
        return self.head(self.act(y).mean((2, 3)))


class Attention(nn.Module):
    """A layer of a transformer, which PyTorch would run as one fused operation."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.layer(x).mean(1))


class Branching(nn.Module):
    """Its forward asks for a value, so it cannot be followed."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


WORDS = torch.tensor([[1, 2, 3, 0, 0, 0], [4, 5, 0, 0, 0, 1]])
MODELS = {
    "linear": (lambda: linear((3, 4, 4), 3), example_of((3, 4, 4))),
    "mlp": (lambda: mlp((6,), 3, width=8, depth=2), example_of((6,))),
    "convnet": (lambda: convnet((3, 8, 8), 3, widths=(8, 8, 16)), example_of((3, 8, 8))),
    "convnet-group": (lambda: convnet((1, 8, 8), 3, widths=(8, 8), norm="group"), example_of((1, 8, 8))),
    "vgg": (lambda: vgg((1, 8, 8), 3, layers=(4, 4, "M", 6)), example_of((1, 8, 8))),
    "resnet": (lambda: resnet((1, 8, 8), 3, widths=(4, 6), blocks=(1, 1)), example_of((1, 8, 8))),
    "vit": (lambda: vit((1, 8, 8), 3, width=8, depth=2, heads=2), example_of((1, 8, 8))),
    "bag-of-words": (lambda: bag_of_words((6,), 3, width=4, vocabulary=9), WORDS),
    "residual": (Residual, example_of((3, 8, 8))),
    "attention": (Attention, example_of((4, 8))),
}


def built(name):
    make, example = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = make()
        for one in model.modules():
            if isinstance(one, nn.BatchNorm2d):  # statistics of a trained model
                one.running_mean.normal_()
                one.running_var.uniform_(0.5, 2)
    return model, example


def assert_halves_make_the_whole(model, graph):
    """At every cut, for other records than those by which the graph was read; what crosses is a copy."""
    model.eval()
    inputs = graph.program.inputs.flip(0).repeat(2, *[1] * (graph.program.inputs.ndim - 1))[:3]
    with torch.no_grad():
        whole = model(inputs.clone())
        for cut in cuts(graph):
            first, second = halves(graph, cut)
            crossing = first(inputs.clone())
            tensors = [one for one in crossing if isinstance(one, torch.Tensor)]
            assert [tuple(one.shape[1:]) for one in tensors] == [one.shape for one in cut.tensors]
            assert cut.bytes["float32"] == sum(one[0].numel() * one.element_size() for one in tensors)
            (again,) = second(*[one.clone() if isinstance(one, torch.Tensor) else one for one in crossing])
            torch.testing.assert_close(again, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_two_halves_are_the_whole_at_every_cut(name):
    model, example = built(name)
    graph = read_graph(model, example)
    assert graph.program.how == "fx"
    assert_halves_make_the_whole(model, graph)
    found = cuts(graph)
    assert (found[0].name, found[-1].name) == ("input", "output")
    assert found[0].parameters == found[0].multiply_adds == 0
    assert found[-1].parameters == sum(one.numel() for one in model.parameters())
    for key in ("parameters", "multiply_adds", "position"):
        values = [getattr(one, key) for one in found]
        assert values == sorted(values)


def by_formula(model, example):
    """Multiply-adds of one record by the formulas of linear layers and convolutions, seen from outside."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        fan = layer.in_features if isinstance(layer, nn.Linear) else layer.weight[0].numel()
        total += output[0].numel() * fan

    hooks = [
        one.register_forward_hook(count)
        for one in model.modules()
        if isinstance(one, nn.Linear | nn.modules.conv._ConvNd)
    ]
    with torch.no_grad():
        model.eval()(example)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", ["linear", "mlp", "convnet", "convnet-group", "vgg", "resnet", "residual"])
def test_multiply_adds_follow_the_formulas(name):
    model, example = built(name)
    found = cuts(read_graph(model, example))
    assert found[-1].counted
    assert found[-1].multiply_adds == by_formula(model, example) > 0


def test_attention_is_counted():
    model, example = built("attention")
    last = cuts(read_graph(model, example))[-1]
    steps, width, wide = 4, 8, 16
    projections = steps * width * 4 * width
    products = 2 * steps * steps * width
    assert last.counted
    assert last.multiply_adds == projections + products + 2 * steps * width * wide + width * 3


def test_what_cannot_be_counted_is_said():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 4, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    model = Recurrent()
    graph = read_graph(model, example_of((3, 4)))
    found = cuts(graph)
    assert (found[0].counted, found[-1].counted) == (True, False)
    # all that the layer gives crosses right after it, and only the last step after it was chosen
    assert found[-2].bytes == {"float32": 16, "float16": 8, "int8": 4}


def test_a_residual_block_sends_several_tensors():
    model, example = built("residual")
    found = cuts(read_graph(model, example))
    inside = find_cut(found, "inner")
    assert [one.name for one in inside.tensors] == ["act", "inner.2"]
    assert inside.bytes == {"float32": 2 * 4 * 64 * 4, "float16": 2 * 4 * 64 * 2, "int8": 2 * 4 * 64}
    assert inside.modes == ("batch norm", "dropout")
    assert [len(one.tensors) for one in found if one.name == "second"] == [2]
    assert find_cut(found, "act") is not None
    assert find_cut(found, "nowhere") is None


def test_names_of_blocks_and_of_layers_mean_one_cut():
    model, example = built("mlp")
    found = cuts(read_graph(model, example))
    assert find_cut(found, "backbone.1") is find_cut(found, "backbone.1.1")
    assert find_cut(found, "backbone") is find_cut(found, "backbone.2")
    assert find_cut(found, "head") is find_cut(found, "output")
    assert find_cut(found, "backbone.1").parameters == 6 * 8 + 8


def test_tokens_are_whole_numbers_on_the_wire():
    model, example = built("bag-of-words")
    found = cuts(read_graph(model, example))
    assert found[0].bytes == {"float32": 48, "float16": 48, "int8": 48}
    assert find_cut(found, "backbone").bytes == {"float32": 16, "float16": 8, "int8": 4}


def test_no_cut_where_copies_would_go_different_ways():
    """A view and its base cross, and the base is changed afterwards: over a wire the view would not follow."""

    class Tangled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.relu = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.a(x)
            view = x.view(-1, 2, 2)
            x = self.relu(x)
            return self.b(x) + view.flatten(1)

    torch.manual_seed(0)
    model = Tangled()
    graph = read_graph(model, example_of((4,)))
    names = [one.name for one in cuts(graph)]
    assert "view" not in names
    assert "relu" in names
    assert_halves_make_the_whole(model, graph)


class Sideways(nn.Module):
    """Hands on its numbers with the records along the second axis, as recurrent layers do, or all as one list."""

    def __init__(self, width, lists=False):
        super().__init__()
        self.a, self.b, self.width, self.lists = nn.Linear(4, width), nn.Linear(width, 3), width, lists

    def forward(self, x):
        x = self.a(x)
        x = x.reshape(-1).relu().reshape(-1, self.width) if self.lists else x.transpose(0, 1).relu().transpose(0, 1)
        return self.b(x)


@pytest.mark.parametrize(
    ("width", "lists", "where"), [(6, False, "axis 1"), (2, False, "axis 1"), (6, True, "no axis")]
)
def test_records_along_another_axis_are_no_cut_and_the_reason_is_told(width, lists, where):
    """Two numbers of each record look like two records, if only one number of records is tried."""
    graph = read_graph(Sideways(width, lists), example_of((4,)))
    found = cuts(graph)
    assert found[1].name == "a"
    assert find_cut(found, "relu") is None
    assert f"the records lie along {where} of what relu gives" in not_divided(graph, "relu")
    assert not_divided(graph, "a") == not_divided(graph, "nowhere") == ""


def test_the_model_is_left_as_it_was():
    model, example = built("residual")
    model.train()
    model.inner.eval()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    graph = read_graph(model, example)
    halves(graph, cuts(graph)[3])
    assert model.training
    assert not model.inner.training
    assert model.norm.training
    for name, one in model.state_dict().items():
        torch.testing.assert_close(one, before[name], rtol=0, atol=0)


def test_export_reads_what_fx_cannot():
    """A module that asks for shapes and holds several layers is read all the same, layer by layer."""

    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3))

        def forward(self, x):
            if max(x.shape[-2:]) > 6:
                x = nn.functional.avg_pool2d(x, 2)
            return self.layers(x)

    torch.manual_seed(0)
    model = nn.Sequential(Asking(), nn.Flatten(), nn.Linear(16, 2))
    graph = read_graph(model, example_of((3, 12, 12)))
    assert graph.program.how == "export"
    assert_halves_make_the_whole(model, graph)
    found = cuts(graph)
    assert find_cut(found, "0.layers.1").parameters == 3 * 4 * 9 + 4
    assert found[-1].multiply_adds == by_formula(model, example_of((3, 12, 12)))


def test_what_cannot_be_read_is_refused_in_one_line():
    for model, told in ((Branching(), "cannot be read"), (nn.Linear(3, 2), "must take records")):
        with pytest.raises(ConfigError) as caught:
            read_graph(model, example_of((5,)))
        (line,) = caught.value.problems
        assert told in line
        assert line.isprintable()


def test_a_model_that_answers_at_random_is_refused():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    with pytest.raises(ConfigError, match="answers otherwise"):
        read_graph(Noisy(), example_of((5,)))


@pytest.mark.slow
def test_a_large_network_is_cut_between_its_blocks():
    pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    model, example = efficientnet_lite0((3, 32, 32), 3, size=32), example_of((3, 32, 32))
    graph = read_graph(model, example)
    assert_halves_make_the_whole(model, graph)
    found = cuts(graph)
    assert found[-1].parameters == sum(one.numel() for one in model.parameters())
    assert found[-1].multiply_adds == by_formula(model, example)
    block = "backbone.0.net._blocks.2"  # its input goes around it
    assert len(find_cut(found, f"{block}._bn1").tensors) == 2
    assert len(find_cut(found, block).tensors) == 1


def test_the_radius_is_the_within_part_of_the_variance():
    """One by one, and against the mean square within groups of an analysis of variance."""
    drawn = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 4, (60,), generator=drawn) * 7 - 3  # classes need not be 0, 1, 2
    features = torch.randn(60, 5, generator=drawn) + labels[:, None] / 5
    found = radius(features, labels)
    slow = (
        sum(
            float((z - features[labels == y].mean(0)).double().square().sum())
            for z, y in zip(features, labels, strict=True)
        )
        / 60
    )
    assert found.squared == pytest.approx(slow, rel=1e-5)
    ratios = []
    for column in features.T.double().numpy():
        groups = [column[(labels == y).numpy()] for y in labels.unique()]
        f = stats.f_oneway(*groups).statistic
        within = 1 / (1 + f * (len(groups) - 1) / (60 - len(groups)))  # share of the sum of squares within groups
        ratios.append((within, column.var()))
    assert found.share == pytest.approx(sum(w * v for w, v in ratios) / sum(v for _, v in ratios), rel=1e-5)


def test_the_radius_of_points_and_of_classes_without_difference():
    labels = torch.tensor([0, 0, 1, 1])
    points = radius(torch.tensor([[1.0], [1.0], [4.0], [4.0]]), labels)
    assert (points.squared, points.share, points.records) == (0.0, 0.0, 4)
    alike = radius(torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]), labels)
    assert (alike.squared, alike.share) == (1.0, 1.0)
    assert math.isnan(radius(torch.ones(4, 2), labels).share)
    for wrong in (torch.tensor([[math.nan]]), torch.zeros(0, 1), torch.zeros(2, 1)):
        with pytest.raises(ValueError, match="must"):
            radius(wrong, torch.zeros(1, dtype=torch.long))


def test_radii_follow_the_features_of_each_cut():
    model, example = built("residual")
    model.eval()
    graph = read_graph(model, example)
    inputs = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 3
    found = {cut.name: one for cut, one in radii(graph, cuts(graph), inputs, labels, batch=7)}
    with torch.no_grad():
        assert found["input"].squared == pytest.approx(radius(inputs.flatten(1), labels).squared, rel=1e-5)
        assert found["output"].squared == pytest.approx(radius(model(inputs), labels).squared, rel=1e-4)
        act = torch.relu(model.norm(model.first(inputs)))
        both = torch.cat([act.flatten(1), model.inner[0](act).flatten(1)], dim=1)
    assert found["inner.0"].squared == pytest.approx(radius(both, labels).squared, rel=1e-4)
    assert all(one.records == 20 for one in found.values())
