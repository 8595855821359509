import io
import os
import zipfile
import zlib

import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, load

IMAGES = np.random.default_rng(0).integers(256, size=(6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))


def save(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return str(tmp_path / "set.npz")


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES[..., :1].copy(), IMAGES[..., 0].copy(), np.asfortranarray(IMAGES)],
    ids=["colour", "grey", "flat", "by columns"],
)
@pytest.mark.parametrize("save_function", [np.savez, np.savez_compressed])
def test_images_are_read_in_every_allowed_shape(tmp_path, images, save_function):
    save_function(tmp_path / "set.npz", images=images)
    dataset = load(str(tmp_path / "set.npz"))
    expected = images if images.ndim == 4 else images[..., None]
    assert dataset.spec.shape == expected.shape[1:]
    assert dataset.spec.classes == ()
    assert dataset.labels is None
    np.testing.assert_array_equal(dataset.examples, expected)


def test_labels_are_numbered_in_order_and_named_by_their_integer(tmp_path):
    dataset = load(save(tmp_path, images=IMAGES, labels=np.array([7, -1, 3, 3, 7, 10])))
    assert dataset.spec.classes == ("-1", "3", "7", "10")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [2, 0, 1, 1, 2, 3]


def test_images_are_resized_on_request(tmp_path):
    path = save(tmp_path, images=IMAGES)
    assert load(path, DataRequest(size="4x8")).examples.shape == (6, 4, 8, 3)
    dataset = load(path, DataRequest(size=16, fit="pad"))
    assert dataset.examples.shape == (6, 16, 16, 3)


@pytest.mark.parametrize(
    ("arrays", "given"),
    [
        ({"x": IMAGES}, ("`images`", "x.npy")),
        ({}, ("`images`", "0 arrays")),
        ({"images": IMAGES[0, ..., 0]}, ("`images`", "(5, 4)")),
        ({"images": np.zeros((6, 5, 4, 17), np.uint8)}, ("`images`", "(6, 5, 4, 17)")),
        ({"images": IMAGES[None]}, ("`images`", "(1, 6, 5, 4, 3)")),
        ({"images": IMAGES[:0]}, ("`images`", "(0, 5, 4, 3)")),
        ({"images": IMAGES.astype(np.float32)}, ("`images`", "float32")),
        ({"images": IMAGES.astype(np.int8)}, ("`images`", " int8")),
        ({"images": np.array([[["a"]]], object)}, ("`images`", "type object")),
        ({"images": IMAGES, "labels": np.arange(5)}, ("6 images", "`labels`", "(5,)")),
        ({"images": IMAGES, "labels": np.zeros((6, 1), int)}, ("`labels`", "(6, 1)")),
        ({"images": IMAGES, "labels": np.zeros(6)}, ("`labels`", "float64")),
        ({"images": IMAGES, "labels": np.array([None] * 6)}, ("`labels`", "type object")),
    ],
)
def test_other_arrays_are_refused_with_what_was_found(tmp_path, arrays, given):
    name = save(tmp_path, **arrays)
    with refused(name, *given, allowed=("(N, H, W, 3)", "uint8")):
        load(name)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "set.npz").write_bytes(b"not a zip file at all")
    with refused("set.npz") as caught:
        load(str(tmp_path / "set.npz"))
    assert isinstance(caught.value.__cause__.__cause__, zipfile.BadZipFile)


@pytest.mark.parametrize("save_function", [np.savez, np.savez_compressed])
def test_a_flipped_byte_is_noticed(tmp_path, save_function):
    path = tmp_path / "set.npz"
    images = np.random.default_rng(1).integers(256, size=(50, 9, 9), dtype=np.uint8)
    save_function(path, images=images)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with refused("set.npz") as caught:
        load(str(path))
    assert isinstance(caught.value.__cause__.__cause__, (zipfile.BadZipFile, zlib.error))


def test_a_truncated_file_is_refused(tmp_path):
    name = save(tmp_path, images=IMAGES)
    os.truncate(name, os.path.getsize(name) - 40)
    with refused(name) as caught:
        load(name)
    assert isinstance(caught.value.__cause__.__cause__, zipfile.BadZipFile)


def bomb(tmp_path, shape, content, name="images.npy"):
    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, header.getvalue() + content)
    return str(tmp_path / "set.npz")


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 10, 1 << 10), (7, 5, 4), (5, 5, 4)])
def test_a_header_that_disagrees_with_its_bytes_is_refused(tmp_path, shape):
    name = bomb(tmp_path, shape, b"\0" * 120)
    with refused("`images`", str(shape), "248 bytes"):
        load(name)


def test_an_array_that_expands_absurdly_is_refused_before_it_is_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr("gancli.files.ALWAYS_ALLOWED_BYTES", 1 << 16)
    name = bomb(tmp_path, (1, 1024, 1024), bytes(1 << 20))
    with refused("`images`", "(1, 1024, 1024)", f"{os.path.getsize(name):,}"):
        load(name)


def members(tmp_path, contents):
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return str(tmp_path / "set.npz")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_versions_of_an_array_are_read(tmp_path, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, IMAGES, version)
    name = members(tmp_path, {"images.npy": file.getvalue()})
    np.testing.assert_array_equal(load(name).examples, IMAGES)


@pytest.mark.parametrize(
    "content", [b"", b"no array", b"\x93NUMPY\1\0\2", b"\x93NUMPY\1\0\2\0({", b"\x93NUMPY\1\0\1\0-"]
)
def test_an_array_without_a_header_is_refused(tmp_path, content):
    with refused("set.npz", "cannot be read", allowed="uint8"):
        load(members(tmp_path, {"images.npy": content}))


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "set.npz")
    with refused("set.npz", "a pipe"):
        load(str(tmp_path / "set.npz"))


@pytest.mark.parametrize("shape", [(1, 9500, 9500), (1, 1, 70_000), (1, 70_000, 1, 1)])
def test_images_of_too_many_pixels_are_refused(tmp_path, shape):
    name = bomb(tmp_path, shape, b"")
    with refused(name, f"{shape[1]}x{shape[2]}"):
        load(name)


def test_a_message_about_strange_names_is_one_line(tmp_path):
    with refused("`images`", "a\\n\\x1b[31m") as caught:
        load(members(tmp_path, {"a\n\x1b[31m": b""}))
    assert str(caught.value).isprintable()


def test_only_the_training_split_exists(tmp_path):
    with refused("split", ".npz", "'test'", allowed="train"):
        load(save(tmp_path, images=IMAGES), DataRequest(split="test"))


def test_a_share_is_held_out(tmp_path):
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1).repeat(4, 1).repeat(4, 2)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(10) // 5)
    found = []
    for split, count in (("train", 7), ("test", 3)):
        part = load(str(tmp_path / "a.npz"), DataRequest(split=split, holdout=0.3))
        levels = part.examples[:, 0, 0, 0]
        assert len(levels) == count
        assert part.labels is not None
        assert part.labels.tolist() == (levels // 5).tolist()
        found += levels.tolist()
    assert sorted(found) == list(range(10))


def test_an_array_of_zeros_and_ones_is_told_of_and_scaled_on_request(tmp_path):
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4) % 2
    np.savez(tmp_path / "a.npz", images=images)
    (notice,) = load(str(tmp_path / "a.npz")).notices
    assert "--set data.white_level=1" in notice
    dataset = load(str(tmp_path / "a.npz"), DataRequest(white_level=1))
    np.testing.assert_array_equal(dataset.examples[..., 0], 255 * images)


@pytest.mark.parametrize(("channels", "notice"), [(2, "first channel of 2"), (4, ""), (16, "3")])
def test_images_have_up_to_16_channels_and_pictures_of_others_are_told_of(
    tmp_path, channels, notice
):
    images = np.random.default_rng(0).integers(256, size=(3, 5, 4, channels), dtype=np.uint8)
    for _ in range(2):  # Decoded, and from the cache.
        dataset = load(save(tmp_path, images=images))
        np.testing.assert_array_equal(dataset.examples, images)
        assert len(dataset.notices) == bool(notice)
        assert notice in "".join(dataset.notices)


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_sixteen_bits_are_kept_of_any_channels(tmp_path, kind):
    images = np.random.default_rng(0).integers(65536, size=(3, 5, 4, 5)).astype(kind)
    path = save(tmp_path, images=images)
    dataset = load(path, DataRequest(keep="16bit"))
    assert (dataset.spec.bits, dataset.examples.dtype) == (16, np.uint16)
    np.testing.assert_array_equal(dataset.examples, images)
    with refused("uint16" if kind == "<u2" else ">u2", remedy="--set data.keep=16bit"):
        load(path)


@pytest.mark.parametrize("keep", ["alpha", "16bit"])
def test_what_an_array_has_not_cannot_be_kept(tmp_path, keep):
    with refused("(6, 5, 4, 3)", "uint8", keep, allowed=("uint16", "4 channels")):
        load(save(tmp_path, images=IMAGES), DataRequest(keep=keep))


COLOURS = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2


@pytest.mark.parametrize(
    "images",
    [
        COLOURS.transpose(0, 3, 1, 2),
        (COLOURS / 255).astype(np.float32),
        (COLOURS / 255).transpose(0, 3, 1, 2),
        COLOURS / 127.5 - 1,
        COLOURS.astype(np.float64),
        COLOURS.astype(np.int64),
        COLOURS.astype(np.uint16) * 257,
        COLOURS.astype(">u2") * 257,
        COLOURS[..., 0] > 100,
    ],
)
def test_the_message_gives_the_line_that_mends_an_array(tmp_path, images):
    path = tmp_path / "a.npz"
    np.savez(path, images=images, labels=[3, 7])
    with refused("a.npz", str(images.dtype), allowed="uint8") as caught:
        load(str(path))
    exec(caught.value.remedy.partition(": ")[2])
    dataset = load(str(path))
    grey = (255 * (COLOURS[..., 0] > 100))[..., np.newaxis]
    expected = grey if images.dtype == bool else COLOURS
    np.testing.assert_array_equal(dataset.examples, expected)
    assert dataset.spec.classes == ("3", "7")


@pytest.mark.parametrize(
    ("images", "shown"),
    [
        (np.where(COLOURS > 100, np.nan, COLOURS / 255), "nan to nan"),
        (COLOURS.astype(np.int64) - 100, "-100 to 138"),
        (COLOURS * 16.0, "0 to 3808"),
        (COLOURS / 50 - 2.2, "-2.2 to 2.56"),
    ],
)
def test_no_line_is_given_that_would_spoil_an_array(tmp_path, images, shown):
    """Converted to uint8, values that it has not would wrap around."""
    np.savez(tmp_path / "a.npz", images=images)
    with refused("a.npz", str(images.dtype), allowed="uint8", remedy=(shown, "255")) as caught:
        load(str(tmp_path / "a.npz"))
    assert "astype" not in caught.value.remedy
