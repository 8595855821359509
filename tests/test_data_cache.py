import errno
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from gancli.data import cache
from gancli.files import cache_root

IMAGES = np.random.default_rng(0).integers(256, size=(5, 4, 3, 1), dtype=np.uint8)
LABELS = [2, 0, 1, 1, 0]
CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def items():
    return zip(IMAGES, LABELS, strict=True)


def decode(key="key", classes=CLASSES):
    return cache.decode_once(key, 5, (4, 3, 1), items(), classes)


def untouched():
    raise AssertionError("decoded again")
    yield


def test_what_was_decoded_is_mapped_and_not_decoded_again():
    first = decode()
    again = cache.decode_once("key", 5, (4, 3, 1), untouched(), CLASSES)
    for decoded in (first, again):
        assert isinstance(decoded.examples, np.memmap)
        assert not decoded.examples.flags.writeable
        np.testing.assert_array_equal(decoded.examples, IMAGES)
        assert decoded.labels is not None
        assert decoded.labels.dtype == np.int32
        assert decoded.labels.tolist() == LABELS
        assert decoded.spec.classes == CLASSES
    assert first.fingerprint == again.fingerprint
    assert len(first.fingerprint) == 64


def test_a_set_without_classes_has_no_labels():
    assert decode(classes=()).labels is None
    assert decode("other").labels is not None


def test_keys_do_not_share_entries():
    decode("one")
    assert cache.find("two") is None
    found = cache.find("one")
    assert found is not None
    assert found.examples.shape == (5, 4, 3, 1)


def truncate(entry):
    os.truncate(entry / "examples.npy", 150)


def lengthen(entry):
    with (entry / "examples.npy").open("ab") as file:
        file.write(b"\0")


def reshape(entry):
    np.save(entry / "examples.npy", IMAGES[:4])


def forget_labels(entry):
    (entry / "labels.npy").unlink()


def forget_facts(entry):
    (entry / "facts.json").unlink()


def garble_facts(entry):
    (entry / "facts.json").write_text("{")


def list_facts(entry):
    (entry / "facts.json").write_text("[]")


def swap_facts(entry):
    facts = json.loads((entry / "facts.json").read_text())
    (entry / "facts.json").write_text(json.dumps(facts | {"key": "another"}))


def pickle_labels(entry):
    np.save(entry / "labels.npy", np.array([{}] * 5, object), allow_pickle=True)


def nest_facts(entry):
    (entry / "facts.json").write_text("[" * 100_000)


def widen_facts(entry):
    (entry / "facts.json").write_text('{"shape": ' + "9" * 5000 + "}")


def pipe_facts(entry):
    (entry / "facts.json").unlink()
    os.mkfifo(entry / "facts.json")


def device_examples(entry):
    (entry / "examples.npy").unlink()
    (entry / "examples.npy").symlink_to("/dev/zero")


def loop_labels(entry):
    (entry / "labels.npy").unlink()
    (entry / "labels.npy").symlink_to("labels.npy")


def folder_facts(entry):
    (entry / "facts.json").unlink()
    (entry / "facts.json").mkdir()


def absurd_header(shape, kind="|u1"):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


def absurd_labels(entry):
    (entry / "labels.npy").write_bytes(absurd_header("(1099511627776,)", "<i4"))


def absurd_everything(entry):
    sizes = [1 << 40, 4, 3, 1]
    (entry / "examples.npy").write_bytes(absurd_header(tuple(sizes)))
    facts = json.loads((entry / "facts.json").read_text())
    (entry / "facts.json").write_text(json.dumps(facts | {"shape": sizes}))


def bracket_header(entry):
    content = b"\x93NUMPY\1\0" + (9000).to_bytes(2, "little") + b"(" * 9000
    (entry / "examples.npy").write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        truncate, lengthen, reshape, forget_labels, forget_facts, garble_facts, list_facts,
        swap_facts, pickle_labels, nest_facts, widen_facts, pipe_facts, device_examples,
        loop_labels, folder_facts, absurd_labels, absurd_everything, bracket_header,
    ],
)  # fmt: skip
def test_a_damaged_entry_is_decoded_again_with_a_warning(harm, folder):
    expected = decode().fingerprint
    (entry,) = folder.iterdir()
    harm(entry)
    with pytest.warns(UserWarning, match=re.escape(str(entry))):
        decoded = decode()
    np.testing.assert_array_equal(decoded.examples, IMAGES)
    assert decoded.fingerprint == expected
    assert [path.name for path in folder.iterdir()] == [entry.name]


def test_an_interrupted_decoding_leaves_nothing(folder):
    def interrupted():
        yield IMAGES[0], 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.decode_once("key", 5, (4, 3, 1), interrupted(), CLASSES)
    assert list(folder.iterdir()) == []
    assert cache.find("key") is None


@pytest.mark.parametrize(("count", "words"), [(4, r"\b4\b.*uint8"), (6, r"\b5\b.*\b6\b")])
def test_a_miscounted_set_is_our_bug_and_leaves_nothing(count, words, folder):
    with pytest.raises(ValueError, match=words):
        cache.decode_once("key", count, (4, 3, 1), items(), CLASSES)
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_reported_and_leaves_nothing(folder):
    blocks = ((np.zeros((100, 100, 1), np.uint8), 0) for _ in range(50))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with refused(os.strerror(errno.EFBIG), str(folder), remedy="GAN_CACHE"):
            cache.decode_once("key", 50, (100, 100, 1), blocks)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(folder.iterdir()) == []


def test_a_set_larger_than_the_disk_is_refused_before_decoding(folder):
    with refused("3,458,764,513,820,540,928 bytes", remedy="GAN_CACHE"):
        cache.decode_once("key", 1 << 40, (1 << 10, 1 << 10, 3), untouched())
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_a_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "file"))
    with refused(str(tmp_path / "file"), remedy="GAN_CACHE"):
        decode()


def test_leftovers_of_killed_processes_are_removed_after_a_day(folder):
    fresh, old = folder / "x.partial-1", folder / "x.partial-2"
    for place in (fresh, old):
        place.mkdir(parents=True)
        (place / "examples.npy").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    for path in (old / "examples.npy", old):
        os.utime(path, (yesterday, yesterday))
    decode()
    assert fresh.exists()
    assert not old.exists()


def test_what_a_killed_removal_left_is_removed_after_a_day(folder):
    fresh, old = folder / "x.damaged-1", folder / "x.damaged-2"
    for place in (fresh, old):
        place.mkdir(parents=True)
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    decode()
    assert fresh.exists()
    assert not old.exists()


def test_leftovers_are_not_removed_through_links(folder, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "examples.npy").write_bytes(b"mine")
    yesterday = time.time() - 25 * 3600
    os.utime(precious / "examples.npy", (yesterday, yesterday))
    folder.mkdir(parents=True)
    (folder / "x.partial-1").symlink_to(precious)
    decode()
    assert (precious / "examples.npy").read_bytes() == b"mine"


SLOW_DECODER = """
import sys, time
import numpy as np
from gancli.data import cache

def items():
    for number in range(20):
        time.sleep(0.02)
        yield np.full((4, 4, 1), number, np.uint8), number % 2

decoded = cache.decode_once("shared", 20, (4, 4, 1), items(), ("even", "odd"))
assert decoded.examples[:, 0, 0, 0].tolist() == list(range(20))
print(decoded.fingerprint)
"""


def test_processes_that_decode_the_same_set_at_once_agree(folder):
    command = [sys.executable, "-c", SLOW_DECODER]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(printed)) == 1
    assert len(printed[0].strip()) == 64
    assert len(list(folder.iterdir())) == 1


def test_roots_follow_the_environment(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("GAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "gan"
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert cache.prepared_root() == tmp_path / "xdg" / "gan" / "tensorflow_datasets"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "gan"
    monkeypatch.setenv("TFDS_DATA_DIR", "/data/sets")
    assert cache.prepared_root() == Path("/data/sets")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # A user without a home folder.
    with refused("home folder", allowed="GAN_CACHE", remedy="GAN_CACHE"):
        cache_root()


def test_identity_changes_with_the_files(tmp_path):
    file = tmp_path / "one"
    file.write_bytes(b"12")
    os.utime(file, ns=(1, 1))
    first = cache.identity([file])
    assert cache.identity([file]) == first
    os.utime(file, ns=(1, 2))
    touched = cache.identity([file])
    file.write_bytes(b"123")
    os.utime(file, ns=(1, 2))
    assert len({first, touched, cache.identity([file]), cache.identity([])}) == 4
    other = tmp_path / "other"
    other.write_bytes(b"12")
    os.utime(other, ns=(1, 1))
    other.replace(file)
    assert cache.identity([file]) != first
