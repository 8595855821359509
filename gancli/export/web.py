"""A web page that draws in the browser: ONNX Runtime Web and every other file beside it."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from gancli.errors import UserError, shown
from gancli.export.onnx_file import to_onnx
from gancli.export.part import TrainedPart
from gancli.tasks import Sampler

# As `npm install` places it, in the working directory or one above it.
_RUNTIME = Path("node_modules", "onnxruntime-web", "dist")
_RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_INSTALL = "npm install onnxruntime-web"
_PAGE = ("index.html", "style.css", "script.js")
# So many latents of `gan sample --seed 0` are beside the page.
_FIRST = 64


def to_web(trained: TrainedPart) -> dict[str, bytes]:
    """The files of a page: those of `to_onnx`, what they take, and what draws with them.

    `latents.bin` has the first latents of `gan sample --seed 0` as float32, row by row.

    Raises:
        UserError: if the part makes no images from noise, a package is missing, or the part
            cannot be converted to ONNX.
    """
    sampler = trained.generator.task.sampler
    channels = trained.generator.spec.shape[-1]
    if (
        not isinstance(sampler, Sampler)
        or sampler.space is None
        or "latents" not in trained.part.inputs
        or trained.part.outputs != ("images",)
        or channels not in (1, 3, 4)
    ):
        raise UserError(
            f"part {shown(trained.name)} of task {shown(trained.generator.config.task)} with "
            f"outputs {', '.join(trained.part.outputs)} of {channels} channels in a web page",
            "a generator of images with 1, 3 or 4 channels from noise",
            "Choose --format stablehlo, safetensors or onnx",
        )
    runtime = _runtime()
    described = {
        "title": f"{trained.name} of {trained.generator.spec.name}",
        "model": f"{trained.name}.onnx",
        "shape": trained.generator.spec.shape,
        "noise": sampler.space.noise,
        "distribution": sampler.space.distribution,
        "labels": sampler.classes,
        "continuous": sampler.continuous,
    }
    page = files("gancli.export") / "page"
    return {
        **to_onnx(trained),
        **{name: (page / name).read_bytes() for name in _PAGE},
        **{name: (runtime / name).read_bytes() for name in _RUNTIME_FILES},
        "description.json": json.dumps(described, indent=2).encode(),
        "latents.bin": trained.latents(_FIRST).astype(np.float32).tobytes(),
    }


def _runtime() -> Path:
    """The folder of ONNX Runtime Web.

    Raises:
        UserError: if it is not installed.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / _RUNTIME / name).is_file() for name in _RUNTIME_FILES):
            return folder / _RUNTIME
    raise UserError(
        "--format web needs ONNX Runtime Web, which is not in node_modules",
        "its npm package in the working directory or one above it",
        f"Install it: {_INSTALL}",
    )
