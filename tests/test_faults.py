"""Runs that are stopped at any instant, by any signal, end as if they had not been."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from faults import (
    EVERY,
    FAMILIES,
    VARIANTS,
    at_random_instants,
    command,
    content,
    few_or_many,
    play,
    reference,
)

from gancli.tasks import TASKS


def assert_killed(results, least):
    """Else the instants missed the processes' lives and nothing was tested."""
    assert {number for number, _ in results} == {signal.SIGKILL}
    killed = sum(ended.status == -signal.SIGKILL for _, ended in results)
    assert killed >= least, [ended.status for _, ended in results]


@pytest.mark.slow
def test_runs_killed_twice_at_random_instants_end_bit_identical(tmp_path):
    # The second process of a run has less to do, so it has often ended before its instant.
    assert_killed(at_random_instants(tmp_path, [signal.SIGKILL], 1, 1, 2, ("alternating",)), 1)


@few_or_many(len(VARIANTS), 100)
def test_runs_killed_at_random_instants_end_bit_identical(tmp_path, count):
    assert_killed(at_random_instants(tmp_path, [signal.SIGKILL], count, 2), 0.8 * count)


def test_every_task_is_killed_somewhere():
    played = [words.partition("--task ")[2].split() for words in EVERY.values()]
    tasks = {words[0].partition(":")[0] if words else "generation" for words in played}
    assert tasks == {*TASKS.names()}


@few_or_many(2, 2 * len(FAMILIES))
def test_families_killed_at_random_instants_end_bit_identical(tmp_path, count):
    names = tuple(FAMILIES)[:count]
    results = at_random_instants(tmp_path, [signal.SIGKILL], count, 4, names=names)
    assert_killed(results, 0.5 * count)


@few_or_many(6, 50)
def test_signals_at_random_instants_are_heeded_and_the_run_goes_on(tmp_path, count):
    numbers = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
    results = at_random_instants(tmp_path, numbers, count, 3)
    saved = 0
    for number, ended in results:
        # One that comes before Python has reached the first line of `gan` ends the process
        # with nothing written; one that comes after the last step finds everything done.
        if ended.status == -number:
            assert not ended.said
            continue
        assert ended.status in (0, 75), ended.said
        saved += ended.status == 75
        assert ("stop" in ended.said.lower()) == (ended.status == 75), ended.said
    assert saved >= 0.8 * len(results), [ended.status for _, ended in results]


@pytest.mark.slow
def test_a_second_interrupt_stops_at_once_and_spoils_nothing(tmp_path):
    whole = reference("wasserstein")
    run = tmp_path / "run"
    statuses = []
    for share in np.random.default_rng(5).uniform(0.1, 0.6, 8):
        ended = play(command("wasserstein", run), signal.SIGINT, share * whole.seconds, times=2)
        statuses.append(ended.status)
        assert ended.status in (0, 75, 130), ended.said
        assert "Traceback" not in ended.said, ended.said
        assert ended.seconds < share * whole.seconds + 10
    assert 130 in statuses
    ended = play(command("wasserstein", run))
    assert ended.status == 0, ended.said
    assert content(run) == whole.content


@pytest.mark.slow
def test_the_second_process_of_a_run_is_refused_and_succeeds_the_first_when_that_is_killed(
    tmp_path,
):
    run = tmp_path / "run"
    longer = [*command("alternating", run), "--steps", "100000"]
    longer.remove("--steps")
    longer.remove("200")
    first = subprocess.Popen(longer, stdout=subprocess.DEVNULL)
    try:
        while not (run / "metrics.jsonl").exists():
            assert first.poll() is None
            time.sleep(0.05)
        refused = play(longer)
        assert refused.status == 2, refused.said
        assert f"process {first.pid}" in refused.said
        assert f"'{run}'" in refused.said
        assert "--out" in refused.said
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    steps = max(int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdecimal())
    resumed = play(
        [sys.executable, "-m", "gancli", "resume", str(run), "--steps", str(steps + 100)]
    )
    assert resumed.status == 0, resumed.said
    assert f"finished at step {steps + 100}" in resumed.said


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"nothing can be mounted here: {mounted.stderr.decode()}")
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


# What the disk has left when the run begins, in KiB: it fills while the run is made, at the
# first sample, at the first checkpoint, and later.
@pytest.mark.parametrize(
    ("variant", "left"),
    [("spectral norm", left) for left in (2, 12, 40)] + [("alternating", 200)],
)
@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_with_an_error_and_it_goes_on(
    tmp_path, small_disk, variant, left
):
    whole = reference(variant)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - left * 1024))
    run = small_disk / "run"
    full = play(command(variant, run))
    assert full.status == 2, full.said
    (error,) = [line for line in full.said.splitlines() if line.startswith("error: ")]
    for fact in (f"'{run}", "No space left on device", "--out"):
        assert fact in error
    assert "Traceback" not in full.said
    ballast.unlink()
    again = play(command(variant, run))
    assert again.status == 0, again.said
    assert content(run) == whole.content


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_named(tmp_path, small_disk):
    run = small_disk / "run"
    assert play(command("alternating", run)).status == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused = play([sys.executable, "-m", "gancli", "resume", str(run), "--steps", "300"])
    assert refused.status == 2, refused.said
    assert "Read-only file system" in refused.said
    sampled = play(
        [sys.executable, "-m", "gancli", "sample", "--ckpt", str(run), "--out", str(tmp_path / "s")]
    )
    assert sampled.status == 0, sampled.said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_other_commands_stop_at_once_and_leave_nothing_half_written(tmp_path, name):
    run = tmp_path / "run"
    assert play(command("spectral norm", run)).status == 0
    arguments = [sys.executable, "-m", "gancli", name, "--ckpt", str(run)]
    if name == "sample":
        arguments += ["--count", "3000", "--out", str(tmp_path / "samples")]
    whole = [play(arguments) for _ in range(2)][-1]  # What is made once is made the first time.
    assert whole.status == 0, whole.said
    life = whole.seconds
    shutil.rmtree(tmp_path / "samples", ignore_errors=True)
    numbers = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
    statuses = []
    for index, share in enumerate(np.random.default_rng(4).uniform(0.1, 0.9, 6)):
        number = numbers[index % 3]
        for _ in range(3):
            ended = play(arguments, number, share * life)
            assert ended.status in (0, 75, -number), ended.said
            assert "Traceback" not in ended.said, ended.said
            assert ended.seconds < share * life + 10
            assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
            if ended.status:
                break
            life = ended.seconds  # Done before its instant: the machine has become faster.
        statuses.append(ended.status)
    assert statuses.count(75) >= 4
