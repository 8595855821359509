"""Functions that a user exported with `jax.export`, as encoders of images.

Such a file holds no Python code, but what reads it is not made for strangers' files: a byte
that is off can end the process or keep it for ever, and a custom call may name any function
that is registered in it, callbacks to Python among them. So another process reads it first,
with bounded memory and time, and refuses what is not an operation on arrays.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.data import to_float
from gancli.errors import UserError, excerpt, printable
from gancli.files import read_bytes

PROGRAM = Path(__file__).with_name("exported_process.py")
PATIENCE_SECONDS = 60.0
# A flatbuffer holds no more.
MOST_BYTES = (1 << 31) - 1


class Encoder(NamedTuple):
    """A function from (block, height, width, channels) uint8 to (block, dimension) floats."""

    sha256: str
    block: int
    dimension: int
    function: Callable[[np.ndarray], Any]


def load_encoder(path: Path, shape: tuple[int, ...]) -> Encoder:
    """Reads an encoder.

    Args:
        path: the file, as `jax.export.Exported.serialize` gives its bytes.
        shape: of one image, (height, width, channels).

    Returns:
        The encoder.

    Raises:
        UserError: if the file cannot be read, is no such function, holds operations that are
            not allowed, does not take such images or was exported for other devices.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise _refused(path, f"it cannot be read ({excerpt(error)})") from None
    found = _looked_at(path, content, shape)
    exported = jax.export.deserialize(bytearray(content))
    here = jax.export.default_export_platform()
    if here not in exported.platforms:
        raise _refused(
            path, f"it was exported for {', '.join(exported.platforms)}, and here is {here}"
        )
    takes_bytes = found["dtype"] == "uint8"

    @jax.jit
    def apply(images: jax.Array) -> jax.Array:
        return exported.call(images if takes_bytes else to_float(images)).astype(np.float32)

    def function(images: np.ndarray) -> jax.Array:
        try:
            return jax.block_until_ready(apply(images))
        except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
            raise _refused(path, f"it cannot be run ({excerpt(error)})") from None

    digest = hashlib.sha256(content).hexdigest()
    return Encoder(digest, found["block"], found["dimension"], function)


def _looked_at(path: Path, content: bytes, shape: tuple[int, ...]) -> dict[str, Any]:
    """What another process finds in the file: the input's type, its block and the dimension."""
    try:
        # -P: nothing is imported from the current folder.
        done = subprocess.run(
            [sys.executable, "-P", str(PROGRAM), json.dumps(shape)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused(path, f"it is not read in {PATIENCE_SECONDS:.0f} seconds") from None
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise _refused(path, f"its reader ended with status {done.returncode}") from None
    if "refused" in found:
        raise _refused(path, printable(found["refused"]))
    return found


def _refused(path: Path, what: str) -> UserError:
    return UserError(
        f"{str(path)!r} is not an encoder of these images: {what}",
        "the bytes of jax.export.export(jax.jit(f))(image).serialize(), with f from images "
        "(n, height, width, channels), uint8 or float32, to floats (n, features), of operations "
        "on arrays alone",
        "Export it anew, with the shape of the data and for this kind of device",
    )
