"""Slurm's commands: what they print, and a controller that does not answer."""

import pytest
from refusals import refused

from gancli.errors import UserError
from gancli.system import slurm

BUSY = "squeue: error: slurm_load_jobs error: Socket timed out on send/recv operation"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Makes a command of Slurm that is a few lines of shell; its calls are counted in a file."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "_SECONDS_BETWEEN", 0.0)

    def make(name: str, body: str):
        calls = tmp_path / f"{name}.calls"
        (tmp_path / name).write_text(f'#!/bin/bash\necho "$*" >> {calls}\n{body}\n')
        (tmp_path / name).chmod(0o755)
        return lambda: calls.read_text().splitlines() if calls.exists() else []

    return make


def test_a_job_is_sent_once(command, tmp_path):
    calls = command("sbatch", "echo '17;cluster'")
    assert slurm.send(tmp_path / "a.sbatch", "--array=1,3") == "17"
    (call,) = calls()
    assert call.startswith("--parsable --comment=gan-")
    assert call.endswith(f"--array=1,3 {tmp_path / 'a.sbatch'}")


def test_sending_is_tried_again_where_the_request_was_not_heard(command, tmp_path):
    calls = command(
        "sbatch",
        f'[ -e {tmp_path}/x ] && echo 5 || {{ touch {tmp_path}/x; echo "{BUSY}" >&2; exit 1; }}',
    )
    command("squeue", "echo '4|another'")
    assert slurm.send(tmp_path / "a.sbatch") == "5"
    assert len(calls()) == 2


def test_a_job_whose_sending_was_heard_but_not_answered_is_not_sent_twice(command, tmp_path):
    calls = command(
        "sbatch", f'echo "${{2#--comment=}}" > {tmp_path}/mark; echo "{BUSY}" >&2; exit 1'
    )
    command("squeue", f'echo "4|another"; echo "23|$(cat {tmp_path}/mark)"')
    assert slurm.send(tmp_path / "a.sbatch") == "23"
    assert len(calls()) == 1


def test_a_script_that_sbatch_refuses_is_not_tried_again(command, tmp_path):
    calls = command("sbatch", 'echo "sbatch: error: invalid partition specified: gpux" >&2; exit 1')
    with refused("gpux"):
        slurm.send(tmp_path / "a.sbatch")
    assert len(calls()) == 1


def test_states_are_those_of_the_jobs_asked_for(command):
    calls = command("squeue", "printf '7_1|RUNNING\\n7_2|COMPLETING\\n9|PENDING\\n'")
    assert slurm.queue(["7_1", "9"]) == slurm.Queue({"7_1": "RUNNING", "9": "PENDING"})
    assert calls()[0].endswith("--jobs=7,9")
    assert slurm.queue([]) == slurm.Queue({})


def test_a_job_that_slurm_has_forgotten_is_not_unknown(command):
    command("squeue", 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1')
    assert slurm.queue(["9"]) == slurm.Queue({})


def test_without_an_answer_the_states_are_unknown(command):
    calls = command("squeue", f'echo "{BUSY}" >&2; exit 1')
    found = slurm.queue(["9"])
    assert found.states == {}
    assert "Socket timed out" in found.unknown
    assert len(calls()) == 4


def test_without_slurm_the_states_are_unknown(command):
    assert "squeue" in slurm.queue(["9"]).unknown


def test_accounting_says_how_a_job_ended(command):
    command("sacct", "printf 'CANCELLED by 0\\n'")
    assert slurm.accounted("9") == "CANCELLED"
    command("sacct", 'echo "Slurm accounting storage is disabled" >&2; exit 1')
    assert slurm.accounted("9") == ""


def test_what_sbatch_prints_must_be_a_job(command, tmp_path):
    command("sbatch", "echo Welcome")
    with pytest.raises(UserError, match="Welcome"):
        slurm.send(tmp_path / "a.sbatch")
