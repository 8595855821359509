"""Files that parsers may break on: valid ones, and what damages them."""

import io
import random
import struct
import warnings
import zipfile
import zlib

import numpy as np
from PIL import Image

INTERESTING = [0, 1, 2, 3, 7, 8, 16, 32, 127, 128, 254, 255]
WIDE = [
    0,
    1,
    0x7F,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
]


# Damage to any bytes


def damage(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """One to four changes of the kinds that break parsers."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = rng.choice([flip, overwrite, widen, cut, splice, repeat, leave_out, extend])(
            data, rng, other or data
        )
    return data


def place(data: bytes, rng: random.Random) -> int:
    """Anywhere, but the beginning most often: there the headers are."""
    return rng.randrange(min(len(data), rng.choice([16, 64, 512, 1 << 30])) or 1)


def flip(data, rng, other):
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 8, 64])):
        changed[place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(data, rng, other):
    changed = bytearray(data)
    changed[place(data, rng)] = rng.choice(INTERESTING)
    return bytes(changed)


def widen(data, rng, other):
    number, order = rng.choice([*WIDE, len(data), len(data) // 2]), rng.choice("<>")
    field = struct.pack(f"{order}{'H' if number < 1 << 16 else 'I'}", number)
    at = place(data, rng)
    return data[:at] + field + data[at + len(field) :]


def cut(data, rng, other):
    return data[: rng.randrange(len(data)) + 1]


def splice(data, rng, other):
    at, length = place(data, rng), rng.choice([4, 32, 1000])
    start = rng.randrange(len(other))
    return data[:at] + other[start : start + length] + data[at + length :]


def repeat(data, rng, other):
    at, length = place(data, rng), rng.choice([4, 32, 1000])
    return data[:at] + data[at : at + length] * rng.choice([2, 3, 100]) + data[at + length :]


def leave_out(data, rng, other):
    at = place(data, rng)
    return data[:at] + data[at + rng.choice([1, 2, 4, 32]) :] or b"\0"


def extend(data, rng, other):
    return data + rng.randbytes(rng.choice([1, 8, 5000]))


# Images


def sample(rng: random.Random, mode: str) -> Image.Image:
    width, height = rng.choice([(1, 1), (5, 4), (16, 16), (33, 70)])
    noise = np.random.default_rng(rng.randrange(1000)).integers(256, size=(height, width, 4))
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    image = Image.fromarray(noise.astype(np.uint8), "RGBA")
    return image.convert("RGB").convert(mode) if mode in ("P", "CMYK") else image.convert(mode)


def encoded(rng: random.Random, kind: str) -> bytes:
    """A valid image of a kind, with some of its options."""
    exif = Image.Exif()
    exif[0x0112] = rng.randrange(1, 9)
    mode, options = "RGB", {}
    if kind == "png":
        mode = rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
        options = rng.choice([{}, {"exif": exif}, {"icc_profile": bytes(500)}])
    if kind == "jpeg":
        mode = rng.choice(["L", "RGB", "CMYK"])
        options = {"progressive": rng.random() < 0.5, "exif": exif, "comment": b"hello"}
    if kind == "gif":
        mode = rng.choice(["1", "L", "P"])
        options = {"interlace": rng.randrange(2), "comment": b"hello"}
    if kind == "bmp":
        mode = rng.choice(["1", "L", "P", "RGB", "RGBA"])
    if kind == "webp":
        mode = rng.choice(["RGB", "RGBA"])
        options = {"lossless": rng.random() < 0.5, "exif": exif, "icc_profile": bytes(500)}
    if kind == "tiff":
        mode = rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
        names = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"]
        options = {"compression": rng.choice(names), "tiffinfo": {0x0112: rng.randrange(1, 9)}}
        if mode in ("L", "RGB") and rng.random() < 0.2:
            options["compression"] = "jpeg"
        if mode == "1" and rng.random() < 0.5:
            options["compression"] = rng.choice(["group3", "group4", "tiff_ccitt"])
    file = io.BytesIO()
    image = sample(rng, mode)
    if kind in ("png", "gif", "webp", "tiff") and rng.random() < 0.3:
        frames = [sample(rng, mode).resize(image.size) for _ in range(3)]
        options |= {"save_all": True, "append_images": frames}
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


PNG_CHUNKS = [b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fcTL", b"abCd", b"IHDR"]
# EXIF of one tag: orientation 6
TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """Damage inside the chunks, with the right checksums, or to which chunks there are."""
    chunks = png_chunks(data)
    at = rng.randrange(len(chunks))
    kind, content = chunks[at]
    action = rng.randrange(6)
    if action == 0:
        width, height = (rng.choice([0, 1, 2, 70, 6000, 65535, 65536, 1 << 31]) for _ in range(2))
        depth, colour = rng.choice([1, 2, 4, 8, 16, 3]), rng.choice([0, 2, 3, 4, 6, 1])
        header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.randrange(3))
        chunks[0] = (b"IHDR", header)
    elif action == 1:
        chunks[at] = (kind, damage(content or b"\0", rng))
    elif action == 2:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
    elif action == 3:
        chunks[at] = (rng.choice(PNG_CHUNKS), content)
    elif action == 4:
        bomb = b"key\0\0" + zlib.compress(bytes(rng.choice([100, 2_000_000])))
        chunks.insert(1, (rng.choice([b"zTXt", b"iCCP", b"iTXt"]), bomb))
    else:
        chunks.insert(1, (b"eXIf", damage(TURNED, rng)))
    return png_of(chunks)


TIFF_TAGS = [
    254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 322, 323, 324, 338, 339,
    347, 530, 700, 34665,
]  # fmt: skip
TIFF_COMPRESSIONS = [32773, 32946, 34676, 34712, 34925, 50000, 50001]


def damaged_tiff(data: bytes, rng: random.Random) -> bytes:
    """Changed entries of the first directory, of which Pillow writes the byte order II."""
    changed = bytearray(data)
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    for _ in range(rng.choice([1, 1, 2])):
        at = first + 2 + 12 * rng.randrange(max(1, count))
        field, width = rng.choice([(0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 2)])
        values = {0: TIFF_TAGS, 2: range(19)}.get(field, [*WIDE, *range(9), *TIFF_COMPRESSIONS])
        number = rng.choice(values) % (1 << 8 * width)
        changed[at + field : at + field + width] = number.to_bytes(width, "little")
    return bytes(changed)


def damaged_jpeg(data: bytes, rng: random.Random) -> bytes:
    """Another size, another order of segments, or many more of one."""
    starts = [
        at for at in range(2, len(data) - 4) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)
    ]
    at = rng.choice(starts)
    length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
    action = rng.randrange(3)
    if action == 0:
        frames = [i for i in starts if data[i + 1] in (0xC0, 0xC1, 0xC2)]
        sizes = struct.pack(">HH", *(rng.choice([0, 1, 8, 6000, 65535]) for _ in range(2)))
        return data[: frames[0] + 5] + sizes + data[frames[0] + 9 :] if frames else data
    if action == 1:
        return data[:at] + data[at : at + length] * rng.choice([2, 5, 300]) + data[at + length :]
    other = rng.choice(starts)
    return data[:at] + data[other:] + data[at:]


def damaged_gif(data: bytes, rng: random.Random) -> bytes:
    """Another canvas, another frame, or many extensions."""
    action = rng.randrange(3)
    if action == 0:
        sizes = struct.pack("<HH", *(rng.choice([0, 1, 5, 6000, 65535]) for _ in range(2)))
        return data[:6] + sizes + data[10:]
    frame = data.find(b",", 13)
    if action == 1:
        box = struct.pack("<HHHH", *(rng.choice([0, 1, 5, 300, 6000, 65535]) for _ in range(4)))
        return data[: frame + 1] + box + data[frame + 9 :]
    block = bytes([rng.choice([0, 1, 255])]) + b"x" * rng.choice([1, 3, 255])
    label = rng.choice([b"\xfe", b"\xff", b"\xf9", b"\x01"])
    return data[:frame] + b"!" + label + block * rng.choice([1, 9, 3000]) + b"\0" + data[frame:]


def damaged_webp(data: bytes, rng: random.Random) -> bytes:
    """Another canvas or another frame, in whichever kind of header there is."""
    changed = bytearray(data)
    at = max(data.find(b"VP8X") + 12, data.find(b"VP8 ") + 14, data.find(b"VP8L") + 9)
    changed[at : at + 6] = rng.choice([b"\xff\x3f\xff\x3f\xff\xff", rng.randbytes(6), bytes(6)])
    return bytes(changed)


CAREFUL = {
    "png": damaged_png,
    "tiff": damaged_tiff,
    "jpeg": damaged_jpeg,
    "gif": damaged_gif,
    "webp": damaged_webp,
}


# Arrays


def array_file(header: str, content: bytes, version: int = 1) -> bytes:
    text = header.encode("latin-1", "replace")
    length = struct.pack("<H" if version == 1 else "<I", len(text) & 0xFFFF)
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + content


def header_of(kind: str, shape: str, by_columns: str = "False") -> str:
    return f"{{'descr': {kind}, 'fortran_order': {by_columns}, 'shape': {shape}, }}\n"


def zip_of(members: list[tuple[str, bytes]], rng: random.Random) -> bytes:
    file = io.BytesIO()
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(file, "w", rng.choice([*methods[:2] * 4, *methods])) as archive,
    ):
        warnings.simplefilter("ignore")  # Of a name that is there twice
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()
