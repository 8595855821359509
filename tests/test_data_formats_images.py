import contextlib
import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hostile_files import flip
from PIL import Image, UnidentifiedImageError
from refusals import refused

from gancli.data import DataRequest
from gancli.data.formats.images import check_size, open_image, pixels_of, upright_size
from gancli.errors import UserError


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data, channels=1, request=DataRequest()):  # noqa: B008
    with open_image(data, "it") as image:
        return pixels_of(image, channels, request)


@pytest.mark.parametrize("kind", ["ico", "tga", "pcx", "dds", "sgi", "jpeg2000"])
def test_kinds_that_are_not_promised_are_refused_whatever_they_are_called(kind):
    with refused(allowed=("PNG", "TIFF")) as caught:
        decoded(encoded(Image.new("RGB", (16, 16)), kind))
    assert isinstance(caught.value.__cause__, UnidentifiedImageError)


def test_an_image_of_several_pictures_as_phones_write_them_is_read():
    first, second = Image.new("L", (16, 16), 40), Image.new("L", (16, 16), 90)
    data = encoded(first, "mpo", save_all=True, append_images=[second])
    assert np.abs(decoded(data).astype(int) - 40).max() <= 2


# What is stored, and what it looks like upright: the 2 is at the top left.
UPRIGHT = [[1, 2, 3], [4, 5, 6]]
STORED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "tiff_lzw"])
@pytest.mark.parametrize("orientation", STORED)
def test_images_of_every_orientation_are_turned_upright(tmp_path, kind, orientation):
    image = Image.fromarray(np.array(STORED[orientation], np.uint8) * 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif}
    if kind == "webp":
        image, options = image.convert("RGB"), options | {"lossless": True}
    if kind == "tiff_lzw":
        options["compression"] = kind
    path = tmp_path / "image"
    path.write_bytes(encoded(image, kind.partition("_")[0], **options))
    with open_image(path, "it") as opened:
        assert upright_size(opened) == (2, 3)
    for source in (path, path.read_bytes()):
        assert (decoded(source)[..., 0] // 40).tolist() == UPRIGHT


def test_a_tiff_is_turned_by_its_xmp_too():
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    image = Image.fromarray(np.array(STORED[6], np.uint8))
    data = encoded(image, "tiff", tiffinfo={700: xmp})
    with open_image(data, "it") as opened:
        assert upright_size(opened) == (2, 3)
    assert decoded(data)[..., 0].tolist() == UPRIGHT


def test_exif_behind_the_pixels_counts_too():
    data = encoded(Image.fromarray(np.array(STORED[6], np.uint8)), "png")
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    chunk = (
        struct.pack(">I", len(exif))
        + b"eXIf"
        + exif
        + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    )
    assert decoded(data[:-12] + chunk + data[-12:])[..., 0].tolist() == UPRIGHT


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff"])
def test_files_with_flipped_bits_are_read_or_refused(kind):
    rng = random.Random(0)
    data = encoded(Image.linear_gradient("L"), kind)
    for _ in range(40):
        with contextlib.suppress(UserError):
            assert decoded(flip(data, rng, b"")).dtype == np.uint8


@pytest.mark.parametrize(
    ("height", "width", "accepted"),
    [
        (9459, 9459, True),
        (65_535, 1, True),
        (9460, 9460, False),
        (65_536, 1, False),
        (1, 65_536, False),
        (1 << 40, 1 << 40, False),
    ],
)
def test_sizes_are_bounded_in_pixels_and_by_side(height, width, accepted):
    if accepted:
        check_size(height, width)
    else:
        with pytest.raises(ValueError, match=f"{height}x{width}"):
            check_size(height, width)


def test_a_file_of_half_a_gigabyte_is_refused_unread(tmp_path):
    with (tmp_path / "long.png").open("wb") as file:
        file.write(encoded(Image.new("L", (4, 4)), "png"))
        file.truncate(1 << 40)
    with refused("1,099,511,627,776 bytes", "536,870,912"):
        decoded(tmp_path / "long.png")


QUIET = """
import io, sys
from PIL import Image
from gancli.data.formats.images import open_image
from gancli.errors import UserError
file = io.BytesIO()
Image.new("1", (10_000, 10_000)).save(file, "png")
try:
    with open_image(file.getvalue(), "it"):
        pass
except UserError as error:
    print(error)
"""


def test_pillows_own_warnings_are_not_shown():
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    assert "10000x10000" in done.stdout
    assert done.stderr == ""
