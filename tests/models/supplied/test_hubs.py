"""Models of transformers and timm with small random weights; nothing is downloaded."""

from __future__ import annotations

import json

import pytest
import torch

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import cut
from dosimeter.models.supplied.adapt import adapt
from dosimeter.models.supplied.hubs import Preprocess
from dosimeter.models.supplied.loading import load_target

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
try:
    import timm
except (ImportError, RuntimeError) as error:  # torchvision of another build raises RuntimeError
    timm, why = None, f"timm cannot be imported: {error}"
else:
    why = ""

needs_timm = pytest.mark.skipif(timm is None, reason=why)
CLASSES = 5
IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(1, 40, (5, 7), generator=torch.Generator().manual_seed(0))
TOKENS[1:, 5:] = 0
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def built(kind, config, **settings):
    torch.manual_seed(0)
    made = getattr(transformers, config)(num_labels=CLASSES, **settings)
    return getattr(transformers, kind)(made)


IMAGE = {
    "ViT": lambda: built("ViTForImageClassification", "ViTConfig", image_size=32, patch_size=16, **SMALL),
    "ResNet": lambda: built(
        "ResNetForImageClassification", "ResNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1],
        layer_type="basic",
    ),
    "ConvNeXt": lambda: built(
        "ConvNextForImageClassification", "ConvNextConfig", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2
    ),
    "Swin": lambda: built(
        "SwinForImageClassification", "SwinConfig", image_size=32, patch_size=4, embed_dim=8, depths=[1, 1],
        num_heads=[2, 2], window_size=4,
    ),
}  # fmt: skip
TEXT = {
    "BERT": lambda: built("BertForSequenceClassification", "BertConfig", vocab_size=40, initializer_range=0.5, **SMALL),
    "DistilBERT": lambda: built(
        "DistilBertForSequenceClassification", "DistilBertConfig", vocab_size=40, dim=16, n_layers=1, n_heads=2,
        hidden_dim=16, initializer_range=0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGE)
def test_image_classifiers(name):
    model = IMAGE[name]().train()
    found = adapt(model, classes=CLASSES, example=IMAGES, batch_size=2)
    assert model.training
    with torch.no_grad():
        wanted = model.eval()(pixel_values=IMAGES).logits
    torch.testing.assert_close(found.query(IMAGES), wanted.double(), rtol=1e-4, atol=1e-5)
    assert found.kind == f"transformers image classifier {type(model).__name__}"
    backbone, head = cut(model, IMAGES[:2])
    torch.testing.assert_close(head(backbone(IMAGES)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TEXT)
def test_text_classifiers(name):
    model = TEXT[name]()
    found = adapt(model, classes=CLASSES, example=TOKENS.int().numpy())
    with torch.no_grad():
        wanted = model.eval()(input_ids=TOKENS, attention_mask=(TOKENS != 0).long()).logits
        unmasked = model(input_ids=TOKENS).logits
    torch.testing.assert_close(found.query(TOKENS), wanted.double(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(wanted, unmasked, atol=1e-4)
    assert found.notes == ("tokens equal to 0 are masked as padding",)
    assert found.kind.startswith("transformers text classifier")
    backbone, head = cut(model, TOKENS[:2])
    torch.testing.assert_close(head(backbone(TOKENS)), unmasked, rtol=1e-4, atol=1e-5)


def load(reference, base, shape=(3, 32, 32), classes=CLASSES, **more):
    return load_target(str(reference), shape=shape, classes=classes, base=base, **more)


def test_a_folder_of_an_image_classifier(tmp_path):
    model = IMAGE["ResNet"]()
    model.save_pretrained(tmp_path / "net")
    plain = load("net", tmp_path)
    assert "no preprocessor_config.json" in plain.notes[0]
    settings = {"do_resize": True, "size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.2] * 3}
    (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps(settings))
    found = load("hf:net", tmp_path)
    answers = adapt(found.model, classes=CLASSES, example=IMAGES)
    resized = torch.nn.functional.interpolate(IMAGES, (16, 16), mode="bilinear", antialias=True)
    with torch.no_grad():
        wanted = model.eval()((resized - 0.5) / 0.2).logits
    torch.testing.assert_close(answers.query(IMAGES), wanted.double(), rtol=1e-4, atol=1e-5)
    assert answers.kind == "transformers image classifier ResNetForImageClassification"
    backbone, head = cut(found.model, IMAGES[:2])
    torch.testing.assert_close(head(backbone(IMAGES)), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="must have one label for each class of the data, 7, got 5"):
        load("net", tmp_path, classes=7)
    with pytest.raises(ConfigError, match=r"must be given images of 1 or 3 channels, got inputs of shape \(64,\)"):
        load("net", tmp_path, shape=(64,))
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="weights: must not be given"):
        load("net", tmp_path, weights="w.pt")


def test_a_folder_of_a_text_classifier(tmp_path):
    model = TEXT["BERT"]()
    model.save_pretrained(tmp_path / "net")
    found = adapt(load("net", tmp_path, shape=(7,)).model, classes=CLASSES, example=TOKENS)
    with torch.no_grad():
        wanted = model.eval()(input_ids=TOKENS, attention_mask=(TOKENS != 0).long()).logits
    torch.testing.assert_close(found.query(TOKENS), wanted.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_folders_that_hold_no_classifier(tmp_path):
    model = IMAGE["ViT"]()
    model.save_pretrained(tmp_path / "net")
    file = tmp_path / "net" / "config.json"
    config = json.loads(file.read_text())
    for change, message in (
        ({"architectures": ["ViTModel"]}, "must classify images or texts with one label for each, got ViTModel"),
        ({"problem_type": "multi_label_classification"}, "multi_label_classification"),
        ({"hidden_size": 32}, "must hold (all weights|a model)"),
        ({"model_type": "unheard", "auto_map": {"AutoConfig": "evil.C"}}, "must hold a model of the installed transfo"),
    ):
        file.write_text(json.dumps({**config, **change}))
        (tmp_path / "net" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\n")
        with pytest.raises(ConfigError, match=message) as caught:
            load("net", tmp_path)
        assert "\n" not in str(caught.value)
    file.write_text(json.dumps(config))
    transformers.ViTModel(model.config).save_pretrained(tmp_path / "net")
    file.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"must hold all weights, got none that fit for classifier.bias"):
        load("net", tmp_path)
    assert not (tmp_path / "ran").exists()


def test_preprocessing():
    layer = Preprocess(3, 16, (8, 8), [0.5] * 3, [0.5] * 3)
    assert layer(torch.rand(2, 1, 32, 48)).shape == (2, 3, 8, 8)
    assert Preprocess(1, None, None, [0.0], [1.0])(IMAGES[:, :1]).equal(IMAGES[:, :1])


@needs_timm
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timm(name, tmp_path):
    options = {"img_size": 32} if name.startswith("vit") else {}
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES, **options)
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "w.pt")
    found = load(f"timm:{name}", tmp_path, weights="w.pt", options=options)
    answers = adapt(found.model, classes=CLASSES, example=IMAGES)
    mean, std = (torch.tensor(model.default_cfg[key]).view(-1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        wanted = model.eval()((IMAGES - mean) / std)
        plain = model(IMAGES)
    torch.testing.assert_close(answers.query(IMAGES), wanted.double(), rtol=1e-4, atol=1e-4)
    direct = adapt(model, classes=CLASSES, example=IMAGES, output="logits")
    torch.testing.assert_close(direct.query(IMAGES), plain.double(), rtol=1e-4, atol=1e-4)
    assert answers.kind.startswith("timm ")
    backbone, head = cut(model, IMAGES[:2])
    torch.testing.assert_close(head(backbone(IMAGES)), plain, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="cannot be built"):
        load("timm:no_such_net", tmp_path, weights="w.pt")


@pytest.mark.skipif(timm is not None, reason="timm is installed")
def test_without_timm_the_message_has_the_command(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r'run pip install "dosimeter\[timm\]"'):
        load("timm:resnet10t", tmp_path, weights="w.pt")
