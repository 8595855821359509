"""Real `gan train` processes that are stopped at random instants, shared by the tests of that."""

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from compiling import SOON

from gancli.runs.state_files import digest

POINTS = "--dataset ring8:count=500 --model mlp:width=16,depth=2 --batch 20"
_TRIES = 4
OFTEN = "--set logging.every=7 --set sample.every=50 --set sample.count=9 --set checkpoint.every=20"

# Together: both kinds of data, resident and streamed; alternating and extragradient dynamics;
# five discriminator steps; penalties at every step and lazy ones; spectral norm, with labels;
# averaged weights in all of them.
VARIANTS = {
    "alternating": f"{POINTS} --loss non-saturating --penalty r1:every=3 --steps 200",
    "extragradient": f"{POINTS} --set train.dynamics=extragradient --steps 200",
    "wasserstein": f"{POINTS} --loss wasserstein --steps 130",
    "spectral norm": "--dataset digits --task conditional --model dcgan:width=4 --loss hinge "
    "--batch 20 --steps 90",
    "streamed": f"{POINTS} --set data.resident_mib=0 --set inputs.packing=2 --steps 130",
}
DIGITS = "--dataset digits --batch 20 --steps 60"
SMALL = f"{DIGITS} --model dcgan:width=4"
UNET = f"{DIGITS} --model unet:width=4,depth=1,discriminator_width=4"
TOKENS = (
    "--dataset oracle:length=4,vocabulary=6,count=300 --loss non-saturating --batch 20 --steps 60 "
    "--model sequence:hidden=4,embedding=3,width=4,longest=2"
)
# Every task that the variants above have not, and the larger networks with what they carry. The
# first ones carry most: pools of images, two phases of training, adaptation, a mean path length.
FAMILIES = {
    "cyclegan": f"{DIGITS} --target digits:margin=1 --set data.size=8 --task cyclegan "
    "--model cyclegan:width=4,blocks=1,discriminator_width=4",
    "policy-gradient": f"{TOKENS} --task policy-gradient:pretrain=30",
    "r3gan": f"{DIGITS} --loss relativistic --model r3gan:width=4,group=4 "
    '--set inputs.augment=["translation","contrast"] --set inputs.augment_target=0.6',
    "stylegan2": f"{DIGITS} --model stylegan2:width=4 --task generation:path_length=1",
    "infogan": f"{SMALL} --task infogan:latent=4",
    "infogan that agrees": f"{SMALL} --task infogan:latent=4,agreement=1",
    "vae": f"{SMALL} --task vae:latent=4",
    "vae-gan": f"{SMALL} --task vae-gan:latent=4",
    "super-resolution": f"{UNET} --task super-resolution:factor=2",
    "colorization": f"{UNET.replace('digits', 'photographs:count=50')} --set data.size=16 "
    "--task colorization",
    "paired": f"{UNET} --target digits --task paired",
    "gumbel": f"{TOKENS} --task gumbel:pretrain=30",
    "maximum-likelihood": f"{TOKENS.replace('--loss non-saturating ', '')} "
    "--task maximum-likelihood",
}
EVERY = VARIANTS | FAMILIES


def few_or_many(few: int, many: int) -> pytest.MarkDecorator:
    """The `count` of how often something is tried: in the slow part, and in the exhaustive one."""
    counts = [
        pytest.param(few, marks=pytest.mark.slow),
        pytest.param(many, marks=pytest.mark.exhaustive),
    ]
    return pytest.mark.parametrize("count", counts)


class Ended(NamedTuple):
    """How a process ended: its status, its age in seconds, and all that it said."""

    status: int
    seconds: float
    said: str


def command(variant: str, out: Path) -> list[str]:
    """The command line of a variant's run."""
    options = f"train {EVERY[variant]} {OFTEN}".split()
    return [sys.executable, "-m", "gancli", *options, "--out", str(out)]


def play(
    arguments: list[str], number: int | None = None, after: float = 0.0, times: int = 1
) -> Ended:
    """Runs a process to its end, and sends it a signal after some seconds, once or more."""
    began = time.monotonic()
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_FLAGS": SOON},
    )
    try:
        if number is not None:
            try:
                process.wait(max(0.0, began + after - time.monotonic()))
            except subprocess.TimeoutExpired:
                for _ in range(times):
                    process.send_signal(number)
                    time.sleep(0.05)
        said, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    return Ended(process.returncode, time.monotonic() - began, said)


def content(run: Path) -> dict[str, str]:
    """Everything that configuration and seed decide: every byte but times and random names."""
    folders = sorted((run / "checkpoints").iterdir())
    held = {f"checkpoints/{folder.name}": digest(folder) for folder in folders}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        beside = name.startswith("checkpoints/") or name in (".lock", "run.json")
        if path.is_file() and not beside:
            held[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return held


class Reference(NamedTuple):
    """A run that nothing has stopped: what it holds, and how long a process of it lives."""

    content: dict[str, str]
    seconds: float


@functools.cache
def reference(variant: str) -> Reference:
    """Plays a variant without stopping it, once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        ended = play(command(variant, out))
        assert ended.status == 0, ended.said
        held = content(out)
        record = json.loads((out / "run.json").read_text())
    assert "metrics.jsonl" in held
    assert len([name for name in held if name.startswith("checkpoints/")]) >= 3
    # Processes after this one find the program compiled: loading it takes about a second.
    compiling = record["goodput"]["seconds"]["compile"]
    return Reference(held, ended.seconds - max(0.0, compiling - 1.0))


def stop_and_resume(
    variant: str, whole: Reference, out: Path, stops: list[tuple[int, float]]
) -> list[tuple[int, Ended]]:
    """Stops a run, goes on with it until it is done, and compares it with the whole one.

    Args:
        variant: which run.
        whole: the same run, never stopped.
        out: its directory.
        stops: the signal for each process but the last, and when it comes, as a share of the
            whole run's life.

    Returns:
        Each signal, and how the process that it was sent to ended.
    """
    stopped = [
        (number, play(command(variant, out), number, share * whole.seconds))
        for number, share in stops
    ]
    ended = play(command(variant, out))
    assert ended.status == 0, ended.said
    for said in [ended.said, *(one.said for _, one in stopped)]:
        assert "Traceback" not in said, said
    found = content(out)
    names = {*found, *whole.content}
    different = {name for name in names if found.get(name) != whole.content.get(name)}
    assert not different, f"{variant} stopped by {stops}: {sorted(different)}"
    assert json.loads((out / "run.json").read_text())["status"] == "finished"
    return stopped


def at_random_instants(
    folder: Path,
    numbers: list[int],
    runs: int,
    seed: int,
    stops_a_run: int = 1,
    names: Sequence[str] = tuple(VARIANTS),
) -> list[tuple[int, Ended]]:
    """Stops runs of some variants at instants drawn evenly over their whole lives.

    Args:
        folder: where the runs go.
        numbers: the signals, taken in turn.
        runs: how many runs are stopped, two of them at the same time.
        seed: of the instants.
        stops_a_run: how many processes of a run are stopped.
        names: of the variants, taken in turn.

    Returns:
        For each stop the signal, and how the process that it was sent to ended.
    """
    shares = np.random.default_rng(seed).uniform(0.0, 1.0, (runs, stops_a_run)).tolist()
    with ThreadPoolExecutor(2) as pool:
        whole = dict(zip(names, pool.map(reference, names), strict=True))

        def one(index: int) -> list[tuple[int, Ended]]:
            variant = names[index % len(names)]
            number = numbers[index % len(numbers)]
            stops = [(number, share) for share in shares[index]]
            for again in range(_TRIES):
                out = folder / f"{index}-{again}"
                stopped = stop_and_resume(variant, whole[variant], out, stops)
                if any(ended.status for _, ended in stopped):
                    break
                # Done before its instant: the machine has become faster, or it was at the very end.
                whole[variant] = whole[variant]._replace(seconds=stopped[0][1].seconds)
                stops = [(number, 0.9 * share) for number, share in stops]
            return stopped

        return [stop for stops in pool.map(one, range(runs)) for stop in stops]
