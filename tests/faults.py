"""Real `gan train` processes that are stopped at random instants, shared by the tests of that."""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

POINTS = "--dataset ring8:count=500 --model mlp:width=16,depth=2 --batch 20"
OFTEN = "--set logging.every=7 --set sample.every=30 --set sample.count=9 --set checkpoint.every=20"

# Together: both kinds of data, resident and streamed; alternating and extragradient dynamics;
# five discriminator steps; penalties at every step and lazy ones; spectral norm; averaged
# weights in all of them.
VARIANTS = {
    "alternating": f"{POINTS} --loss non-saturating --penalty r1:every=3 --steps 200",
    "extragradient": f"{POINTS} --set train.dynamics=extragradient --steps 200",
    "wasserstein": f"{POINTS} --loss wasserstein --steps 130",
    "spectral norm": "--dataset digits --model dcgan:width=4 --loss hinge --batch 20 --steps 90",
    "streamed": f"{POINTS} --set data.resident_mib=0 --set inputs.packing=2 --steps 130",
}


class Ended(NamedTuple):
    """How a process ended: its status, its age in seconds, and all that it said."""

    status: int
    seconds: float
    said: str


def command(variant: str, out: Path) -> list[str]:
    """The command line of a variant's run."""
    options = f"train {VARIANTS[variant]} {OFTEN}".split()
    return [sys.executable, "-m", "gancli", *options, "--out", str(out)]


def play(arguments: list[str], number: int | None = None, after: float = 0.0) -> Ended:
    """Runs a process to its end, and sends it a signal after some seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    try:
        if number is not None:
            try:
                process.wait(max(0.0, began + after - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
        said, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    return Ended(process.returncode, time.monotonic() - began, said)


def content(run: Path) -> dict[str, str]:
    """Everything that configuration and seed decide: every byte but times and random names."""
    held = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_dir() or path.name in (".lock", "run.json"):
            continue
        if name.startswith("checkpoints/"):
            step = name.split("/")[1]
            held[f"checkpoints/{step}"] = json.loads(
                (run / "checkpoints" / step / "state.json").read_text()
            )["sha256"]
        else:
            held[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return held


class Reference(NamedTuple):
    """A run that nothing has stopped: what it holds, and how long a process of it lives."""

    content: dict[str, str]
    seconds: float


def reference(variant: str, folder: Path) -> Reference:
    """Plays a variant without stopping it, twice: the second life is that of a warm cache."""
    for name in ("first", "second"):
        ended = play(command(variant, folder / variant / name))
        assert ended.status == 0, ended.said
    first, second = (content(folder / variant / name) for name in ("first", "second"))
    assert first == second
    assert "metrics.jsonl" in first
    assert len([name for name in first if name.startswith("checkpoints/")]) == 3
    return Reference(first, ended.seconds)


def stop_and_resume(variant: str, whole: Reference, out: Path, number: int, share: float) -> Ended:
    """Stops a run once, goes on with it until it is done, and compares it with the whole one.

    Args:
        variant: which run.
        whole: the same run, never stopped.
        out: its directory.
        number: the signal.
        share: when it comes, as a share of the whole run's life.

    Returns:
        How the first process ended.
    """
    stopped = play(command(variant, out), number, share * whole.seconds)
    assert "Traceback" not in stopped.said, stopped.said
    ended = play(command(variant, out))
    assert ended.status == 0, ended.said
    assert "Traceback" not in ended.said, ended.said
    found = content(out)
    different = {
        name for name in {*found, *whole.content} if found.get(name) != whole.content.get(name)
    }
    assert not different, f"{variant} stopped at {share:.4f} of its life: {sorted(different)}"
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "finished"
    return stopped


def at_random_instants(
    folder: Path, numbers: list[int], instants: int, seed: int, at_once: int = 2
) -> list[tuple[int, Ended]]:
    """Stops runs of all variants at instants drawn evenly over their whole lives.

    Args:
        folder: where the runs go.
        numbers: the signals, taken in turn.
        instants: how many runs.
        seed: of the instants.
        at_once: how many processes run at the same time.

    Returns:
        For each run the signal, and how the process that it was sent to ended.
    """
    generator = np.random.default_rng(seed)
    names = list(VARIANTS)
    shares = generator.uniform(0.0, 1.0, instants)
    with ThreadPoolExecutor(at_once) as pool:
        whole = dict(zip(names, pool.map(lambda name: reference(name, folder), names), strict=True))

        def one(index: int) -> tuple[int, Ended]:
            variant = names[index % len(names)]
            number = numbers[index // len(names) % len(numbers)]
            out = folder / "stopped" / str(index)
            return number, stop_and_resume(variant, whole[variant], out, number, shares[index])

        return list(pool.map(one, range(instants)))
