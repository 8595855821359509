"""The run directory."""

import json
import os

import numpy as np
import pytest
from refusals import refused

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.report import write_report
from gancli.runs.checkpoints import find_checkpoints
from gancli.runs.directory import DataIdentity, Run

IDENTITY = DataIdentity(DataSpec("digits", "image", (8, 8, 1), ("0", "1")), "abc")


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "a" / "run")
    run.create(Config(), IDENTITY)
    return run


def test_a_run_remembers_configuration_and_data(run):
    assert run.exists
    assert run.config == Config()
    assert DataIdentity.from_json(run.status["data"]) == IDENTITY
    run.update_status(status="finished", step=4)
    assert (run.status["status"], run.status["step"]) == ("finished", 4)


def test_a_directory_with_other_content_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with refused(f"'{tmp_path}'", "'thesis.tex'", remedy="--out"):
        Run(tmp_path).create(Config(), IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_directory_that_a_file_manager_has_shown_is_empty(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"mac")
    Run(tmp_path).create(Config(), IDENTITY)
    assert Run(tmp_path).exists


def test_a_run_whose_path_is_not_utf_8_is_refused_before_anything_is_made(tmp_path):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    with refused("caf\\udce9", allowed="UTF-8"):
        Run(place).create(Config(), IDENTITY)
    assert not place.exists()
    with refused("caf\\udce9", allowed="UTF-8"):
        find_checkpoints(place)


def test_a_path_that_is_no_run_is_refused(tmp_path):
    with refused(f"'{tmp_path}'", allowed="gan train"):
        _ = Run(tmp_path).config


def test_a_checkpoint_is_no_run(run):
    """What is written into it, such as a report, would count as damage."""
    checkpoint = run.path / "checkpoints" / "3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text(run.config_path.read_text())
    (checkpoint / "checksums.json").write_text("{}")
    with refused(f"'{checkpoint}'", allowed="gan train"):
        _ = Run(checkpoint).config
    with refused(f"'{checkpoint}'", allowed="a run"):
        write_report(checkpoint)
    assert sorted(path.name for path in checkpoint.iterdir()) == ["checksums.json", "config.json"]


@pytest.mark.parametrize(
    ("change", "given"),
    [
        ({"kind": "sound"}, "'sound'"),
        ({"shape": ["x"]}, "'x'"),
        ({"classes": 3}, "classes"),
        ({"vocabulary": "x"}, "vocabulary"),
        ({"target": {}}, "target"),
        ({"another": 1}, "another"),
    ],
)
def test_a_description_of_data_that_is_none_is_refused(change, given):
    with refused(given, allowed="gan train"):
        DataIdentity.from_json(IDENTITY.as_json() | change)


@pytest.mark.parametrize(("characters", "height"), [("", 0), ("", 2), ("\n\u00e9\U0001f600", 0)])
def test_a_description_of_tokens_is_restored(characters, height):
    spec = DataSpec("a", "tokens", (4,), vocabulary=3, characters=characters, height=height)
    identity = DataIdentity(spec, "abc")
    assert DataIdentity.from_json(json.loads(json.dumps(identity.as_json()))) == identity


def test_what_was_written_before_there_were_tokens_is_read():
    before = IDENTITY.as_json()
    del before["vocabulary"], before["characters"], before["height"]
    assert DataIdentity.from_json(before) == IDENTITY


def test_samples_are_kept_by_step(run):
    for step in (0, 250, 500):
        run.add_sample(step, np.full((2, 8, 8, 1), step % 256, np.uint8))
    run.drop_samples_from(251)
    history = list(run.sample_history())
    assert [step for step, _ in history] == [0, 250]
    assert (history[1][1] == 250).all()


def test_labels_of_samples_are_kept_with_them(run):
    run.add_sample(0, np.zeros((2, 8, 8, 1), np.uint8))
    assert run.sample_labels == []
    run.add_sample(250, np.zeros((2, 8, 8, 1), np.uint8), ["7", "seven, of ten"])
    assert run.sample_labels == ["7", "seven, of ten"]
    (run.samples / "labels.json").write_text('["7", 7]')
    with refused("labels.json", remedy="Remove it"):
        _ = run.sample_labels


def test_a_run_cut_off_in_its_making_is_made_again(tmp_path):
    run = Run(tmp_path / "run")
    run.create(Config(), IDENTITY)
    run.config_path.rename(run.path / ".config.json.0a1b2c3d.partial")
    run.create(Config(), IDENTITY)
    assert run.config == Config()


def test_what_a_killed_writer_left_is_removed_and_nothing_else(run):
    run.add_sample(0, np.zeros((2, 8, 8, 1), np.uint8))
    before = sorted(run.path.rglob("*"))
    (run.path / ".run.json.0a1b2c3d.partial").write_text("{")
    (run.samples / ".growth.png.e5b9a848.partial").write_bytes(b"half")
    run.clean()
    assert sorted(run.path.rglob("*")) == before


def test_samples_of_something_else_are_left_alone(tmp_path):
    run = Run(tmp_path / "run")
    run.samples.mkdir(parents=True)
    (run.samples / "precious.png").write_bytes(b"mine")
    with refused(f"'{run.path}'", "'samples'", remedy="--out"):
        run.create(Config(), IDENTITY)
    assert [path.name for path in run.path.iterdir()] == ["samples"]


def test_data_described_before_there_were_16_bits_have_8():
    spec = DataSpec("x", "image", (2, 2, 1), bits=16)
    held = DataIdentity(spec, "0" * 64).as_json()
    assert DataIdentity.from_json(held).spec == spec
    del held["bits"]
    assert DataIdentity.from_json(held).spec.bits == 8
