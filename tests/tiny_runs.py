"""Tiny trained runs and the command line in process, shared by the tests that need them."""

import fcntl
import functools
import hashlib
import json
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

import gancli.cli  # noqa: F401 - adds the commands
from gancli.cli.application import app
from gancli.system.interruption import SIGNALS

# Large enough to train, small enough to compile at once; `compare` takes them as settings.
BY_ANY_LOSS = "--dataset ring8:count=500 --model mlp:width=16,depth=2 --batch 20 --steps 6"
POINTS = f"{BY_ANY_LOSS} --loss non-saturating"
COMPARED = (
    "--dataset ring8:count=500 --set model=mlp:width=16,depth=2 --set train.batch=20 --steps 6"
)
DIGITS = (
    "--dataset digits --loss non-saturating --model dcgan:width=4 --batch 20 --steps 6 "
    "--set sample.count=4 --set logging.every=2 --set sample.every=3"
)
OF_IMAGES = DIGITS.replace("dcgan:width=4", "unet:width=4,depth=1,discriminator_width=4")
TOKENS = (
    "--dataset oracle:length=4,vocabulary=6,count=300 --loss non-saturating --batch 20 --steps 6 "
    "--model sequence:hidden=4,embedding=3,width=4,longest=2 --task gumbel:pretrain=3"
)
PIXELS = "pixels --set data.size=4"
TEXT = "The cat sat on the mat, and that was that.\n" * 12
FAST = "--set optimizer.generator.learning_rate=0.05"  # So that labels make a difference.
STEPS = 6

# All workers read the runs that one of them has trained.
_FOLDER = Path(os.environ["GAN_TESTS_RUNS"])


def gan(*arguments: str) -> Result:
    """Runs a command in this process; each argument is split at spaces."""
    before = [signal.getsignal(number) for number in SIGNALS]
    try:
        return CliRunner().invoke(app, [part for text in arguments for part in text.split()])
    finally:
        # A command listens to the end of its process, which is here that of the tests.
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def succeed(*arguments: str) -> Result:
    """Runs a command that must end well; what it printed is the message if it does not."""
    result = gan(*arguments)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result


def points_run() -> Path:
    """A finished run on points, to be read only."""
    return _trained("points", POINTS)


def digits_run() -> Path:
    """A finished run on digits, to be read only."""
    return _trained("digits", DIGITS)


def labelled_run() -> Path:
    """A finished run on digits with labels, to be read only."""
    return _trained("labelled", f"{DIGITS} {FAST} --task conditional:latent=4")


def coded_run() -> Path:
    """A finished run on digits with a categorical and a continuous code, to be read only."""
    task = "infogan:latent=4,categories=3,continuous=1"
    return _trained("coded", f"{DIGITS} {FAST} --task {task}")


def autoencoder_run() -> Path:
    """A finished variational autoencoder of digits, to be read only."""
    options = DIGITS.replace("--loss non-saturating", "--task vae:latent=4")
    return _trained("autoencoder", options)


def restoring_run() -> Path:
    """A finished run that doubles the sides of digits, to be read only."""
    return _trained("restoring", f"{OF_IMAGES} --task super-resolution:factor=2")


def two_ways_run() -> Path:
    """A finished run between digits and digits, to be read only."""
    model = "--model cyclegan:width=4,blocks=1,discriminator_width=4"
    of_images = DIGITS.replace("--model dcgan:width=4", model)
    return _trained("two-ways", f"{of_images} --task cyclegan --target digits")


def pixels_run() -> Path:
    """A finished run on black and white pixels as tokens, to be read only."""
    return _trained("pixels", TOKENS.replace("oracle:length=4,vocabulary=6,count=300", PIXELS))


def tokens_run() -> Path:
    """A finished run on sequences of tokens, to be read only."""
    return _trained("tokens", f"{TOKENS} {FAST}")


def text_run() -> Path:
    """A finished run by likelihood on a text, to be read only."""
    book = _FOLDER / "book.txt"
    with _alone("book"):
        if not book.exists():
            book.write_text(TEXT, encoding="utf-8")
    options = "--task maximum-likelihood --batch 4 --steps 6 --set sample.count=4"
    return _trained("text", f"--dataset {book} --model sequence:hidden=4,width=4 {options}")


def digits_output() -> list[str]:
    """What training that run printed, and what it said on standard error."""
    path = _trained("digits", DIGITS)
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@functools.cache
def _trained(name: str, options: str) -> Path:
    path = _FOLDER / name
    said = path.with_suffix(".json")
    with _alone(name):
        if not said.exists():
            result = succeed("train", options, f"--out {path}")
            said.write_text(json.dumps([result.stdout, result.stderr]), encoding="utf-8")
    return path


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Waits until no other worker makes what has this name."""
    with (_FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def snapshot(folder: Path) -> dict[str, tuple[int, str] | None]:
    """Every file by its time of writing and its bytes' hash; None for a folder."""
    return {
        str(path.relative_to(folder)): None
        if path.is_dir()
        else (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
    }


def write_idx(folder, prefix, images, labels):
    """The two IDX files of a split."""
    folder.mkdir(exist_ok=True)
    images, labels = np.asarray(images, np.uint8), np.asarray(labels, np.uint8)
    header = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape[:3])
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = struct.pack(">4BI", 0, 0, 8, 1, len(labels))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
