"""Files that parsers may break on: valid ones, and what damages them."""

import io
import random
import struct

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
