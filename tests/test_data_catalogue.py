import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from gancli.data import DATASETS, DataRequest, load
from gancli.errors import UserError

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))


def test_every_built_in_set_is_registered():
    assert DATASETS.names() == [
        "digits", "grid25", "moons", "oracle", "photographs", "pixels", "ring8",
        "stacked-mnist", "swiss-roll", "text",
    ]  # fmt: skip


OF_FILES = {"stacked-mnist", "text"}


# The oracle's published set takes seconds to draw.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "oracle" else [])
        for name in sorted({*DATASETS.names()} - OF_FILES)
    ],
)
def test_every_built_in_set_is_whole(name):
    dataset = load(name)
    spec, examples = dataset.spec, dataset.examples
    assert spec.name == name
    assert examples.shape[1:] == spec.shape
    types = {"image": [np.uint8], "points": [np.float32], "tokens": [np.uint8, np.int32]}
    assert examples.dtype in types[spec.kind]
    assert (spec.vocabulary > int(examples.max())) == (spec.kind == "tokens")
    assert len(dataset.fingerprint) == 64
    assert int(dataset.fingerprint, 16) > 0
    assert (dataset.labels is None) == (spec.classes == ())
    if dataset.labels is not None:
        assert dataset.labels.dtype == np.int32
        assert dataset.labels.shape == examples.shape[:1]
        assert set(dataset.labels.tolist()) == set(range(len(spec.classes)))


def test_a_set_is_called_by_the_name_given(tmp_path):
    assert load(" ring8:count=10 ").spec.name == "ring8:count=10"
    np.savez(tmp_path / "set.npz", images=np.zeros((1, 2, 2), np.uint8))
    assert load(str(tmp_path / "set.npz")).spec.name == str(tmp_path / "set.npz")


def test_a_folder_with_the_name_of_a_registered_set_is_not_passed_over_silently(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("moons").mkdir()
    (notice,) = load("moons").notices
    assert "--dataset ./moons" in notice
    assert load("moons:count=10").notices == ()
    for name in ("config.json", "run.json"):  # A run, which has the name of its data.
        Path("moons", name).write_text("{}")
    assert load("moons").notices == ()


def test_a_registered_name_comes_before_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "mnist"):
        (tmp_path / name).mkdir()
        Image.new("L", (3, 2), 9).save(tmp_path / name / "1.png")
    assert load("digits").examples.shape == (1797, 8, 8, 1)
    # A path comes before a TensorFlow Datasets name.
    assert load("mnist").examples.shape == (1, 2, 3, 1)


@pytest.mark.parametrize("name", ["photographs", "ring8", "mnist"])
def test_only_images_without_splits_are_held_out(name):
    with refused("data.holdout", f"'{name}'", allowed=".npz"):
        load(name, DataRequest(holdout=0.1))


@pytest.mark.parametrize("name", ["digits", "{}"])
def test_only_images_of_files_have_a_white_level(tmp_path, name):
    (tmp_path / "a.txt").write_text("ab" * 200)
    name = name.format(tmp_path / "a.txt")
    with refused("data.white_level", f"'{name}'", allowed="files"):
        load(name, DataRequest(white_level=1))


def test_a_link_that_leads_nowhere_is_called_one(tmp_path):
    (tmp_path / "photos").symlink_to("moved")
    with refused("photos", "link", "moved"):
        load(str(tmp_path / "photos"))


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "set.npz", images=np.zeros((4, 2, 2), np.uint8))
    assert len(load("~/set.npz").examples) == 4


@pytest.mark.parametrize(
    ("name", "given", "allowed", "remedy"),
    [
        ("mnits", ("'mnits'",), "digits, grid25", "'mnist'"),
        ("ring9", ("'ring9'",), "digits, grid25", "'ring8'"),
        ("ring9:count=3", ("'ring9:count=3'",), "digits, grid25", "'ring8'"),
        ("qqqqqqqq", ("'qqqqqqqq'",), "digits, grid25", ()),
        ("", ("''",), "digits, grid25", ()),
        ("a\0b", ("'a\\x00b'",), "digits, grid25", ()),
        ("x" * 5000, ("xxx", os.strerror(errno.ENAMETOOLONG)), (), ()),
        ("mnist", ("'mnist'",), "TensorFlow Datasets", "gan data prepare mnist"),
        (
            "cifar10_1/v4",
            ("'cifar10_1/v4'",),
            "TensorFlow Datasets",
            "gan data prepare cifar10_1/v4",
        ),
        ("digits:size=3", ("'digits'", "'size'"), "margin", ()),
    ],
)
def test_a_name_that_leads_nowhere_is_explained(name, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        load(name)


@pytest.mark.parametrize(
    "name",
    ["./photos", "no/such/folder", "~/no-such-folder", "images.npz", "~nobody-of-this-name/x"],
)
def test_a_path_that_leads_nowhere_is_no_name_of_a_set(name):
    with refused(repr(name), allowed=(".npz", ".txt")) as caught:
        load(name)
    assert "digits" not in caught.value.allowed


def test_a_file_that_is_not_npz_is_refused(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"PK")
    with refused("set.zip'", ".npz", allowed=(".npz", ".txt")):
        load(str(tmp_path / "set.zip"))


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


def test_importing_the_room_stays_light():
    heavy = "['jax', 'tensorflow', 'tensorflow_datasets', 'grain', 'PIL', 'sklearn', 'scipy']"
    assert run(f"import sys, gancli.data; print(*[m for m in {heavy} if m in sys.modules])") == []


@pytest.mark.parametrize("name", ["digits", "ring8"])
def test_small_sets_load_in_well_under_a_second(name):
    load(name)
    start = time.perf_counter()
    load(name)
    assert time.perf_counter() - start < 0.8


@pytest.mark.skipif(not SHARED.is_dir(), reason="the official files are not here")
def test_a_cached_start_takes_under_a_second():
    load(str(SHARED / "mnist"))
    start = time.perf_counter()
    load(str(SHARED / "mnist"))
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "a\0b", "\udcff", "\n", "~nobody/x"])
def test_strange_names_are_refused_in_one_line(name):
    with pytest.raises(UserError) as caught:
        load(name)
    assert str(caught.value).isprintable()
