import io
import struct

import numpy as np
import pytest

from gancli.data.formats.npy import read_header
from gancli.errors import excerpt


def array_file(text, version=1, length=None):
    content = text.encode("latin-1")
    size = len(content) if length is None else length
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", size)
        + content
    )


def header(kind="'|u1'", shape="(2, 3)"):
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("array", [np.zeros((2, 3), np.uint8), np.zeros((4, 5), "<i4", order="F")])
def test_the_header_of_what_numpy_writes_is_read(array):
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    found = read_header(file)
    assert (found.shape, found.type) == (array.shape, array.dtype)
    assert found.by_columns == (array.dtype == "<i4")
    assert found.end == len(file.getvalue())
    assert found.start == len(file.getvalue()) - array.nbytes


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_the_format_are_read(version):
    assert read_header(io.BytesIO(array_file(header(), version))).shape == (2, 3)


BOUND = f"{1 << 48:,}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", None),
        (b"\x93NUMPY", None),
        (array_file("(" * 9000), None),
        (array_file("-" * 9900 + "1"), None),
        (array_file("'''"), None),
        (array_file(" " * 9900), None),
        (array_file("__import__('os').system('true')"), None),
        (array_file(header(kind="('|u1'" * 50 + ", (1,))" * 50)), None),
        (array_file(header(kind="'" + "u1," * 2000 + "u1'")), "2,001 bytes"),
        (array_file(header(kind="'|S99999999999'")), None),
        (array_file(header(kind="[('a', '|u1', (1099511627776,))]")), None),
        (array_file(header(shape="(-2, -3)")), BOUND),
        (array_file(header(shape="(True, 3)")), BOUND),
        (array_file(header(shape="(1.5, 3)")), None),
        (array_file(header(shape=f"(0x{'f' * 5000}, 3)")), BOUND),
        (array_file(header(shape=f"({'9' * 5000}, 3)")), None),
        (array_file(header(shape=f"({'1, ' * 60})")), BOUND),
        (array_file(header(), version=3), None),
        (array_file(header(), version=2, length=0xFFFFFFFF), None),
    ],
)
def test_a_header_that_is_malformed_in_any_way_is_one_kind_of_error(content, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_header(io.BytesIO(content))
    assert type(caught.value) is ValueError
    # What a parser raised is quoted; what was found here is named.
    parsers = caught.value.__cause__
    assert (parsers is None) == (words is not None)
    assert parsers is None or excerpt(parsers) in str(caught.value)


class Endless(io.RawIOBase):
    """A file that goes on for ever, and counts what is read of it."""

    def __init__(self, start):
        self.start, self.taken = start, 0

    def read(self, size=-1):
        assert size >= 0
        content = (self.start + b" " * size)[self.taken : self.taken + size]
        self.taken += size
        return content.ljust(size)


def test_a_header_of_four_gigabytes_is_not_read_to_its_end():
    file = Endless(array_file(header(), version=2, length=0xFFFFFFFF))
    with pytest.raises(ValueError, match=str(0xFFFFFFFF)):
        read_header(file)
    assert file.taken <= 1 << 14
