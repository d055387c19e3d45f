import numpy as np
import pytest
from PIL import Image

from dosimeter.data import Options, load
from dosimeter.data.files import images


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "webp"])
def test_class_folders(folder, suffix):
    root = folder(suffix=suffix)
    data = load(str(root))
    assert data.inputs.shape == (6, 3, 6, 4)
    assert data.inputs.dtype == np.uint8
    assert data.classes == ("cat", "dog")
    assert data.ids.tolist()[:3] == [f"cat/000.{suffix}", f"dog/000.{suffix}", f"cat/001.{suffix}"]
    assert data.noun == "image"
    with Image.open(root / data.ids[3]) as image:
        assert (np.asarray(image.convert("RGB")).transpose(2, 0, 1) == data.inputs[3]).all()


def test_only_the_asked_rows_are_decoded(folder, monkeypatch):
    decoded = []
    true = images.decode
    monkeypatch.setattr(images, "decode", lambda *args: decoded.append(args) or true(*args))
    root = folder()
    whole = load(str(root))
    decoded.clear()
    part = load(str(root), rows="2:4")
    assert len(decoded) == 2
    assert part.ids.tolist() == whole.ids[2:4].tolist()
    assert (part.inputs == whole.inputs[2:4]).all()


def test_grey_and_mixed_modes(folder, tmp_path):
    assert load(str(folder(mode="L", suffix="pgm"))).inputs.shape == (6, 1, 6, 4)
    root = folder(mode="L", root=tmp_path / "mixed")
    Image.new("RGBA", (4, 6), (1, 2, 3, 0)).save(root / "cat" / "rgba.png")
    Image.new("P", (4, 6)).save(root / "cat" / "p.png", transparency=b"\0\1")
    Image.new("1", (4, 6), 1).save(root / "dog" / "bit.png")
    data = load(str(root))
    assert data.inputs.shape == (9, 3, 6, 4)
    assert data.inputs[data.ids == "cat/rgba.png"][0, :, 0, 0].tolist() == [1, 2, 3]
    assert (data.inputs[data.ids == "dog/bit.png"] == 255).all()


def test_nested_hidden_and_other_files(folder, caplog):
    root = folder()
    (root / ".git").mkdir()
    (root / "README.md").write_text("x")
    (root / "cat" / ".DS_Store").write_text("x")
    (root / "cat" / "Thumbs.db").write_text("x")
    (root / "cat" / "more").mkdir()
    Image.new("RGB", (4, 6)).save(root / "cat" / "more" / "1.png")
    assert "cat/more/1.png" in load(str(root)).ids
    assert "1 files in 'cat' are no images" in caplog.text


def test_sizes_that_differ(folder, fails):
    root = folder()
    Image.new("RGB", (5, 5)).save(root / "cat" / "odd.png")
    message = fails(load, str(root))
    assert "cat/odd.png: all images must have one size, got 5 x 5 where 6 of 7 have 6 x 4" in message
    assert "size = [6, 4]" in message
    assert load(str(root), options=Options(size=(8, 9))).inputs.shape == (7, 3, 8, 9)
    assert "size must be" in fails(load, str(root), options=Options(size=(0, 9)))


@pytest.mark.parametrize("content", ["truncated", "empty", "text", "gif", "eps"])
def test_damaged_images_are_told(folder, content, fails):
    root = folder(suffix="jpg")
    file = root / "dog" / "001.jpg"
    made = {"truncated": file.read_bytes()[:-100], "empty": b"", "text": b"hello", "gif": b"GIF89a" + bytes(20)}
    file.write_bytes(made.get(content, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 6\n"))
    message = fails(load, str(root))
    assert "pets: dog/001.jpg: must be a" in message


def test_sixteen_bits_and_bombs_are_told(folder, fails, monkeypatch):
    root = folder(mode="L")
    Image.fromarray(np.full((6, 4), 40000, np.uint16)).save(root / "cat" / "000.png")
    assert "cat/000.png: images must have 8 bits a channel, got mode I;16" in fails(load, str(root))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert "DecompressionBomb" in fails(load, str(root))


def test_folders_that_are_none(folder, tmp_path, fails):
    root = folder()
    Image.new("RGB", (4, 6)).save(root / "loose.png")
    assert "got the image loose.png beside them" in fails(load, str(root))
    (tmp_path / "empty").mkdir()
    assert "got no folders" in fails(load, str(tmp_path / "empty"))
    (root / "loose.png").unlink()
    (root / "bird").mkdir()
    assert "got none in 'bird'" in fails(load, str(root))
    one = folder(classes=("cat",), root=tmp_path / "one")
    assert "at least two classes" in fails(load, str(one))
    for part in ("train", "test"):
        folder(root=tmp_path / "parts" / part)
    assert "parts of a data set" in fails(load, str(tmp_path / "parts"))


def test_hostile_names_stay_text(folder, tmp_path, fails):
    evil = "a\n<script>alert(1)</script>".replace("/", "\u2215")
    root = folder(classes=(evil, "\x1b[31mred"), root=tmp_path / "evil\nroot")
    data = load("evil\nroot", base=tmp_path)
    assert evil in data.classes
    assert data.name.isprintable()
    assert len(data.fingerprint) == 64
    (root / evil / "001.png").write_bytes(b"x")
    assert "a\\n<script>" in fails(load, "evil\nroot", base=tmp_path)
    (root / evil / "001.png").unlink()
    (root / evil / "002.png").rename(root / evil / "\udcff.png")
    assert "file names must be UTF-8" in fails(load, "evil\nroot", base=tmp_path)
