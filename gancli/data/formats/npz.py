"""Images and labels in one NumPy .npz file."""

import itertools
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from gancli.data import cache
from gancli.data.dataset import (
    MOST_CHANNELS,
    DataRequest,
    Dataset,
    left_out_of_pictures,
    pixel_type,
    require_split,
    rows_of_split,
)
from gancli.data.formats.images import check_size
from gancli.data.transform import check_request, fit_pixels, fitted_shape, with_channels
from gancli.errors import UserError, cut, excerpt, shown
from gancli.files import may_expand, open_regular

ALLOWED = (
    "an .npz with `images` of shape (N, H, W), or (N, H, W, C) with C from 1 to "
    f"{MOST_CHANNELS}, such as (N, H, W, 3), uint8, or uint16 with data.keep=16bit, and optionally "
    "`labels` of shape (N,), integers"
)
_KEEP = "To keep their 16 bits, add --set data.keep=16bit; for 8 bits, in Python"
_WRITE = "Write it with numpy.savez(path, images=images)"


def read(path: Path, request: DataRequest) -> Dataset:
    """Reads images and optional labels from an .npz file.

    Args:
        path: the file; its arrays are `images` and, optionally, `labels`.
        request: the size and fit; the only split is `train`, unless `holdout` makes a `test`.

    Returns:
        Images (count, height, width, 1 to 16) uint8, or uint16 where the request keeps 16 bits.
        Labels are numbered in ascending order of the integers in the file, which become the names
        of the classes.

    Raises:
        UserError: if the file is not such an .npz, is damaged, or declares impossible sizes.
    """
    check_request(request)
    splits = ["train", "test"] if request.holdout else ["train"]
    require_split("an .npz file", request.split, splits)
    try:
        key = f"npz {cache.identity([path])} {tuple(request)}"
        if (decoded := cache.find(key)) is None:
            with open_regular(path) as file, zipfile.ZipFile(file) as archive:
                decoded = _decode(key, path, archive, request)
        return decoded._replace(notices=(*decoded.notices, *left_out_of_pictures(decoded.spec)))
    except UserError:
        raise
    except Exception as error:
        # zipfile, zlib and NumPy's header parser raise nearly anything for damaged bytes.
        raise _refused(path, f"cannot be read ({excerpt(error)})") from error


def _decode(key: str, path: Path, archive: zipfile.ZipFile, request: DataRequest) -> Dataset:
    if "images.npy" not in archive.namelist():
        names = ", ".join(sorted(archive.namelist())[:10]) or "0 arrays"
        raise _refused(path, f"has no array `images`; it holds {cut(names)}")
    with archive.open("images.npy") as file:
        shape, by_columns, kind = _header(file)
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise _refused(path, f"has `images` of shape {shown(shape)}")
        channels = shape[3] if len(shape) == 4 else 1
        first = len(shape) == 4 and (
            (shape[1] in (1, 3) and channels not in (1, 3))
            or (shape[1] == 4 and min(shape[2:]) > MOST_CHANNELS)
        )
        if channels > MOST_CHANNELS and not first:
            raise _refused(path, f"has `images` of shape {shown(shape)}")
        wanted = pixel_type(request.bits)
        if request.keep and not first and _lacks_what_is_kept(kind, channels, request):
            raise UserError(
                f"{path} has `images` of shape {shown(shape)} and type {cut(str(kind))}, and "
                f"data.keep is {request.keep}",
                "uint16 for 16bit; for alpha uint8 with 4 channels, the last of which is opacity",
                "Leave out data.keep",
            )
        if first or kind.newbyteorder("=") != wanted:
            what = f"shape {shown(shape)} and " if first else ""
            raise UserError(
                f"{path} has `images` of {what}type {cut(str(kind))}",
                ALLOWED,
                _mended(path, first, kind, file, request.bits),
            )
        check_size(*shape[1:3])
        size, held = path.stat().st_size, archive.getinfo("images.npy").file_size
        if file.tell() + math.prod(shape) * kind.itemsize != held or not may_expand(size, held):
            raise _refused(
                path,
                f"declares `images` of shape {shown(shape)}, but holds {held:,} bytes of it in a "
                f"file of {size:,}",
            )
        numbers, classes = _labels(path, archive, shape[0])
        # Images are read one at a time, unless the array is in Fortran order.
        images = _values(archive, "images") if by_columns else _rows(file, shape, kind)
        taken = np.arange(shape[0])
        if request.holdout:
            taken = rows_of_split(shape[0], request)
        chosen = np.isin(np.arange(shape[0]), taken)
        items = (
            (fit_pixels(with_channels(image.astype(wanted)), request), int(number))
            for image, number in itertools.compress(zip(images, numbers, strict=True), chosen)
        )
        fitted = fitted_shape((*shape, 1)[1:4], request)
        white = request.white_level or np.iinfo(wanted).max
        return cache.decode_once(
            key, len(taken), fitted, items, classes, white=white, bits=request.bits
        )


def _lacks_what_is_kept(kind: np.dtype, channels: int, request: DataRequest) -> bool:
    """Whether an array of bytes has no opacity, or no 16 bits, that a request keeps."""
    return kind == np.uint8 and (channels != 4 or request.keep == "16bit")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads the header of an array: its shape, whether it is in Fortran order, and its type."""
    if np.lib.format.read_magic(file) == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _labels(path: Path, archive: zipfile.ZipFile, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class number of each image, zeros if there are no labels, and the class names."""
    if "labels.npy" not in archive.namelist():
        return np.zeros(count, np.int32), ()
    with archive.open("labels.npy") as file:
        shape, _, kind = _header(file)
    if shape != (count,):
        raise _refused(path, f"has {count} images and `labels` of shape {shown(shape)}")
    if kind.kind not in "iu":
        raise _refused(path, f"has `labels` of type {cut(str(kind))}")
    names, numbers = np.unique(_values(archive, "labels"), return_inverse=True)
    return numbers, tuple(str(name) for name in names)


def _values(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Reads all values of an array with a checked header."""
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _rows(file: IO[bytes], shape: tuple[int, ...], kind: np.dtype) -> Iterator[np.ndarray]:
    """Yields the images in order, reading each on demand."""
    for _ in range(shape[0]):
        try:
            content = file.read(math.prod(shape[1:]) * kind.itemsize)
        except OSError as error:  # Else it would be taken for one of the cache's disk.
            raise ValueError(excerpt(error)) from error
        yield np.frombuffer(content, kind).reshape(shape[1:])


def _mended(path: Path, first: bool, kind: np.dtype, file: IO[bytes], bits: int) -> str:
    """The line of Python that makes images of an array with channels first or of another type."""
    images = "a['images'].transpose(0, 2, 3, 1)" if first else "a['images']"
    if kind.kind not in "biuf":
        return _WRITE
    part = file.read((1 << 20) // kind.itemsize * kind.itemsize)
    values = np.frombuffer(part[: len(part) // kind.itemsize * kind.itemsize], kind)
    lowest, highest = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    sixteen = kind.kind == "u" and kind.itemsize == 2
    if sixteen and bits == 16:
        return f"In Python: {_rewritten(path, images)}"
    if sixteen and highest > 255:
        images = f"{images} // 257"
    elif kind.kind in "bf" and lowest >= -1 and highest <= 1:
        images = f"({images} + 1) * 127.5" if lowest < 0 else f"{images} * 255.0"
    elif not (lowest >= 0 and highest <= 255):  # NaN among them.
        return f"Its values go from {lowest:g} to {highest:g}: bring them to 0 to 255. {_WRITE}"
    if kind != np.uint8:
        images = f"({images}).round().astype('uint8')"
    return f"{_KEEP if sixteen else 'In Python'}: {_rewritten(path, images)}"


def _rewritten(path: Path, images: str) -> str:
    place = repr(str(path))
    return (
        f"import numpy as np; a = dict(np.load({place})); "
        f"a['images'] = {images}; np.savez({place}, **a)"
    )


def _refused(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}", ALLOWED, _WRITE)
