import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, load

SHARED = Path(__file__).parents[2] / "shared" / "data"
IMAGES = np.random.default_rng(0).integers(256, size=(6, 5, 4), dtype=np.uint8)
PIXELS = IMAGES.tobytes()
LABELS = bytes([3, 0, 1, 1, 2, 3])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))


def images_file(shape=(6, 5, 4), content=PIXELS, magic=b"\0\0\x08\x03"):
    return magic + struct.pack(">3I", *shape) + content


def labels_file(count=6, content=LABELS, magic=b"\0\0\x08\x01"):
    return magic + struct.pack(">I", count) + content


def write(folder, images, labels=None, separator="-", zipped=False):
    folder.mkdir(exist_ok=True)
    for kind, number, content in (("images", 3, images), ("labels", 1, labels)):
        if content is not None:
            name = f"train-{kind}{separator}idx{number}-ubyte{'.gz' if zipped else ''}"
            (folder / name).write_bytes(gzip.compress(content) if zipped else content)
    return str(folder)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_a_folder_of_idx_files_is_read(tmp_path, zipped, separator):
    name = write(tmp_path / "set", images_file(), labels_file(), separator, zipped)
    dataset = load(name)
    assert dataset.spec.kind == "image"
    assert dataset.spec.shape == (5, 4, 1)
    assert dataset.spec.classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(dataset.examples[..., 0], IMAGES)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == list(LABELS)


def test_labels_may_be_absent(tmp_path):
    dataset = load(write(tmp_path / "set", images_file()))
    assert dataset.labels is None
    assert dataset.spec.classes == ()


def test_images_are_resized_on_request(tmp_path):
    path = write(tmp_path / "set", images_file(), labels_file())
    assert load(path, DataRequest(size="4x8")).examples.shape == (6, 4, 8, 1)
    dataset = load(path, DataRequest(size=8))
    assert dataset.spec.shape == (8, 8, 1)
    assert dataset.examples.shape == (6, 8, 8, 1)


def test_an_edited_file_is_read_again(tmp_path):
    name = write(tmp_path / "set", images_file())
    first = load(name).fingerprint
    write(tmp_path / "set", images_file((3, 5, 4), IMAGES[:3].tobytes()))
    assert load(name).examples.shape == (3, 5, 4, 1)
    assert load(name).fingerprint != first


HUGE = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("images", "labels", "given", "allowed"),
    [
        (b"\0", None, ("images", " 00"), "00 00 08 03"),
        (images_file(magic=b"\0\0\x08\x01"), None, ("images", "00 00 08 01"), "00 00 08 03"),
        (images_file(magic=b"\0\0\x0d\x03"), None, ("images", "00 00 0d 03"), "00 00 08 03"),
        (images_file()[:9], None, ("images", "9 bytes"), "IDX"),
        (images_file(HUGE), None, ("images", str(HUGE)), "IDX"),
        (images_file((0xFFFFFFFF, 1, 1)), None, ("images", "(4294967295, 1, 1)"), "IDX"),
        (images_file((0, 5, 4), b""), None, ("images", "(0, 5, 4)"), "IDX"),
        (images_file(), labels_file(5, LABELS[:5]), ("5 labels", "6 images"), ()),
        (
            images_file(), labels_file(magic=b"\0\0\x08\x03"), ("labels", "00 00 08 03"),
            "00 00 08 01",
        ),
    ],
)  # fmt: skip
def test_files_that_lie_are_refused_by_name(tmp_path, images, labels, given, allowed, zipped):
    name = write(tmp_path / "set", images, labels, zipped=zipped)
    with refused(name, "-ubyte", *given, allowed=allowed):
        load(name)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("images", "labels", "given"),
    [
        (images_file()[:-1], None, ("(6, 5, 4)", "120 bytes", "119")),
        (images_file() + b"\0", None, ("(6, 5, 4)", "120 bytes", "more")),
        (images_file((7, 5, 4)), None, ("(7, 5, 4)", "140 bytes", "120")),
        (images_file(), labels_file()[:-2], ("(6,)", "6 bytes", "4")),
    ],
)
def test_files_of_another_size_are_refused_by_name(tmp_path, images, labels, given, zipped):
    kind = "images-idx3" if labels is None else "labels-idx1"
    name = write(tmp_path / "set", images, labels, zipped=zipped)
    with refused(f"{name}/train-{kind}-ubyte", *given, allowed="IDX"):
        load(name)


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(lambda data: data[:-20], EOFError), (lambda data: data[:2] + data, gzip.BadGzipFile)],
)
def test_a_broken_gzip_file_is_refused_by_name(tmp_path, harm, kind):
    name = write(tmp_path / "set", images_file(), zipped=True)
    path = Path(name) / "train-images-idx3-ubyte.gz"
    path.write_bytes(harm(path.read_bytes()))
    with refused(str(path), allowed="IDX") as caught:
        load(name)
    assert isinstance(caught.value.__cause__.__cause__, kind)


def test_a_file_that_expands_absurdly_is_refused_before_it_is_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr("gancli.files.ALWAYS_ALLOWED_BYTES", 1 << 16)
    name = write(tmp_path / "set", images_file((1, 1 << 10, 1 << 10), bytes(1 << 20)), zipped=True)
    with refused("(1, 1024, 1024)", f"{os.path.getsize(f'{name}/train-images-idx3-ubyte.gz'):,}"):
        load(name)


@pytest.mark.parametrize("shape", [(1, 9500, 9500), (1, 1, 70_000), (1, 70_000, 1)])
def test_images_of_too_many_pixels_are_refused(tmp_path, shape):
    with refused("idx3-ubyte", f"{shape[1]}x{shape[2]}"):
        load(write(tmp_path / "set", images_file(shape, b"")))


def test_what_is_no_regular_file_is_no_idx_file(tmp_path):
    name = write(tmp_path / "set", images_file())
    (tmp_path / "set" / "train-labels-idx1-ubyte").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "set" / "train-labels.idx1-ubyte")
    assert load(name).labels is None


def test_an_empty_file_is_refused_by_name(tmp_path):
    with refused("idx3-ubyte", "0 bytes", allowed="IDX"):
        load(write(tmp_path / "set", b""))


def test_a_missing_split_is_refused(tmp_path):
    name = write(tmp_path / "set", images_file())
    with refused(name, "'test'", allowed="t10k-images-idx3-ubyte", remedy="data.split"):
        load(name, DataRequest(split="test"))
    with refused("split", "'validation'", allowed="test, train"):
        load(name, DataRequest(split="validation"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the official files are not here")
@pytest.mark.parametrize(
    ("split", "count", "first_labels", "mean"),
    [
        # Published means: 33.3184 / 255 = 0.1307 for training, 0.1325 for the test images.
        ("train", 60_000, [5, 0, 4, 1, 9], 0.1307),
        ("test", 10_000, [7, 2, 1, 0, 4], 0.1325),
    ],
)
def test_mnist_is_read_from_its_official_files(split, count, first_labels, mean):
    dataset = load(str(SHARED / "mnist"), DataRequest(split=split))
    assert dataset.examples.shape == (count, 28, 28, 1)
    assert dataset.labels is not None
    assert dataset.labels[:5].tolist() == first_labels
    assert dataset.examples.mean() / 255 == pytest.approx(mean, abs=5e-5)


def test_classes_are_the_labels_that_occur(tmp_path):
    letters = bytes([1, 26, 3, 3, 1, 26])
    write(tmp_path / "set", images_file(), labels_file(content=letters))
    dataset = load(str(tmp_path / "set"))
    assert dataset.spec.classes == ("1", "3", "26")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 2, 1, 1, 0, 2]
    tested = tmp_path / "set" / "t10k-labels-idx1-ubyte"
    (tmp_path / "set" / "t10k-images-idx3-ubyte").write_bytes(images_file())
    tested.write_bytes(labels_file(content=bytes([26] * 6)))
    test = load(str(tmp_path / "set"), DataRequest(split="test"))
    assert test.spec.classes == dataset.spec.classes
    assert test.labels is not None
    assert test.labels.tolist() == [2] * 6
    tested.write_bytes(labels_file(content=bytes([26, 2, 26, 26, 26, 26])))
    with refused("label 2", str(tested), allowed="1, 3, 26"):
        load(str(tmp_path / "set"), DataRequest(split="test"))


def test_gzipped_files_are_known_by_their_content(tmp_path):
    name = write(tmp_path / "set", gzip.compress(images_file()), gzip.compress(labels_file()))
    np.testing.assert_array_equal(load(name).examples[..., 0], IMAGES)
    write(tmp_path / "other", images_file(), labels_file())
    for path in (tmp_path / "other").iterdir():
        path.rename(f"{path}.gz")
    assert load(str(tmp_path / "other")).fingerprint == load(name).fingerprint


def test_emnist_is_read_under_its_published_names_and_put_upright(tmp_path):
    folder = tmp_path / "gzip"
    folder.mkdir()
    for split in ("train", "test"):
        for kind, number, content in (("images", 3, images_file()), ("labels", 1, labels_file())):
            name = f"emnist-letters-{split}-{kind}-idx{number}-ubyte.gz"
            (folder / name).write_bytes(gzip.compress(content))
    for split in ("train", "test"):
        dataset = load(str(folder), DataRequest(split=split))
        np.testing.assert_array_equal(dataset.examples[..., 0], IMAGES.transpose(0, 2, 1))
        assert dataset.spec.classes == ("0", "1", "2", "3")
        assert f"emnist-letters-{split}-images" in dataset.notices[0]
    plain = load(write(tmp_path / "set", images_file()))  # The same bytes under MNIST's names.
    np.testing.assert_array_equal(plain.examples[..., 0], IMAGES)
    assert plain.notices == ()
    (folder / "emnist-digits-train-images-idx3-ubyte.gz").write_bytes(b"")
    with refused("emnist-digits", "emnist-letters", remedy="folder"):
        load(str(folder))
