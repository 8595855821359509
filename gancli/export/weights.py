"""Weights as a safetensors file that says what they are of, so that gan can load it again."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gancli.config import from_json
from gancli.config.layers import to_json
from gancli.errors import UserError, excerpt, shown
from gancli.evaluation.generator import Generator
from gancli.export.part import TrainedPart, part_of
from gancli.files import parse_json
from gancli.runs.directory import DataIdentity
from gancli.runs.state_files import by_path
from gancli.runs.versions import require_compatible, versions
from gancli.tasks.program import weights_like

SUFFIX = ".safetensors"
# Of the file's header, which the format bounds at 100 MB.
_PART, _CONFIG, _DATA, _PROVENANCE, _VERSIONS = "part", "config", "data", "provenance", "versions"


def to_safetensors(trained: TrainedPart) -> dict[str, bytes]:
    """The file of a part, `NAME.safetensors`: its weights by path, and its configuration."""
    generator = trained.generator
    arrays = {path: np.asarray(array) for path, array in jax.device_get(trained.weights).items()}
    header = {
        _PART: trained.name,
        _CONFIG: to_json(generator.config),
        _DATA: json.dumps(generator.data.as_json()),
        _PROVENANCE: json.dumps(generator.provenance()),
        _VERSIONS: json.dumps(versions()),
    }
    return {f"{trained.name}{SUFFIX}": save(arrays, header)}


def read_safetensors(path: Path) -> TrainedPart:
    """Restores the part that a file of `to_safetensors` holds.

    Raises:
        UserError: if it cannot be read, or was written by another program or version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unusable(path, excerpt(error)) from None
    try:
        data = DataIdentity.from_json(parse_json(header[_DATA]))
        provenance, wrote = parse_json(header[_PROVENANCE]), parse_json(header[_VERSIONS])
        name, text = header[_PART], header[_CONFIG]
        averaged = provenance["weights"] == "ema"
        origin = Path(provenance["checkpoint"]), int(provenance["step"]), averaged
        checksum = str(provenance["checkpoint_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, f"its header lacks {excerpt(error)}") from None
    require_compatible(wrote, f"file {str(path)!r}")
    config = from_json(text, str(path))
    task, _, like = weights_like(config, data.spec)
    unread = Generator(task, like, config, data, *origin, (), checksum)
    part = part_of(unread, name)
    unread = unread._replace(weights=weights_like(config, data.spec, part.player)[2])
    return TrainedPart(unread, name, part, _matching(path, held, unread, name))


def _matching(
    path: Path, held: dict[str, np.ndarray], generator: Generator, name: str
) -> dict[str, Any]:
    """The weights as JAX arrays.

    Raises:
        UserError: if their paths, shapes or types are not those of the part.
    """
    every = by_path(generator.weights)
    expected = {one: every[one] for one in TrainedPart.used_by(generator, part_of(generator, name))}
    for one in sorted(held.keys() ^ expected.keys()):
        raise _unusable(path, f"{shown(one)} is {'unknown' if one in held else 'missing'}")
    for one, like in expected.items():
        own = held[one]
        if (own.shape, own.dtype) != (like.shape, like.dtype):
            found = f"{own.dtype} {own.shape}, not {like.dtype} {like.shape}"
            raise _unusable(path, f"{shown(one)} is {found}")
    return {one: jnp.asarray(array) for one, array in held.items()}


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{str(path)!r} cannot be used: {reason}",
        "a file that gan export --format safetensors wrote",
    )
