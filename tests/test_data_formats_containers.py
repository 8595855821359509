import io
import struct
import zlib

import pytest
from PIL import Image

from gancli.data.formats.containers import check


def encoded(kind, mode="L", **options):
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_what_pillow_writes_passes(kind):
    check(io.BytesIO(encoded(kind)))
    check(io.BytesIO(encoded(kind, "RGB")))


def chunks(count):
    """A PNG with so many chunks of no content before its pixels."""
    data = encoded("png")
    chunk = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    return data[:33] + chunk * count + data[33:]


def riff(count):
    data = encoded("webp")
    return data + b"abcd\0\0\0\0" * count


def comments(count):
    """A GIF whose comment has so many blocks, before its first frame."""
    data = encoded("gif")
    frame = data.index(b",", 13)
    return data[:frame] + b"!\xfe" + b"\x01a" * count + b"\0" + data[frame:]


def hidden_comments(count):
    """The same after an empty extension, which Pillow takes for the beginning of the next."""
    data = encoded("gif")
    frame = data.index(b",", 13)
    return data[:frame] + b"!\xf9\0" + b"\x01," * count + b"\0" + data[frame:]


def segments(count):
    data = encoded("jpeg")
    return data[:2] + b"\xff\xe5\0\x02" * count + data[2:]


@pytest.mark.parametrize("made", [chunks, riff, comments, hidden_comments, segments])
def test_files_of_very_many_pieces_are_refused(made):
    check(io.BytesIO(made(10_000)))
    with pytest.raises(ValueError, match="131,072"):
        check(io.BytesIO(made(140_000)))


def scans(count, before=b"", between=b"\0"):
    scan = b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0" + between
    return b"\xff\xd8" + before + scan * count + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused():
    check(io.BytesIO(scans(100)))
    with pytest.raises(ValueError, match=r"\b100\b"):
        check(io.BytesIO(scans(101)))


def test_scans_are_counted_as_they_are_decoded():
    # Not what looks like one in a segment or after the end; not a stuffed zero, nor a restart.
    thumbnail = b"\xff\xe1\0\xca" + b"\xff\xda" * 100
    check(io.BytesIO(scans(50, before=thumbnail) + b"\xff\xda" * 500))
    check(io.BytesIO(scans(50, between=b"\xff\0\xda\xff\xd0\xda\xff\0")))


def test_a_jpeg_of_a_very_long_header_is_refused():
    segment = b"\xff\xe1\xff\xff" + bytes(0xFFFD)
    with pytest.raises(ValueError, match="33,554,432 bytes"):
        check(io.BytesIO(scans(1, before=segment * 520)))


def tiff(tags, order="<", big=False, after=b""):
    """A TIFF of one directory; a tag is (number, type, count, value or offset)."""
    mark = b"II" if order == "<" else b"MM"
    entry, count, start = ("HHQQ", "Q", struct.pack(f"{order}HHHQ", 43, 8, 0, 16)) if big else (
        "HHLL", "H", struct.pack(f"{order}HL", 42, 8))  # fmt: skip
    directory = struct.pack(f"{order}{count}", len(tags))
    directory += b"".join(struct.pack(f"{order}{entry}", *tag) for tag in tags)
    return mark + start + directory + bytes(8) + after


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_of_very_many_strips_is_refused(big):
    check(io.BytesIO(tiff([(273, 4, 60_000, 0)], big=big, after=bytes(240_000))))
    with pytest.raises(ValueError, match="65,536"):
        check(io.BytesIO(tiff([(273, 4, 70_000, 0)], big=big, after=bytes(280_000))))


def test_a_tiff_of_very_many_numbers_is_refused():
    tag = (282, 5, 600_000, 0)
    with pytest.raises(ValueError, match="524,288"):
        check(io.BytesIO(tiff([tag], after=bytes(4_800_000))))
    # In a directory that it points to, too.
    first = tiff([(34665, 4, 1, 38)])
    second = struct.pack("<HHHLL", 1, *tag)
    with pytest.raises(ValueError, match="524,288"):
        check(io.BytesIO(first.ljust(38, b"\0") + second + bytes(4_800_000)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_huge_tiles_is_refused(order):
    sizes = lambda side: [(322, 4, 1, side), (323, 4, 1, side)]  # noqa: E731
    check(io.BytesIO(tiff(sizes(4096), order)))
    with pytest.raises(ValueError, match="16,777,216 pixels"):
        check(io.BytesIO(tiff(sizes(40_000), order)))


def test_a_tiff_whose_tags_share_bytes_is_refused():
    # Each would be read into memory by itself.
    tags = [(number, 7, 4000, 0) for number in range(60_000, 60_100)]
    check(io.BytesIO(tiff(tags[:4], after=bytes(4000))))
    with pytest.raises(ValueError, match="400,000 bytes"):
        check(io.BytesIO(tiff(tags, after=bytes(4000))))


def test_a_stray_pointer_to_a_directory_is_no_reason_to_refuse():
    noise = bytes(range(256)) * 40
    check(io.BytesIO(tiff([(34665, 4, 1, 300), (34853, 4, 1, 1 << 31)], after=noise)))


def test_a_tiff_of_more_tags_than_16_bits_count_is_refused():
    with pytest.raises(ValueError, match="70,000"):
        check(io.BytesIO(tiff([(1, 1, 1, 0)] * 70_000, big=True)))


def test_directories_in_a_ring_end():
    check(io.BytesIO(tiff([(34665, 4, 1, 8), (34853, 4, 1, 8)])))
    check(io.BytesIO(b"II*\0"))


def test_a_long_run_length_encoding_is_refused():
    header = b"BM" + bytes(12) + struct.pack("<LllHHL", 40, 9000, 9000, 1, 8, 1)
    check(io.BytesIO(header + bytes(1 << 22)))
    with pytest.raises(ValueError, match="8,388,608 bytes"):
        check(io.BytesIO(header + bytes(1 << 23)))
