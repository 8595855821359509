"""The header of a NumPy array, read before a byte of the array is believed or allocated."""

import io
import math
import warnings
from typing import IO, NamedTuple

import numpy as np

from gancli.errors import excerpt

# NumPy itself refuses headers of more than 10,000 bytes, but only once it has read them.
MOST_HEADER_BYTES = 1 << 14
MOST_DIMENSIONS = 8
LARGEST_SIDE = 1 << 48


class Header(NamedTuple):
    """What an array says of itself; `start` is where its values begin, in bytes."""

    shape: tuple[int, ...]
    by_columns: bool
    type: np.dtype
    start: int

    @property
    def end(self) -> int:
        """Where its values end, in bytes."""
        return self.start + self.type.itemsize * math.prod(self.shape)


def read_header(file: IO[bytes]) -> Header:
    """Reads the header that a file begins with; nothing in it is evaluated.

    Args:
        file: an .npy file, or the member of an .npz.

    Returns:
        The header.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is malformed in any way.

    Reference: NumPy, "NPY format", numpy.lib.format.
    """
    start = io.BytesIO(file.read(MOST_HEADER_BYTES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of headers as Python 2 wrote them, and odd types.
            shape, by_columns, kind = _parse(start)
    except Exception as error:
        # A hostile header makes the parser of literals and of types raise nearly anything:
        # RecursionError, MemoryError, TypeError, tokenize.TokenError.
        raise ValueError(f"its array header is malformed: {excerpt(error)}") from error
    if len(shape) > MOST_DIMENSIONS or any(
        isinstance(side, bool) or not 0 <= side <= LARGEST_SIDE for side in shape
    ):
        raise ValueError(
            "its array header declares an impossible shape: allowed are at most "
            f"{MOST_DIMENSIONS} sides of 0 to {LARGEST_SIDE:,}"
        )
    if kind.fields is not None or kind.subdtype is not None:
        raise ValueError(f"its array holds records of {kind.itemsize:,} bytes, not numbers")
    return Header(shape, by_columns, kind, start.tell())


def _parse(start: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(start)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(start)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(start)
    raise ValueError(f"array format version {version}")
