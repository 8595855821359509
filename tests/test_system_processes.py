"""Jobs of several processes: real ones, over Gloo on CPU."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
from compiling import SOON
from faults import OFTEN, POINTS, content, play
from refusals import refused

from gancli.system import processes


def test_a_process_alone_decides_for_itself():
    assert processes.is_first()
    assert not processes.are_several()
    assert processes.agree(True, False, 7) == (True, False, 7)
    assert processes.of_first(["anything"]) == ["anything"]
    processes.meet("nobody else is here")
    processes.join({})


JOB = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@pytest.mark.parametrize(
    ("count", "number", "given", "allowed", "remedy"),
    [
        ("", "0", ("JAX_NUM_PROCESSES", "''"), (), JOB),
        ("two", "0", ("JAX_NUM_PROCESSES", "'two'"), (), JOB),
        ("2", "-1", ("JAX_PROCESS_ID", "'-1'"), (), JOB),
        ("2", "2", ("JAX_PROCESS_ID", "2"), ("0", "1"), ()),
    ],
)
def test_an_incomplete_job_is_refused(count, number, given, allowed, remedy):
    environment = {
        "JAX_COORDINATOR_ADDRESS": "localhost:1",
        "JAX_NUM_PROCESSES": count,
        "JAX_PROCESS_ID": number,
    }
    with refused(*given, allowed=allowed, remedy=remedy):
        processes.join(environment)


def test_devices_that_the_machine_has_not_are_named(monkeypatch):
    def devices():
        raise RuntimeError("Unable to initialize backend 'rocm'")

    monkeypatch.setattr(jax, "devices", devices)
    with refused("JAX_PLATFORMS=", "'rocm'", remedy="JAX_PLATFORMS"):
        processes.start_devices()


def test_one_device_needs_no_division():
    assert jax.device_count() == 1
    assert processes.mesh_for(64) is None


ON_EIGHT = """
import jax
from gancli.system import processes
print([processes.mesh_for(n) and processes.mesh_for(n).size for n in (64, 24, 20, 7, 13)])
"""


def test_a_batch_is_divided_among_as_many_devices_as_divide_it():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    said = subprocess.run(
        [sys.executable, "-c", ON_EIGHT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip() == "[8, 8, 5, 7, None]"


@pytest.mark.slow
def test_a_run_of_eight_devices_opens_on_one(tmp_path):
    """The batch, the keys and so the run are the same up to the order of additions."""
    command = [
        sys.executable,
        "-m",
        "gancli",
        *f"train {POINTS.replace('20', '24')} {OFTEN}".split(),
    ]
    for name, devices in (("eight", 8), ("one", 1)):
        flags = f"--xla_force_host_platform_device_count={devices}"
        subprocess.run(
            [*command, "--steps", "40", "--out", str(tmp_path / name)],
            env=os.environ | {"XLA_FLAGS": flags},
            check=True,
            capture_output=True,
        )
    assert json.loads((tmp_path / "eight" / "run.json").read_text())["device"].startswith("8 ")
    eight, one = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("eight", "one")
    )
    assert [line["step"] for line in eight] == [7, 14, 21, 28, 35, 40]
    for ours, theirs in zip(eight, one, strict=True):
        assert ours == pytest.approx(theirs, rel=0.05, abs=0.02)
    resumed = play(
        [sys.executable, "-m", "gancli", "resume", str(tmp_path / "eight"), "--steps", "50"]
    )
    assert resumed.status == 0, resumed.said
    status = json.loads((tmp_path / "eight" / "run.json").read_text())
    assert (status["status"], status["step"]) == ("finished", 50)


def pair(arguments: list[str], signalled: int | None = None, run=None) -> list[tuple[int, str]]:
    """Runs two processes of one job to their end; signals one once its metrics grow."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    job = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "gancli", *arguments],
            env=os.environ | job | {"JAX_PROCESS_ID": str(number), "XLA_FLAGS": SOON},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        if signalled is not None:
            lines = run / "metrics.jsonl"
            before = lines.stat().st_size if lines.exists() else 0
            end = time.monotonic() + 120
            while not (lines.exists() and lines.stat().st_size > before):
                assert time.monotonic() < end
                time.sleep(0.05)
            both[signalled].send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    return [(process.returncode, text) for process, text in zip(both, said, strict=True)]


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_at_the_same_step(tmp_path):
    options = f"train {POINTS} {OFTEN} --steps 200 --loss wasserstein".split()
    whole, run = tmp_path / "whole", tmp_path / "run"
    for status, said in pair([*options, "--out", str(whole)]):
        assert status == 0, said
    steps = []
    for signalled in (0, 1):
        stopped = pair([*options, "--out", str(run)], signalled, run)
        assert [status for status, _ in stopped] == [75, 75], stopped
        (first,), (second,) = (
            {line for line in said.splitlines() if f"gan resume {run}" in line}
            for _, said in stopped
        )
        assert first == second
        steps.append(max(int(path.name) for path in (run / "checkpoints").iterdir()))
        assert re.findall(r"\d+", first.partition(str(run))[0]) == [str(steps[-1]), "200"]
    assert 0 < steps[0] < steps[1] < 200
    for status, said in pair([*options, "--out", str(run)]):
        assert status == 0, said
    assert content(run) == content(whole)
    sampled = play(
        [sys.executable, "-m", "gancli", "sample", "--ckpt", str(run), "--out", str(tmp_path / "s")]
    )
    assert sampled.status == 0, sampled.said


@pytest.mark.slow
def test_two_processes_go_back_together(tmp_path):
    """Only the first one knows the lines from before it was started, and decides for both."""
    run = tmp_path / "run"
    sick = {
        "optimizer.discriminator.learning_rate": 1e-7, "optimizer.generator.learning_rate": 1e-3,
        "monitors.every": 4, "monitors.policy": "remedy", "monitors.remedies": 1,
        "checkpoint.every": 4,
    }  # fmt: skip
    settings = [f"--set={key}={value}" for key, value in sick.items()]
    options = f"train {POINTS} --loss non-saturating --steps 40 --out {run}".split()
    for status, said in pair([*options, *settings]):
        assert status == 0, said
    status = json.loads((run / "run.json").read_text())
    assert (status["status"], status["step"]) == ("finished", 40)
    assert [one["pathology"] for one in status["rollbacks"]] == ["discriminator-lags"]
