"""Names of architectures and of methods of transfer, which settings check without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dosimeter.foundation.registry import Registry

if TYPE_CHECKING:
    from dosimeter.models.architectures import Builder

ARCHITECTURES: Registry[Builder] = Registry(
    __package__,
    {
        "linear": "architectures:linear",
        "mlp": "architectures:mlp",
        "convnet": "architectures:convnet",
        "vgg": "vision.vgg:vgg",
        "resnet": "vision.resnet:resnet",
        "vit": "vision.vit:vit",
        "bag-of-words": "architectures:bag_of_words",
        "efficientnet-lite0": "architectures:efficientnet_lite0",
        "transformer": "language.transformer:transformer",
        "causal-lm": "language.pretrained:causal_lm",
    },
)
"""Functions that build a model for a shape of records and a number of classes."""
Statistics = Literal["strict", "official"]
"""What becomes of batch normalisation in a frozen prefix; `models.transfer` tells."""
Method = Literal["scratch", "head", "last-k", "lora", "full"]
"""Methods of transfer of one party; `models.transfer` tells."""
Joint = Literal["mmd", "coral", "dann", "dsn", "hard", "soft", "l2-sp", "fedsgd", "fedavg"]
"""Methods of transfer that several parties train together; `training.joint.protocols` has those that can be trained."""
