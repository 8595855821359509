"""Exports: the files of a trained part in a format, checked, with a card, in a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.errors import UserError, shown, unknown_name
from gancli.export.card import model_card
from gancli.export.folder import filled, write_manifest
from gancli.export.onnx_file import run_onnx, to_onnx
from gancli.export.part import TrainedPart
from gancli.export.stablehlo import run_stablehlo, to_stablehlo
from gancli.export.web import to_web
from gancli.export.weights import to_safetensors
from gancli.files import MANIFEST

COMMAND = "gan export"
CARD = "README.md"
# So many examples are computed again from what was written.
TRIED = 8
# A larger difference, in the largest magnitude of an output or 1, is no rounding.
LARGEST_ERROR = 1e-3


class Format(NamedTuple):
    """A format of exports.

    `convert(trained)` returns the files by name, and `run(files, trained, inputs)` computes with
    them; None where they hold the weights alone. An `exact` format has no products in bfloat16.
    """

    convert: Callable[[TrainedPart], dict[str, bytes]]
    run: Callable[[dict[str, bytes], TrainedPart, list[np.ndarray]], Any] | None = None
    exact: bool = False


FORMATS = {
    "stablehlo": Format(to_stablehlo, run_stablehlo),
    "safetensors": Format(to_safetensors),
    "onnx": Format(to_onnx, run_onnx, exact=True),
    "web": Format(to_web, run_onnx, exact=True),
}


def require_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: if there is none.
    """
    if name not in FORMATS:
        raise unknown_name("export format", name, FORMATS)
    return FORMATS[name]


def export(trained: TrainedPart, name: str, folder: Path) -> list[Path]:
    """Writes a trained part in a format, and its card.

    Args:
        trained: the part.
        name: of the format.
        folder: where to, a new or an empty one; an export that is there already is replaced.

    Returns:
        What was written.

    Raises:
        UserError: if there is no such format, the part cannot be converted to it, or the folder
            holds anything else or cannot be written.
    """
    own = require_format(name)
    with filled(folder, COMMAND) as place:
        computed = trained.in_float32() if own.exact else trained
        files = own.convert(computed)
        error = None
        if own.run:
            inputs = computed.try_inputs(TRIED)
            error = largest_error(own.run(files, computed, inputs), computed(*inputs))
            _require_close(name, computed, error)
        precision = computed.generator.config.train.precision
        files[CARD] = model_card(trained, name, precision, error).encode()
        for file, content in files.items():
            (place / file).write_bytes(content)
        write_manifest(
            place,
            trained.generator.provenance(),
            sorted(files),
            command=COMMAND,
            part=trained.name,
            format=name,
            largest_error=error,
        )
    return [folder / file for file in (*files, MANIFEST)]


def _require_close(name: str, trained: TrainedPart, error: float) -> None:
    if not error <= LARGEST_ERROR:
        raise UserError(
            f"part {shown(trained.name)} with model {shown(trained.generator.config.model)} would "
            f"compute outputs in {name} that differ by {error:.2g}",
            f"differences of at most {LARGEST_ERROR:g}",
            "Choose another --format",
        )


def largest_error(made: Any, expected: Any) -> float:
    """The largest difference of an output, in its largest magnitude where that is above 1."""
    pairs = zip(jax.tree.leaves(made), jax.tree.leaves(expected), strict=True)
    return max(
        float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
        for one, other in ((np.asarray(a, float), np.asarray(b, float)) for a, b in pairs)
    )
