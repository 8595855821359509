"""Inception-v3 with the weights that define the FID, through torch-fidelity."""

import importlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gancli.errors import UserError
from gancli.files import sha256

DIMENSION = 2048
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_FILE = "weights-inception-2015-12-05-6726825d.pth"
_BLOCK = 50


class Inception(NamedTuple):
    """The network: from (block, height, width, 1 or 3) uint8 to (block, 2048) float32.

    `head` (classes, 2048) turns features into logits, without biases, as for the Inception score.
    """

    block: int
    function: Callable[[np.ndarray], np.ndarray]
    head: np.ndarray


def load_inception(weights: str) -> Inception:
    """The network up to its last pooling, on which the FID is measured.

    Args:
        weights: the file of its weights; empty for the file in torch's cache, which is downloaded
            if it is missing.

    Raises:
        UserError: if torch-fidelity is not installed, or the weights are missing or different.

    Reference: arXiv:1706.08500; github.com/toshas/torch-fidelity.
    """
    torch, fidelity = _packages()
    path = Path(os.path.expanduser(weights)) if weights else _downloaded(torch, fidelity)
    try:
        found = sha256(path)
    except OSError as error:
        raise _without_weights(f"{path} cannot be read: {error.strerror or error}") from None
    if found != WEIGHTS_SHA256:
        # Loading a file of weights can run arbitrary code, so only this file is opened.
        raise _without_weights(f"{path} has other content, with SHA-256 {found}")
    return _network(str(path))


@lru_cache(maxsize=1)  # All runs of a comparison use the same.
def _network(weights: str) -> Inception:
    """The network with the weights in a checked file."""
    torch, fidelity = _packages()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", [str(DIMENSION)], feature_extractor_weights_path=weights
    ).to(device)

    def function(images: np.ndarray) -> np.ndarray:
        coloured = np.broadcast_to(images, (*images.shape[:3], 3))
        planes = np.ascontiguousarray(coloured.transpose(0, 3, 1, 2))
        with torch.no_grad():
            (features,) = network(torch.from_numpy(planes).to(device))
        return features.cpu().numpy()

    return Inception(_BLOCK, function, network.fc.weight.cpu().numpy())


def _packages() -> tuple[ModuleType, ModuleType]:
    """The package torch, and torch-fidelity's module of Inception."""
    try:
        return (
            importlib.import_module("torch"),
            importlib.import_module("torch_fidelity.feature_extractor_inceptionv3"),
        )
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"the features 'inception' need torch-fidelity, which cannot be imported ({error})",
            "an environment with the extra `fid`",
            "Run: pip install torch-fidelity, or choose other features",
        ) from None


def _downloaded(torch: Any, fidelity: Any) -> Path:
    """The weights in torch's cache, downloaded if they are missing."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / _FILE
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            fidelity.URL_INCEPTION_V3, str(path), hash_prefix=WEIGHTS_SHA256, progress=False
        )
    except (OSError, RuntimeError) as error:
        raise _without_weights(
            f"{_FILE} cannot be downloaded from {fidelity.URL_INCEPTION_V3} to {path} ({error})"
        ) from None
    return path


def _without_weights(what: str) -> UserError:
    return UserError(
        f"the features 'inception' without weights: {what}",
        f"{_FILE} with SHA-256 {WEIGHTS_SHA256}",
        "Download it from the releases of github.com/toshas/torch-fidelity and give "
        "inception:weights=FILE, or choose other features",
    )
