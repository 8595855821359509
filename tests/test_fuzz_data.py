"""Hostile data sets are read or refused with one message, whatever they are made of: slow.

Each family of inputs is made from fixed seeds and loaded in a process of its own, in which
memory is measured, files outside the cache are watched, and one input that takes too long ends
the process, saying where.
"""

import contextlib
import copy
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
from budget import peak_mib
from hostile_files import CAREFUL, WIDE, array_file, damage, encoded, header_of, zip_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
        data = encoded(rng, kind)
        careful = CAREFUL.get(kind)
        if careful is not None and rng.random() < 0.5:
            data = careful(data, rng)
        if careful is None or rng.random() < 0.5:
            data = damage(data, rng, encoded(rng, kind))
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
        members += [("../../escape.npy", b"x"), ("images.npy", members[0][1])][: rng.randrange(3)]
        data = zip_of(members, rng)
    (root / "input.npz").write_bytes(data)
    return str(root / "input.npz")


SIDES = st.one_of(
    st.integers(0, 6), st.sampled_from([-1, 1 << 16, 1 << 31, 1 << 40, 1 << 63, 1 << 64, 10**4000])
)
SHAPES = st.one_of(
    st.lists(SIDES, max_size=5).map(
        lambda sides: "(" + "".join(f"{hex(side)}, " for side in sides) + ")"
    ),
    st.sampled_from(
        ["()", "3", "(3,", "[3]", "(True, 4, 5)", "(1.5,)", "(1L, 2L)", "(" * 400, "-" * 4000 + "1"]
    ),
)
KINDS = [
    "'|u1'", "'<i8'", "'|O'", "'|S100'", "'<f8'", "'|V2147483647'", "'<U99999'", "None", "3",
    "[('a', '|u1')]", "('|u1', (9, 9))", "'u1,u1'", "'M8[s]'", "['|u1'", f"'{'u1,' * 900}u1'",
]  # fmt: skip
HEADERS = st.one_of(
    st.builds(
        header_of,
        st.one_of(st.just("'|u1'"), st.sampled_from(KINDS)),
        SHAPES,
        st.sampled_from(["True", "False", "0", "x"]),
    ),
    st.text("{}()[]',:-+ \n\\#\"0123456789abxfTrue", max_size=300),
)


@st.composite
def npz_headers(draw) -> list[tuple[str, bytes]]:
    """Arrays whose headers are right, or not, or not of so many bytes."""
    count = draw(st.integers(1, 3))
    shapes = {
        "images.npy": (count, *draw(st.tuples(*[st.integers(1, 4)] * 2))),
        "labels.npy": (count,),
    }
    members = []
    for name, shape in shapes.items():
        kind = "'|u1'" if name == "images.npy" else "'<i4'"
        size = int(np.prod(shape)) * (1 if name == "images.npy" else 4)
        valid = header_of(kind, str(shape), draw(st.sampled_from(["True", "False"])))
        header = draw(st.one_of(st.just(valid), st.just(valid), HEADERS))
        length = draw(st.sampled_from([size, size, size, 0, 1, size + 1, 4000]))
        members.append(
            (name, array_file(header, bytes(length), draw(st.sampled_from([1, 1, 1, 2, 3, 4]))))
        )
    return members[: draw(st.integers(1, 2))]


def npz_of_headers(root: Path, members: list[tuple[str, bytes]]) -> str:
    (root / "input.npz").write_bytes(zip_of(members, random.Random(0)))
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


@st.composite
def idx_headers(draw) -> dict[str, bytes]:
    sides = [draw(st.integers(1, 5)) for _ in range(3)]
    size = int(np.prod(sides))
    if draw(st.booleans()):
        sides[draw(st.integers(0, 2))] = draw(st.sampled_from(WIDE))
    content = bytes(draw(st.sampled_from([size, size, size - 1, size + 1, 0, 100_000])))
    images = b"\0\0\x08\x03" + struct.pack(">3I", *sides) + content
    if draw(st.booleans()):
        return {"train-images-idx3-ubyte": images}
    zipped = gzip.compress(images, mtime=0)
    return {"t10k-images.idx3-ubyte": images, "train-images-idx3-ubyte.gz": zipped}


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


# Documents


FEATURES = "tensorflow_datasets.core.features."
HOSTILE_TEXTS = [
    "", "..", "/", "../../../../etc/passwd", "{SPLIT.__class__.__mro__}", "{SPLIT:>999999999}",
    "a" * 10_000, "\0", *["hostile_module.Feature"] * 9, "os.system", "gs://bucket/data",
    "http://localhost:1/x", "array_record", "tfrecord", "parquet", "train", "mnist", "9" * 20, "-1",
    "1e9", "\udcff\n\x1b[31m", "float32", "uint8", f"{FEATURES}image_feature.Image",
    f"{FEATURES}audio_feature.Audio", f"{FEATURES}class_label_feature.ClassLabel",
    "tensorflow_datasets.scripts.cli.main.Main",
]  # fmt: skip
HOSTILE_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(HOSTILE_TEXTS),
        st.sampled_from([10**30, -(10**30), 1 << 62, 2**31, 1e308]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=6,
)
DEEP = "[" * 100_000


def places_in(value, here=()) -> Iterator[tuple]:
    yield here
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, inner in items.items() if isinstance(items, dict) else ():
        yield from places_in(inner, (*here, key))


def changed_document(document, path: tuple, value):
    """The document with one value replaced, or without it where the new one is `...`."""
    if not path:
        return value
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


class Change(NamedTuple):
    """Which value of a document becomes what; or which bytes of it are damaged, and how."""

    where: float
    value: object
    seed: int | None

    def apply(self, text: str) -> bytes:
        if self.seed is not None:
            return damage(text.encode(), random.Random(self.seed))
        if self.value == DEEP:
            return DEEP.encode()
        document = json.loads(text)
        paths = list(places_in(document))
        value = self.value
        path = paths[int(self.where * len(paths))]
        return json.dumps(
            changed_document(document, path, value) if path or value is not ... else None
        ).encode()


CHANGES = st.builds(
    Change,
    st.floats(0, 1, exclude_max=True),
    st.one_of(HOSTILE_VALUES, st.sampled_from(HOSTILE_TEXTS), st.just(...), st.just(DEEP)),
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, 1 << 32)),
)


# Entries of the cache


def entry(root: Path, change: Change | int) -> str:
    """A set that has been read before, whose entry was changed since."""
    path = root / "input.npz"
    remove(root / "cache" / "decoded")
    np.savez(path, images=np.arange(60, dtype=np.uint8).reshape(3, 4, 5), labels=np.arange(3))
    load(str(path), REQUEST)
    (folder,) = (root / "cache" / "decoded").iterdir()
    if isinstance(change, Change):
        (folder / "facts.json").write_bytes(change.apply((folder / "facts.json").read_text()))
        return str(path)
    rng = random.Random(change)
    file = folder / rng.choice(["examples.npy", "labels.npy", "facts.json"])
    match rng.randrange(8):
        case 0:
            file.unlink()
            os.mkfifo(file)
        case 1:
            file.unlink()
            file.symlink_to(
                rng.choice(["/dev/zero", "/dev/stdin", "nowhere", file.name, "labels.npy"])
            )
        case 2:
            kind, shape = (
                rng.choice(["'|u1'", "'<i4'", "'|O'"]),
                rng.choice(["(3,)", "(1099511627776,)", "(3, 4, 5, 1)", "()"]),
            )
            file.write_bytes(
                array_file(
                    header_of(kind, shape, rng.choice(["True", "False"])),
                    bytes(rng.choice([0, 12, 60])),
                )
            )
        case 3:
            file.write_bytes(zip_of([("a.npy", b"x")], rng))
        case 4:
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


def description(root: Path, change: tuple[str, Change]) -> str:
    """A prepared set whose description was changed."""
    name, detail = change
    path = prepared_set(root) / name
    path.write_bytes(detail.apply(path.read_text()))
    return "mnist"


def prepared_files(root: Path, rng: random.Random) -> str:
    """A prepared set of which a file was damaged or replaced."""
    folder = prepared_set(root)
    path = rng.choice(sorted(folder.iterdir()))
    action = rng.randrange(6)
    if action == 0:
        path.unlink()
        os.mkfifo(path)
    elif action == 1:
        path.unlink()
        path.symlink_to(rng.choice(["/dev/zero", "/dev/stdin", "/etc/passwd", "nowhere"]))
    elif action == 2 and "array_record" in path.name:
        path.unlink()
        write_records(path, rng)
    else:
        path.write_bytes(damage(path.read_bytes(), rng))
    return "mnist"


def write_records(path: Path, rng: random.Random) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(
        str(path), rng.choice(["group_size:1", "group_size:2", "group_size:1,uncompressed"])
    )
    for _ in range(3):
        image = (
            damage(encoded(rng, rng.choice(["png", "jpeg"])), rng)
            if rng.random() < 0.5
            else encoded(rng, "png")
        )
        record = example_of(image, rng.choice([0, 1, 2, 3, -1]))
        writer.write(
            rng.choice(
                [record, damage(record, rng), bytes(200_000_000), b""][
                    : rng.choice([1, 2, 2, 2, 4])
                ]
            )
        )
    writer.close()


def example_of(image: bytes, label: int) -> bytes:
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    example.features.feature["image"].bytes_list.value.append(image)
    example.features.feature["label"].int64_list.value.append(label)
    return example.SerializeToString()


# What is tried


class Family(NamedTuple):
    """How many inputs are made, how one is drawn, and how it is written: the name to load."""

    count: int
    make: Callable[[Path, object], str]
    values: st.SearchStrategy | None = None
    """Of what `make` is given; a generator of random numbers where it is None."""


FAMILIES = {
    "png": Family(900, image_folder("png")),
    "jpeg": Family(900, image_folder("jpeg")),
    "gif": Family(600, image_folder("gif")),
    "bmp": Family(400, image_folder("bmp")),
    "tiff": Family(1200, image_folder("tiff")),
    "webp": Family(600, image_folder("webp")),
    "npz": Family(1100, npz),
    "npz headers": Family(500, npz_of_headers, npz_headers()),
    "idx": Family(1000, idx),
    "idx headers": Family(300, folder_of, idx_headers()),
    "entries of a folder": Family(400, entries),
    "facts of the cache": Family(200, entry, CHANGES),
    "files of the cache": Family(250, entry, st.integers(0, 1 << 32)),
    "descriptions": Family(
        400,
        description,
        st.tuples(st.sampled_from(["dataset_info.json", "features.json"]), CHANGES),
    ),
    "prepared files": Family(300, prepared_files),
}
# What is wrong in the cache is made again.
DECODED_AGAIN = ("facts of the cache", "files of the cache")
REQUEST = DataRequest()
REQUESTS = [REQUEST, REQUEST, DataRequest(size=8), DataRequest(size=8, fit="pad")]


def main(name: str, seed: str = "") -> None:
    """Runs in a process of its own: tries a family, and prints what became of it.

    Another seed makes other inputs: `python tests/test_fuzz_data.py tiff 7` searches further.
    """
    family, report = FAMILIES[name], Report()
    base = Path(tempfile.mkdtemp(prefix="gan-fuzz-"))
    root = surroundings(base)
    if family.values is None:
        for number in range(family.count):
            rng = random.Random(f"{name} {seed} {number}")
            attempt(root, family, rng, REQUESTS[number % len(REQUESTS)], report)
    else:

        @settings(
            max_examples=family.count,
            derandomize=not seed,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(family.values)
        def every(value: object) -> None:
            attempt(root, family, value, REQUEST, report)

        (hypothesis.seed(seed)(every) if seed else every)()
    report.memory = peak_mib()
    shutil.rmtree(base, ignore_errors=True)
    print(json.dumps(vars(report)))


class Report:
    def __init__(self):
        self.read = self.refused = self.memory = 0
        self.slowest = 0.0


def surroundings(base: Path) -> Path:
    """A folder with an empty cache, and with a module that says so when it is imported."""
    root = base / "input"
    for folder in ("cache", "current", "modules"):
        (root / folder).mkdir(parents=True)
    os.environ |= {"GAN_CACHE": str(root / "cache"), "TFDS_DATA_DIR": str(root / "prepared")}
    os.chdir(root / "current")
    module = "from pathlib import Path; Path(__file__).with_name('ran').write_text('')"
    (root / "modules" / "hostile_module.py").write_text(module)
    sys.path[0] = str(root / "modules")
    return root


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def attempt(
    root: Path, family: Family, value: object, request: DataRequest, report: Report
) -> None:
    """Makes one input, loads it, and looks at what it left behind."""
    for left in ("input", "input.npz", "prepared"):
        remove(root / left)
    if (report.read + report.refused) % INPUTS_IN_A_CACHE == 0:
        remove(root / "cache" / "decoded")
    name = family.make(root, value)
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
