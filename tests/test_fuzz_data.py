"""Damaged data sets are read or refused with one message, whatever is damaged in them: slow.

Each family of inputs is made from fixed seeds and loaded in a process of its own, in which
memory is measured, files outside the cache are watched, and one input that takes too long ends
the process, saying where.
"""

import contextlib
import faulthandler
import gzip
import io
import json
import os
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from budget import peak_mib
from hostile_files import damage, encoded
from test_data_formats_tfds import labelled

from gancli.data import DataRequest, load
from gancli.errors import UserError

pytestmark = pytest.mark.slow

SECONDS_AN_INPUT = 10
# Decoding the largest images may take 2 GiB together, and results that wait 256 MiB.
MEBIBYTES = 2560
LONGEST_MESSAGE = 2000
INPUTS_IN_A_CACHE = 50


# Folders of images


def image_folder(kind: str) -> Callable[[Path, random.Random], str]:
    def make(root: Path, rng: random.Random) -> str:
        data = damage(encoded(rng, kind), rng, encoded(rng, kind))
        suffix = rng.choice(["png", "jpg", "gif", "tiff"]) if rng.random() < 0.1 else kind
        return folder_of(root, {f"a.{suffix}": data})

    return make


def folder_of(root: Path, files: dict[str, bytes]) -> str:
    folder = root / "input"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


# Arrays


def npz(root: Path, rng: random.Random) -> str:
    shape = rng.choice([(3, 4, 5), (3, 4, 5, 1), (2, 3, 4, 3)])
    arrays = {"images": np.zeros(shape, np.uint8), "labels": np.arange(shape[0])}
    file = io.BytesIO()
    order = np.asfortranarray if rng.random() < 0.3 else np.ascontiguousarray
    save = rng.choice([np.savez, np.savez_compressed])
    save(file, **{name: order(array) for name, array in arrays.items()})
    data = file.getvalue()
    action = rng.randrange(3)
    if action == 0:
        data = damage(data, rng)
    elif action == 1:  # The ends of the file, where zip keeps its directory
        data = data[:-200] + damage(data[-200:], rng)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        at = rng.randrange(len(members))
        members[at] = (members[at][0], damage(members[at][1], rng))
        file = io.BytesIO()
        with zipfile.ZipFile(
            file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        ) as new:
            for name, content in members:
                new.writestr(name, content)
        data = file.getvalue()
    (root / "input.npz").write_bytes(data)
    return str(root / "input.npz")


# IDX


def idx(root: Path, rng: random.Random) -> str:
    images = b"\0\0\x08\x03" + struct.pack(">3I", 4, 5, 3) + bytes(range(60))
    labels = b"\0\0\x08\x01" + struct.pack(">I", 4) + b"\1\0\3\2"
    contents = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}
    chosen = rng.choice(list(contents))
    zipped = rng.random() < 0.5
    before = rng.random() < 0.6
    if before or not zipped:
        contents[chosen] = damage(contents[chosen], rng)
    if zipped:
        contents = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in contents.items()}
        if not before:
            contents[f"{chosen}.gz"] = damage(contents[f"{chosen}.gz"], rng)
    return folder_of(root, contents)


# Folders of all kinds of entries


NAMES = [
    "a", "b.png", "c\n.png", "\x1b[31m", "e\udcff.jpg", f"{'f' * 200}.png", ".g.png", "h.PNG",
    "..png", "é.gif",
]  # fmt: skip
TARGETS = [
    "/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/fd", "nowhere", ".", "..", "a",
    "b.png",
]  # fmt: skip


def entries(root: Path, rng: random.Random) -> str:
    folder = root / "input"
    made = [folder]
    folder.mkdir()
    for _ in range(rng.randrange(1, 9)):
        path = rng.choice(made) / rng.choice(NAMES)
        if path.is_symlink() or path.exists():
            continue
        match rng.randrange(9):
            case 0 | 1 | 2:
                path.write_bytes(encoded(rng, rng.choice(["png", "gif", "jpeg"])))
            case 3 | 4:
                path.mkdir()
                made.append(path)
            case 5:
                path.symlink_to(rng.choice(TARGETS))
            case 6:
                os.mkfifo(path)
            case 7:
                path.write_bytes(b"")
            case 8:
                with socket.socket(socket.AF_UNIX) as opened, contextlib.chdir(path.parent):
                    if len(path.name) < 90:
                        opened.bind(os.fsencode(path.name))
    if rng.random() < 0.04:
        deep = folder
        for _ in range(70):
            deep /= "d"
        deep.mkdir(parents=True)
    return str(folder)


# Entries of the cache


def entry(root: Path, rng: random.Random) -> str:
    """A set that has been read before, whose entry was damaged since."""
    path = root / "input.npz"
    remove(root / "cache" / "decoded")
    np.savez(path, images=np.arange(60, dtype=np.uint8).reshape(3, 4, 5), labels=np.arange(3))
    load(str(path), REQUEST)
    (folder,) = (root / "cache" / "decoded").iterdir()
    file = folder / rng.choice(["examples.npy", "labels.npy", "facts.json"])
    match rng.randrange(6):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.symlink_to(rng.choice(["nowhere", file.name, "labels.npy"]))
        case 2:
            file.unlink()
            file.mkdir()
        case _:
            file.write_bytes(damage(file.read_bytes(), rng))
    return str(path)


# Prepared sets of TensorFlow Datasets


def prepared_set(root: Path) -> Path:
    """A fresh copy of a valid one."""
    original = root.parent / "original"
    if not original.exists():
        images = np.random.default_rng(0).integers(256, size=(3, 6, 5, 3), dtype=np.uint8)
        folder = labelled(original, images, [0, 1, 2])
        (folder / "label.labels.txt").write_text("ant\nbee\ncat\n")
    shutil.copytree(original, root / "prepared")
    return root / "prepared" / "mnist" / "3.0.1"


def prepared_files(root: Path, rng: random.Random) -> str:
    """A prepared set of which a file was damaged."""
    path = rng.choice(sorted(prepared_set(root).iterdir()))
    path.write_bytes(damage(path.read_bytes(), rng))
    return "mnist"


# What is tried


class Family(NamedTuple):
    """How many inputs are made, and how one is drawn and written: the name to load."""

    count: int
    make: Callable[[Path, random.Random], str]


FAMILIES = {
    "png": Family(300, image_folder("png")),
    "jpeg": Family(300, image_folder("jpeg")),
    "gif": Family(200, image_folder("gif")),
    "bmp": Family(200, image_folder("bmp")),
    "tiff": Family(400, image_folder("tiff")),
    "webp": Family(200, image_folder("webp")),
    "npz": Family(500, npz),
    "idx": Family(500, idx),
    "entries of a folder": Family(400, entries),
    "files of the cache": Family(250, entry),
    "prepared files": Family(300, prepared_files),
}
# What is wrong in the cache is made again.
DECODED_AGAIN = ("files of the cache",)
REQUEST = DataRequest()
REQUESTS = [REQUEST, REQUEST, DataRequest(size=8), DataRequest(size=8, fit="pad")]


def main(name: str, seed: str = "") -> None:
    """Runs in a process of its own: tries a family, and prints what became of it.

    Another seed makes other inputs: `python tests/test_fuzz_data.py tiff 7` searches further.
    """
    family, report = FAMILIES[name], Report()
    base = Path(tempfile.mkdtemp(prefix="gan-fuzz-"))
    root = surroundings(base)
    for number in range(family.count):
        rng = random.Random(f"{name} {seed} {number}")
        attempt(root, family, rng, REQUESTS[number % len(REQUESTS)], report)
    report.memory = peak_mib()
    shutil.rmtree(base, ignore_errors=True)
    print(json.dumps(vars(report)))


class Report:
    def __init__(self):
        self.read = self.refused = self.memory = 0
        self.slowest = 0.0


def surroundings(base: Path) -> Path:
    """A folder with an empty cache."""
    root = base / "input"
    for folder in ("cache", "current"):
        (root / folder).mkdir(parents=True)
    os.environ |= {"GAN_CACHE": str(root / "cache"), "TFDS_DATA_DIR": str(root / "prepared")}
    os.chdir(root / "current")
    return root


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def attempt(
    root: Path, family: Family, rng: random.Random, request: DataRequest, report: Report
) -> None:
    """Makes one input, loads it, and looks at what it left behind."""
    for left in ("input", "input.npz", "prepared"):
        remove(root / left)
    if (report.read + report.refused) % INPUTS_IN_A_CACHE == 0:
        remove(root / "cache" / "decoded")
    name = family.make(root, rng)
    before = snapshot(root)
    faulthandler.dump_traceback_later(3 * SECONDS_AN_INPUT, exit=True)
    started = time.monotonic()
    try:
        dataset = load(name, request)
        assert len(dataset.examples) > 0
        assert dataset.examples.shape[1:] == dataset.spec.shape
        report.read += 1
    except UserError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) < LONGEST_MESSAGE, message
        report.refused += 1
    seconds = time.monotonic() - started
    faulthandler.cancel_dump_traceback_later()
    report.slowest = max(report.slowest, seconds)
    assert seconds < SECONDS_AN_INPUT, f"{seconds:.1f} seconds"
    assert snapshot(root) == before


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Every entry outside the cache, with its kind, size and time."""
    found = {}
    for place, folders, files in os.walk(root):
        if place == str(root):
            folders.remove("cache")
        for name in [*folders, *files]:
            status = os.lstat(os.path.join(place, name))
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            found[os.path.join(place, name)] = (status.st_mode, size, status.st_mtime_ns)
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_every_data_set_is_read_or_refused(name):
    done = subprocess.run(
        [sys.executable, __file__, name],
        capture_output=True, text=True, check=False, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["read"] + report["refused"] >= FAMILIES[name].count
    assert report["read"] > 0
    assert (report["refused"] == 0) == (name in DECODED_AGAIN)
    assert report["slowest"] < SECONDS_AN_INPUT
    assert report["memory"] < MEBIBYTES


if __name__ == "__main__":
    main(*sys.argv[1:])
