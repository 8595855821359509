"""Batch scripts: read by bash and Slurm as they are meant, and run to each of their ends."""

import os
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from refusals import refused

from gancli.cluster.scripts import Resources, check_resources, script

ODD = "odd: it's 50% $HOME"


def write(folder, command, array="", resources=Resources()):  # noqa: B008
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.sbatch"
    path.write_text(script(folder, "job", command, resources, array))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a script as Slurm would, with a `gan` that is a few lines of shell."""
    fake = tmp_path / "bin"
    fake.mkdir()
    monkeypatch.setattr("sys.executable", str(fake / "python"))
    environment = {"PATH": f"{fake}:/usr/bin:/bin", "SLURM_JOB_ID": "8"}
    (fake / "scontrol").write_text(f'#!/bin/bash\necho "$*" >> {tmp_path}/scontrol.calls\n')
    (fake / "scontrol").chmod(0o755)

    def start(body: str, array: str = "", **more: str):
        (fake / "python").write_text(f"#!/bin/bash\n{body}\n")
        (fake / "python").chmod(0o755)
        path = write(tmp_path / "slurm", ["train", "--out", ODD], array)
        return subprocess.Popen(
            ["bash", str(path)],
            env=environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.mark.parametrize("array", ["", "1-4%2"])
def test_bash_and_shellcheck_have_nothing_against_a_script(tmp_path, array):
    path = write(tmp_path / ODD, ["train", "--out", ODD], array)
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--severity=warning", path], check=True)


def test_resources_are_directives(tmp_path):
    asked = Resources("mine", "1:00:00", "gpu", "8G", 4, "a100:2", "lab")
    lines = write(tmp_path / "50%", ["train"], "1-3%2", asked).read_text().splitlines()
    directives = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert {
        "--job-name=mine",
        "--time=1:00:00",
        "--partition=gpu",
        "--mem=8G",
        "--cpus-per-task=4",
        "--gres=gpu:a100:2",
        "--account=lab",
        "--array=1-3%2",
        "--requeue",
        "--open-mode=append",
        "--signal=B:USR1@120",
        f'--output="{tmp_path}/50%%/job-%A_%a.log"',
    } <= set(directives)
    plain = write(tmp_path, ["train"]).read_text()
    assert "--mem" not in plain
    assert "--gres" not in plain


@pytest.mark.parametrize("value", ["two words", "line\nbreak", '"', "#"])
def test_a_value_that_is_no_word_is_refused(value):
    with refused("--partition"):
        check_resources(Resources(partition=value))


def test_a_path_that_cannot_stand_in_a_directive_is_refused(tmp_path):
    with refused('"'):
        script(tmp_path / 'a"b', "job", ["train"], Resources())


def test_the_arguments_arrive_as_they_were(run):
    said, _ = run('printf "<%s>" "$@"').communicate(timeout=20)
    assert f"<-m><gancli><train><--out><{ODD}>" in said


def test_a_task_carries_out_its_line_of_the_list(run, tmp_path):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/runs.txt").write_text("a/seed-0\nb c/seed-1\n")
    more = {"SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "2"}
    said, _ = run('printf "<%s>" "$@"', "1-2", **more).communicate(timeout=20)
    assert "<--only><b c/seed-1>" in said
    past = run("true", "1-2", **more | {"SLURM_ARRAY_TASK_ID": "3"})
    assert past.wait(20) == 2


@pytest.mark.parametrize("status", [0, 2, 3])
def test_the_status_of_the_command_is_that_of_the_job(run, tmp_path, status):
    assert run(f"exit {status}").wait(20) == status
    assert not (tmp_path / "scontrol.calls").exists()


@pytest.mark.parametrize(
    ("array", "more", "name"),
    [
        ("", {}, "8"),
        ("1-2", {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}, "7_1"),
    ],
)
def test_an_interrupted_command_requeues_its_own_task(run, tmp_path, array, more, name):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/runs.txt").write_text("a/seed-0\n")
    assert run("exit 75", array, **more).wait(20) == 75
    assert (tmp_path / "scontrol.calls").read_text() == f"requeue {name}\n"


@pytest.mark.parametrize(
    ("body", "requeued"),
    [
        ("exit 75", False),
        ("mkdir -p {run}/checkpoints/4; exit 75", True),
        ("touch {run}/evaluation.json; exit 75", True),
        ("mkdir -p {run}/../seed-1/checkpoints/4; exit 75", False),
    ],
)
def test_a_restart_that_saves_nothing_is_the_last(run, tmp_path, body, requeued):
    """Of an array, each task by its own run."""
    own = tmp_path / "hinge/seed-0"
    (own / "checkpoints/2").mkdir(parents=True)
    for path in (own / "checkpoints/2", own / "checkpoints"):
        os.utime(path, (0, 0))
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/runs.txt").write_text("hinge/seed-0\n")
    task = {"SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1", "SLURM_RESTART_COUNT": "1"}
    job = run(body.format(run=shlex.quote(str(own))), "1-2", **task)
    said, _ = job.communicate(timeout=20)
    assert job.returncode == 75
    assert (tmp_path / "scontrol.calls").exists() == requeued
    assert ("--time" in said) != requeued


def test_without_scontrol_it_ends_with_75_and_says_what_to_do(run, tmp_path):
    (tmp_path / "bin/scontrol").unlink()
    job = run("exit 75")
    said, _ = job.communicate(timeout=20)
    assert job.returncode == 75
    assert "scontrol requeue 8" in said.splitlines()[-1]


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_signal_to_the_script_arrives_at_the_command(run, tmp_path, number, requeued):
    ready = shlex.quote(str(tmp_path / "ready"))
    if number == signal.SIGUSR1:  # bash cannot trap what was ignored at its start.
        body = f"exec {shlex.quote(shutil.which('python3') or '')} -c '{LISTENER}' {ready} x"
    else:
        body = f"trap 'exit 75' TERM; touch {ready}; while :; do sleep 0.1; done"
    job = run(body)
    end = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(job.pid, number)
    assert job.wait(20) == 75
    assert (tmp_path / "scontrol.calls").exists() == requeued


LISTENER = """
import pathlib, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


def test_outside_a_job_it_says_how_it_is_sent(tmp_path):
    path = write(tmp_path, ["train"])
    done = subprocess.run(
        ["bash", path], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"sbatch {path}" in done.stderr
