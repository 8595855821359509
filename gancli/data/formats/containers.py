"""What an image file asks for beyond its pixels, counted before it is decoded.

Pillow bounds how many pixels an image has, and how far compressed metadata expands. It does
not bound how many pieces a file is made of, and each costs it an object or a pass over the
image: a JPEG of 250 kB takes eight seconds for its thousand scans, a TIFF of 10 MB two minutes
and 1.6 GB for its five million strips.
"""

import io
import re
from collections.abc import Iterator
from typing import IO, Literal, NamedTuple

MOST_PIECES = 1 << 17
MOST_SCANS = 100
MOST_HEADER_BYTES = 1 << 25
MOST_RUN_LENGTH_BYTES = 1 << 23
MOST_TAGS = 0xFFFF
MOST_TIMES_THE_FILE = 4
MOST_TAG_VALUES = 1 << 19
MOST_STRIPS = 1 << 16
LARGEST_TILE = 1 << 24
# A marker that libjpeg acts on: not a restart, not a stuffed zero, not padding.
MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
GIF_COMMENT, GIF_APPLICATION = b"\xfe", b"\xff"
RUN_LENGTH_ENCODINGS = (1, 2)
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
              16: 8, 17: 8, 18: 8}  # fmt: skip
TIFF_BYTES = (1, 2, 6, 7)
TILE_WIDTH, TILE_LENGTH = 322, 323
STRIP_OFFSETS, TILE_OFFSETS = 273, 324
DIRECTORIES = (34665, 34853, 40965)
LARGEST_OFFSET = (1 << 63) - 1


class Tag(NamedTuple):
    """An entry of a TIFF directory: how many values it has, and the first if it is whole."""

    number: int
    kind: int
    length: int
    value: int


class Layout(NamedTuple):
    """How a TIFF writes numbers: its byte order, and whether offsets have 64 bits."""

    order: Literal["little", "big"]
    big: bool

    def number(self, content: bytes) -> int:
        """The whole number that these bytes are."""
        return int.from_bytes(content, self.order)


def check(file: IO[bytes]) -> None:
    """Refuses an image file whose pieces cost more than its pixels can.

    Args:
        file: the whole file; its position is moved.

    Raises:
        ValueError: if it has absurdly many pieces.
        OSError: if it cannot be read.
    """
    file.seek(0)
    start = file.read(16)
    if start.startswith(b"\xff\xd8\xff"):
        _check_jpeg(file)
    elif start.startswith(b"\x89PNG\r\n\x1a\n"):
        _require_few(_png_chunks(file), "chunks")
    elif start.startswith((b"GIF87a", b"GIF89a")):
        _require_few(_gif_blocks(file), "blocks before its first frame")
    elif start.startswith(b"BM"):
        _check_bmp(file)
    elif start.startswith(b"RIFF"):
        _require_few(_riff_chunks(file), "chunks")
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tiff(file)


def _require_few(pieces: Iterator[int], what: str) -> None:
    for number, _ in enumerate(pieces):
        if number == MOST_PIECES:
            raise ValueError(f"it has more than {MOST_PIECES:,} {what}")


def _png_chunks(file: IO[bytes]) -> Iterator[int]:
    """The length of each chunk (ISO/IEC 15948, 5.3)."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        yield length
        file.seek(length + 4, io.SEEK_CUR)


def _riff_chunks(file: IO[bytes]) -> Iterator[int]:
    """The length of each chunk of a WebP file (RFC 9649, 2.3)."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        yield length
        file.seek(length + length % 2, io.SEEK_CUR)


def _gif_blocks(file: IO[bytes]) -> Iterator[int]:
    """The length of each block before the first frame (GIF89a, 23), as Pillow takes them."""
    file.seek(10)
    flags = (file.read(1) or b"\0")[0]
    file.seek(13 + (3 << (flags % 8 + 1) if flags & 0x80 else 0))
    while (introducer := file.read(1)) not in (b",", b";", b""):
        yield 0
        if introducer == b"!":
            label = file.read(1)
            if label != GIF_COMMENT:
                # Pillow takes the first block without asking whether it ends the extension.
                first = _gif_block(file)
                yield len(first)
                if label == GIF_APPLICATION and first.startswith(b"NETSCAPE2.0"):
                    yield len(_gif_block(file))
            while block := _gif_block(file):
                yield len(block)


def _gif_block(file: IO[bytes]) -> bytes:
    return file.read((file.read(1) or b"\0")[0])


def _check_bmp(file: IO[bytes]) -> None:
    """Refuses long run-length encodings, which Pillow decodes run by run in Python."""
    file.seek(30)
    compression = int.from_bytes(file.read(4), "little")
    file.seek(0, io.SEEK_END)
    if compression in RUN_LENGTH_ENCODINGS and file.tell() > MOST_RUN_LENGTH_BYTES:
        raise ValueError(f"its run-length encoding has more than {MOST_RUN_LENGTH_BYTES:,} bytes")


def _check_jpeg(file: IO[bytes]) -> None:
    """Walks the markers to the end of the first image (ITU-T T.81, annex B)."""
    file.seek(0)
    data = file.read()
    position, scans = 2, 0
    for _ in range(MOST_PIECES):
        found = MARKER.search(data, position)
        if found is None:
            return
        marker, position = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            return
        if scans == 0 and position > MOST_HEADER_BYTES:
            raise ValueError(f"its first scan begins after {MOST_HEADER_BYTES:,} bytes")
        if marker in (START_OF_IMAGE, TEMPORARY):
            continue
        scans += marker == START_OF_SCAN
        if scans > MOST_SCANS:
            raise ValueError(f"it has more than {MOST_SCANS} scans")
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    raise ValueError(f"it has more than {MOST_PIECES:,} segments")


def _check_tiff(file: IO[bytes]) -> None:
    """Reads the first directory of tags, and those that it points to (TIFF 6.0, 2)."""
    file.seek(0)
    start = file.read(16)
    layout = Layout("little" if start[:1] == b"I" else "big", big=b"+" in start[2:4])
    pending = [layout.number(start[8:16] if layout.big else start[4:8])]
    tags: list[Tag] = []
    read: set[int] = set()
    while pending and len(read) <= len(DIRECTORIES):
        if (place := pending.pop(0)) not in read:
            read.add(place)
            inner = _tiff_tags(file, place, layout)
            tags += inner
            pending += [tag.value for tag in inner if tag.number in DIRECTORIES]
    widest = max((tag.value for tag in tags if tag.number == TILE_WIDTH), default=0)
    longest = max((tag.value for tag in tags if tag.number == TILE_LENGTH), default=0)
    if widest * longest > LARGEST_TILE:
        raise ValueError(f"its tiles have more than {LARGEST_TILE:,} pixels")
    # A tag of more bytes than the file is not read, and a stray pointer finds many such.
    size = file.seek(0, io.SEEK_END)
    tags = [tag for tag in tags if tag.length * TIFF_SIZES[tag.kind] <= size]
    if any(tag.length > MOST_STRIPS for tag in tags if tag.number in (STRIP_OFFSETS, TILE_OFFSETS)):
        raise ValueError(f"it has more than {MOST_STRIPS:,} strips or tiles")
    if sum(tag.length for tag in tags if tag.kind not in TIFF_BYTES) > MOST_TAG_VALUES:
        raise ValueError(f"its tags hold more than {MOST_TAG_VALUES:,} numbers")
    held = sum(tag.length * TIFF_SIZES[tag.kind] for tag in tags)
    if held > MOST_TIMES_THE_FILE * size:
        raise ValueError(
            f"its tags hold {held:,} bytes, more than {MOST_TIMES_THE_FILE} times the file's bytes"
        )


def _tiff_tags(file: IO[bytes], place: int, layout: Layout) -> list[Tag]:
    """The entries of one directory, as many as the file has."""
    file.seek(min(place, LARGEST_OFFSET))
    count = layout.number(file.read(8 if layout.big else 2))
    if count > MOST_TAGS:
        raise ValueError(f"it has a directory of {count:,} tags")
    width, middle = (20, 12) if layout.big else (12, 8)
    tags = []
    for _ in range(count):
        if len(entry := file.read(width)) < width:
            break
        number, kind = layout.number(entry[:2]), layout.number(entry[2:4])
        field = entry[middle:]
        if kind in TIFF_SIZES:
            length = layout.number(entry[4:middle])
            tags.append(Tag(number, kind, length, layout.number(field[: TIFF_SIZES[kind]])))
    return tags
