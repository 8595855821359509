"""Jobs of several processes: real ones, over Gloo on CPU."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

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


TOGETHER = """
import os, signal, sys, time
from gancli.errors import UserError
from gancli.system import processes
from gancli.system.interruption import StopNow, StopRequest

processes.join()
first, stop = processes.is_first(), StopRequest()
said = processes.of_first({"of": processes.jax.process_index()})
assert said == {"of": 0}, said
assert processes.agree(not first, first, 7 if first else 9) == (True, True, 7)

# Slow work of one of them, and a request to the other one
assert processes.while_listening(lambda: time.sleep(0.1 if first else 0.7) or "done", stop)
began = time.monotonic()
stop.made = not first
work = lambda: time.sleep(60 if first else 0.1)
assert processes.while_listening(work, stop) is None
assert time.monotonic() - began < 2

# What one refuses, or is asked to stop
with processes.alike(StopRequest()):
    pass
try:
    with processes.alike(StopRequest()):
        if not first:
            raise UserError("mine")
    raise AssertionError
except UserError as error:
    assert ("process 1" if first else "mine") in str(error), error
try:
    with processes.alike(stop):
        assert stop._deferring
    raise AssertionError
except StopNow:
    print("stopped", flush=True)

# One that dies
if not first:
    os.kill(os.getpid(), signal.SIGKILL)
began = time.monotonic()
try:
    with processes.losing_none():
        processes.meet("nobody comes")
except processes.LostProcessError as error:
    assert "process 0 of 2" in str(error), error
    assert time.monotonic() - began < 30
    print("alone", flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_what_one_of_two_processes_meets_reaches_the_other():
    first, second = jointly(2, [sys.executable, "-c", TOGETHER])
    assert (first[0], second[0]) == (0, -signal.SIGKILL), (first, second)
    assert [said.split("stopped")[1].strip() for _, said in (first, second)] == ["alone", ""]


@pytest.mark.slow
def test_a_run_of_eight_devices_opens_on_one(tmp_path):
    """The batch, the keys and so the run are the same up to the order of additions.

    On eight devices, each batch of 24 is computed in parts of 8.
    """
    command = [
        sys.executable,
        "-m",
        "gancli",
        *f"train {POINTS.replace('20', '24')} {OFTEN}".split(),
    ]
    for name, devices, part in (("eight", 8, 8), ("one", 1, 0)):
        flags = f"--xla_force_host_platform_device_count={devices}"
        parts = ["--set", f"train.microbatch={part}"]
        subprocess.run(
            [*command, *parts, "--steps", "40", "--out", str(tmp_path / name)],
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


def jointly(
    count: int, command: list[str], signalled=-1, run=Path(), number=signal.SIGTERM
) -> list[tuple[int, str]]:
    """Runs the processes of one job to their end; signals one once its metrics grow."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    job = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
    every = [
        subprocess.Popen(
            command,
            env=os.environ | job | {"JAX_PROCESS_ID": str(number), "XLA_FLAGS": SOON},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(count)
    ]
    try:
        if signalled >= 0:
            lines = run / "metrics.jsonl"
            before = lines.stat().st_size if lines.exists() else 0
            end = time.monotonic() + 120
            while not (lines.exists() and lines.stat().st_size > before):
                assert time.monotonic() < end
                time.sleep(0.05)
            every[signalled].send_signal(number)
        said = [process.communicate(timeout=240)[0] for process in every]
    finally:
        for process in every:
            process.kill()
    return [(process.returncode, text) for process, text in zip(every, said, strict=True)]


def gan(*words: str) -> list[str]:
    return [sys.executable, "-m", "gancli", *(part for word in words for part in word.split())]


# Of layers that are large enough to be divided.
WIDE = POINTS.replace("width=16", "width=64")


def one(options: str, out: Path) -> tuple[int, str]:
    """Runs a single process to its end."""
    ended = play(gan(options, f"--out {out}"))
    return ended.status, ended.said


def require_same_losses(run: Path, other: Path, steps: int):
    """Requires both to have the same losses at every step, to 0.001."""
    ours, theirs = (
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (run, other)
    )
    assert [line["step"] for line in ours] == [*range(1, steps + 1)]
    for mine, line in zip(ours, theirs, strict=True):
        losses = {name: value for name, value in line.items() if name.endswith("/loss")}
        assert {name: mine[name] for name in losses} == pytest.approx(losses, abs=1e-3)


@pytest.mark.slow
def test_two_processes_end_together_and_have_made_the_steps_of_one(tmp_path):
    """They divide the state; one is sent a signal, one is killed, and then they go on."""
    whole, run, alone = (tmp_path / name for name in ("whole", "run", "alone"))
    every = OFTEN.replace("logging.every=7", "logging.every=1")
    options = f"train {WIDE} {every} --steps 120 --loss wasserstein --set train.shard_state=true"
    ours, again = gan(options, f"--out {whole}"), gan(options, f"--out {run}")
    for status, said in [*jointly(2, ours), one(options, alone)]:
        assert status == 0, said
    require_same_losses(whole, alone, 120)
    assert len([*whole.glob("checkpoints/120/state/ocdbt.process_*")]) == 2
    stopped = jointly(2, again, 0, run)
    assert [status for status, _ in stopped] == [75, 75], stopped
    (first,), (second,) = (
        {line for line in said.splitlines() if f"gan resume {run}" in line} for _, said in stopped
    )
    assert first == second
    step = max(int(path.name) for path in (run / "checkpoints").iterdir())
    assert re.findall(r"\d+", first.partition(str(run))[0]) == [str(step), "120"]
    killed = jointly(2, again, 1, run, signal.SIGKILL)
    assert [status for status, _ in killed] == [1, -signal.SIGKILL], killed
    assert "process 0 of 2" in killed[0][1]
    assert "Traceback" not in killed[0][1]
    assert 0 < step <= max(int(p.name) for p in (run / "checkpoints").glob("[0-9]*")) < 120
    for status, said in jointly(2, again):
        assert status == 0, said
    assert content(run) == content(whole)
    sampled = play(gan(f"sample --ckpt {run} --out {tmp_path}/s"))
    assert sampled.status == 0, sampled.said


@pytest.mark.exhaustive
def test_four_processes_agree_with_one_at_every_step(tmp_path):
    options = f"train {WIDE} --steps 100 --set logging.every=1 --set train.shard_state=true"
    alone, four = tmp_path / "alone", tmp_path / "four"
    for status, said in [*jointly(4, gan(options, f"--out {four}")), one(options, alone)]:
        assert status == 0, said
    require_same_losses(four, alone, 100)


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
    options = f"train {POINTS} --loss non-saturating --steps 40 --out {run}"
    for status, said in jointly(2, gan(options, *settings)):
        assert status == 0, said
    status = json.loads((run / "run.json").read_text())
    assert (status["status"], status["step"]) == ("finished", 40)
    assert [one["pathology"] for one in status["rollbacks"]] == ["discriminator-lags"]
