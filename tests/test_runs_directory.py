"""The run directory."""

import subprocess
import sys

import numpy as np
import pytest

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError
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
    with pytest.raises(UserError, match=r"holds 'thesis\.tex' and is not a run"):
        Run(tmp_path).create(Config(), IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_path_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a run"):
        _ = Run(tmp_path).config


@pytest.mark.parametrize(
    "change", [{"kind": "sound"}, {"shape": ["x"]}, {"shape": [10**9]}, {"classes": 3}]
)
def test_a_description_of_data_that_is_none_is_refused(change):
    with pytest.raises(UserError, match="description"):
        DataIdentity.from_json(IDENTITY.as_json() | change)


def test_samples_are_kept_by_step(run):
    for step in (0, 250, 500):
        run.add_sample(step, np.full((2, 8, 8, 1), step % 256, np.uint8))
    run.drop_samples_after(250)
    history = list(run.sample_history())
    assert [step for step, _ in history] == [0, 250]
    assert (history[1][1] == 250).all()


def test_one_process_writes_at_a_time_and_death_releases(run):
    script = (
        "import sys, time; from pathlib import Path; from gancli.runs.directory import Run\n"
        "with Run(Path(sys.argv[1])).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process"), run.lock():
            pass
    finally:
        holder.kill()
        holder.wait()
    with run.lock():
        pass
