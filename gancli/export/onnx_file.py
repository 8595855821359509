"""ONNX: a program with its weights for other runtimes, checked against gan's own outputs."""

import contextlib
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gancli.errors import UserError, excerpt, shown
from gancli.export.part import PLAIN, TrainedPart

_INSTALL = "pip install '.[onnx]' && pip install --no-deps jax2onnx"


def to_onnx(trained: TrainedPart) -> dict[str, bytes]:
    """The file of a part, `NAME.onnx`: inputs and outputs by name, with its weights inside.

    Raises:
        UserError: if the converter is not installed, or cannot convert an operation.
    """
    convert = _converter()

    def apply(*inputs: jax.Array) -> Any:
        return trained.traced_for(PLAIN)(trained.weights, *inputs)

    with _quiet():
        try:
            model = convert(
                apply,
                trained.abstract_inputs(),
                model_name=trained.name,
                input_names=list(trained.part.inputs),
                output_names=list(trained.part.outputs),
            )
        except Exception as error:
            raise _not_convertible(trained, _operation(error) + excerpt(error)) from error
    # The converter's hints of shapes between layers are wrong in places, and runtimes infer them.
    del model.graph.value_info[:]
    return {f"{trained.name}.onnx": model.SerializeToString()}


def run_onnx(files: dict[str, bytes], trained: TrainedPart, inputs: list[np.ndarray]) -> Any:
    """What the file computes from inputs by ONNX Runtime, an array or a tuple of several.

    Raises:
        UserError: if the runtime refuses the file.
    """
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            files[f"{trained.name}.onnx"], options, providers=["CPUExecutionProvider"]
        )
        made = session.run(None, dict(zip(trained.part.inputs, inputs, strict=True)))
    except Exception as error:
        raise _not_convertible(trained, excerpt(error)) from error
    return made[0] if len(made) == 1 else tuple(made)


def _operation(error: Exception) -> str:
    """The operation that the converter was at, from the name of its module."""
    frames = traceback.extract_tb(error.__traceback__)
    at = [Path(frame.filename) for frame in frames if "plugins" in Path(frame.filename).parts]
    return f"{at[-1].stem}: " if at else ""


def _converter() -> Any:
    try:
        with _quiet():
            import onnxruntime  # noqa: F401  # pyright: ignore[reportMissingImports]
            from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"Conversion to ONNX needs a package that is not installed: {excerpt(error)}",
            "stablehlo or safetensors without it",
            f"Install it: {_INSTALL}",
        ) from None
    return to_onnx


def _not_convertible(trained: TrainedPart, reason: str) -> UserError:
    config = trained.generator.config
    return UserError(
        f"part {shown(trained.name)} of task {shown(config.task)} with model "
        f"{shown(config.model)} cannot be converted to ONNX: {reason}",
        "a part whose operations can be converted",
        "Choose --format stablehlo or safetensors",
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Withholds the converter's log and warnings, of its own plugins and deprecated calls."""
    names = ("jax2onnx", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
