import importlib.util
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from gancli.data import load, prepare

SHARED = Path(__file__).parents[2] / "shared" / "data"

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None or not SHARED.is_dir(),
    reason="TensorFlow or the official files are not here",
)


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    return tmp_path / "prepared"


def _prepare(environment, *arguments):
    os.environ.update(environment)
    return prepare(*arguments)


@pytest.fixture(scope="module")
def prepare_apart():
    """`prepare` in a process of its own, which takes TensorFlow's memory with it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield lambda *arguments: process.submit(_prepare, dict(os.environ), *arguments).result()


@pytest.mark.parametrize("name", ["mnits", "mnist;", "../mnist", "Mnist"])
def test_unknown_names_are_not_prepared(name):
    with refused("TensorFlow Datasets", repr(name), allowed=("mnist", "cifar10")):
        prepare(name)


def test_preparing_what_is_prepared_does_nothing(prepared):
    folder = prepared / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    assert prepare("mnist") == folder


def test_preparing_from_a_missing_folder_is_refused(tmp_path):
    with refused(str(tmp_path / "nowhere")):
        prepare("mnist", tmp_path / "nowhere")


def test_preparing_without_tensorflow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with refused("TensorFlow", allowed="`tfds`", remedy="pip install tensorflow-cpu"):
        prepare("mnist")


def left_by_a_killed_process(folder, hours):
    """What TensorFlow Datasets writes before it is complete, last written some hours ago."""
    folder.mkdir(parents=True)
    (folder / "mnist-train.array_record-00000-of-00001").write_bytes(b"half")
    written = time.time() - hours * 3600
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (written, written))
    return folder


def test_what_killed_preparations_left_is_removed_after_a_day(prepared, monkeypatch):
    old = left_by_a_killed_process(prepared / "mnist" / "incomplete.P4F7AX_3.0.1", 25)
    deeper = left_by_a_killed_process(prepared / "mnist" / "all" / "incomplete.0AB9ZZ_3.0.1", 25)
    fresh = left_by_a_killed_process(prepared / "mnist" / "incomplete.AAAAAA_3.0.1", 23)
    # A folder that is old itself, but in which a file is being written.
    busy = left_by_a_killed_process(prepared / "mnist" / "incomplete.BBBBBB_3.0.1", 25)
    os.utime(busy / "mnist-train.array_record-00000-of-00001")
    named = left_by_a_killed_process(prepared / "mnist" / "incomplete.notes", 25)
    other = left_by_a_killed_process(prepared / "cifar10" / "incomplete.P4F7AX_3.0.2", 25)
    linked = prepared / "mnist" / "incomplete.CCCCCC_3.0.1"
    linked.symlink_to(other)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with refused("TensorFlow", allowed="`tfds`", remedy="pip install tensorflow-cpu"):
        prepare("mnist")
    assert [path.exists() for path in (old, deeper)] == [False, False]
    assert all(path.exists() for path in (fresh, busy, named, other, linked))
    assert (other / "mnist-train.array_record-00000-of-00001").exists()


def copy_official(tmp_path, skip=()):
    source = tmp_path / "official"
    source.mkdir()
    for path in (SHARED / "mnist").iterdir():
        if path.name not in skip:
            (source / path.name).write_bytes(path.read_bytes())
    return source


@pytest.mark.slow
@needs_tensorflow
def test_mnist_is_prepared_offline_and_agrees_with_its_idx_files(tmp_path, prepared, prepare_apart):
    source = copy_official(tmp_path)
    assert prepare_apart("mnist", source) == prepared / "mnist" / "3.0.1"
    tfds, idx = load("mnist"), load(str(SHARED / "mnist"))
    assert tfds.examples.shape == (60_000, 28, 28, 1)
    # The library shuffles, so the sets agree as sets: compare sums by label.
    assert tfds.labels is not None
    assert idx.labels is not None
    for label in range(10):
        ours, theirs = tfds.examples[tfds.labels == label], idx.examples[idx.labels == label]
        np.testing.assert_array_equal(ours.sum(axis=0, dtype=int), theirs.sum(axis=0, dtype=int))


@pytest.mark.slow
@needs_tensorflow
def test_a_wrong_checksum_is_refused_and_leaves_nothing(tmp_path, prepared, prepare_apart):
    source = copy_official(tmp_path)
    path = source / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with refused("'mnist'", str(path), allowed="SHA-256"):
        prepare_apart("mnist", source)
    assert not list(prepared.glob("mnist/*"))
    with refused("'mnist'", allowed="TensorFlow Datasets", remedy="gan data prepare mnist"):
        load("mnist")


@pytest.mark.slow
@needs_tensorflow
def test_a_missing_file_is_named_and_nothing_is_downloaded(tmp_path, prepare_apart):
    source = copy_official(tmp_path, skip=("t10k-labels-idx1-ubyte.gz",))
    with refused(str(source), "'t10k-labels-idx1-ubyte.gz'", "'mnist'"):
        prepare_apart("mnist", source)


@pytest.mark.slow
@needs_tensorflow
def test_an_unknown_configuration_is_refused(prepare_apart):
    with refused("TensorFlow Datasets", "'emnist/nope'", allowed="`name/config`"):
        prepare_apart("emnist/nope")
