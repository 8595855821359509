"""How runs and jobs stand: by files first, and by Slurm second."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import refused
from tiny_runs import gan, points_run, succeed

from gancli.cluster.status import standing_of
from gancli.system import slurm

GOODPUT = {"seconds": {"start": 5.0, "compile": 5.0, "steps": 8.0, "checkpoints": 2.0}, "steps": 40}


@pytest.fixture
def queue(monkeypatch):
    """What Slurm says, which a test sets."""
    held = {"states": {}, "unknown": ""}
    monkeypatch.setattr(slurm, "queue", lambda jobs: slurm.Queue(held["states"], held["unknown"]))
    monkeypatch.setattr(slurm, "accounted", lambda job: "")
    return held


def make_run(path: Path, status: str = "", holder=None, **more):
    path.mkdir(parents=True, exist_ok=True)
    if status:
        held = {"status": status, "step": 40, "goodput": GOODPUT, **more}
        (path / "run.json").write_text(json.dumps(held))
        (path / "config.json").write_text(json.dumps({"train": {"steps": 100}}))
    if holder:
        (path / ".lock.held").write_text(json.dumps(holder))


def record(folder: Path, **jobs: str):
    (folder / "slurm").mkdir(parents=True, exist_ok=True)
    named = {name.replace("__", "/seed-"): job for name, job in jobs.items()}
    (folder / "slurm/jobs.json").write_text(json.dumps({"jobs": named, "again": 0}))
    runs = [name for name in named if "/" in name]
    (folder / "slurm/runs.txt").write_text("".join(f"{name}\n" for name in runs))


HERE = {"host": socket.gethostname(), "process": os.getpid()}
DEAD = {"host": socket.gethostname(), "process": 2**22 + 1}
ELSEWHERE = {"host": "node-7", "process": 1}


@pytest.mark.parametrize(
    ("told", "holder", "queued", "state"),
    [
        ("", None, "PENDING", "queued"),
        ("", None, "RUNNING", "starting"),
        ("", None, None, "failed"),
        ("", None, "FAILED", "failed"),
        ("running", ELSEWHERE, "RUNNING", "running"),
        ("running", HERE, None, "running"),
        ("running", DEAD, None, "stopped"),
        ("running", DEAD, "COMPLETING", "requeued"),
        ("running", DEAD, "PREEMPTED", "requeued"),
        ("interrupted", None, "PENDING", "requeued"),
        ("interrupted", None, "REQUEUE_HOLD", "requeued"),
        ("interrupted", None, "COMPLETING", "requeued"),
        ("interrupted", None, "RUNNING", "starting"),
        ("interrupted", None, None, "stopped"),
        ("interrupted", None, "TIMEOUT", "stopped"),
        ("failed", None, "COMPLETING", "failed"),
        ("failed", None, None, "failed"),
        ("failed", None, "PENDING", "requeued"),
        ("finished", None, "RUNNING", "finished"),
        ("diverged", None, None, "diverged"),
    ],
)
def test_the_state_of_a_run_with_a_job(tmp_path, queue, told, holder, queued, state):
    make_run(tmp_path / "a/seed-0", told, holder, reason="why")
    record(tmp_path, a__0="7_1")
    queue["states"] = {"7_1": queued} if queued else {}
    (row,) = standing_of(tmp_path).rows
    assert (row.name, row.state, row.job) == ("a/seed-0", state, "7_1")


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("", "unknown"),
        ("running", "unknown"),
        ("interrupted", "unknown"),
        ("failed", "failed"),
        ("finished", "finished"),
    ],
)
def test_a_queue_that_does_not_answer_makes_no_run_stopped(tmp_path, queue, told, state):
    make_run(tmp_path / "a/seed-0", told)
    record(tmp_path, a__0="7_1", gather="8")
    queue["unknown"] = "squeue: Socket timed out"
    standing = standing_of(tmp_path)
    assert [row.state for row in standing.rows] == [state, "unknown"]
    assert "Socket timed out" in standing.unknown
    assert "Socket timed out" in " ".join(succeed(f"status {tmp_path}").output.split())


def test_a_running_run_says_its_pace_and_what_is_left(tmp_path, queue):
    make_run(tmp_path / "a/seed-0", "running", HERE)
    (row,) = standing_of(tmp_path).rows
    # 40 steps in the 10 of 20 seconds that are neither start nor compilation; 60 steps are left.
    assert (row.step, row.steps, row.rate, row.left) == (40, 100, 4.0, 15.0)
    told = succeed(f"status {tmp_path}").output
    assert "40/100" in told
    assert "0:00:15" in told


def test_a_failure_is_told_with_its_reason_and_the_end_of_its_log(tmp_path, queue, monkeypatch):
    make_run(tmp_path / "a/seed-0", "failed", reason="the disk is full")
    record(tmp_path, a__0="7_1", b__0="7_2")
    (tmp_path / "slurm/compare-7_2.log").write_text("one\nslurmstepd: out of memory\n\n")
    monkeypatch.setattr(slurm, "accounted", lambda job: {"7_2": "OUT_OF_MEMORY"}.get(job, ""))
    failed, lost = standing_of(tmp_path).rows
    assert "the disk is full" in failed.note
    assert "slurmstepd: out of memory" in lost.note
    assert "OUT_OF_MEMORY" in lost.note


def test_the_gathering_has_a_row(tmp_path, queue):
    record(tmp_path, a__0="7_1", gather="8")
    (tmp_path / "slurm/gather.sbatch").touch()
    (tmp_path / "slurm/gather-8.log").write_text("error: no\n")
    for states, state in [({"8": "PENDING"}, "queued"), ({"8": "RUNNING"}, "running")]:
        queue["states"] = states
        assert standing_of(tmp_path).rows[-1].state == state
    queue["states"] = {}
    gather = standing_of(tmp_path).rows[-1]
    assert (gather.name, gather.state) == ("gather", "failed")
    assert "error: no" in gather.note
    (tmp_path / "results.json").touch()
    assert standing_of(tmp_path).rows[-1].state == "finished"


def test_a_run_without_slurm(monkeypatch, tmp_path):
    run = points_run()
    monkeypatch.setenv("PATH", str(tmp_path))
    held = json.loads(succeed(f"status {run} --json").output)
    (row,) = held["runs"]
    assert (row["state"], row["step"], row["steps"], row["job"]) == ("finished", 6, 6, "")
    assert held["unknown"] == ""
    assert "finished" in succeed(f"status {run} --watch").output


def test_a_process_on_another_machine_is_known_by_its_writing(tmp_path, queue):
    make_run(tmp_path / "a/seed-0", "running", ELSEWHERE)
    assert standing_of(tmp_path).rows[0].state == "running"
    os.utime(tmp_path / "a/seed-0/run.json", (1, 1))
    assert standing_of(tmp_path).rows[0].state == "unknown"


def test_the_table_fits_80_columns(tmp_path, queue):
    name = f"{'long-name-of-a-variant' * 3}/seed-11"
    make_run(tmp_path / name, "running", HERE)
    make_run(tmp_path / "a/seed-0", "diverged", reason="a loss was not finite " * 9)
    result = succeed(f"status {tmp_path}")
    table = [line for line in result.output.splitlines() if line[:1] in "┏┃│└┡"]
    assert max(map(len, table)) <= 80
    assert any("seed-11" in line for line in table)


def test_a_directory_without_runs_is_refused(tmp_path):
    with refused(str(tmp_path)):
        standing_of(tmp_path)
    assert gan(f"status {tmp_path} --watch --json").exit_code == 2


def test_the_status_needs_no_jax(tmp_path, queue):
    make_run(tmp_path / "a/seed-0", "finished")
    code = (
        "import sys, gancli.cli\nfrom gancli.cli.application import app\n"
        f"try: app(['status', {str(tmp_path)!r}])\n"
        "except SystemExit: print(sorted({'jax', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
