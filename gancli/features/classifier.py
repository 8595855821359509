"""A small classifier of a labelled image set: its network and its outputs.

Three 3x3 convolutions (24, 48 and 64 channels) with batch norm and ReLU, the first two with 2x2
max pooling; maxima over a grid of at most 4x4; a dense layer of 64 with batch norm and ReLU, whose
outputs are the features; and a dense layer to the classes: 105,000 parameters for ten classes.
Images of more than 40 pixels are first halved by 4x4 convolutions of stride 2.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.data import to_float
from gancli.features.blocks import in_blocks
from gancli.networks.convolutions import (
    convolve,
    down_convolve,
)

Params = Mapping[str, Any]

FEATURES = 64
BLOCK = 256
_LARGEST_SIDE, _GRID = 40, 4
_CONVOLUTIONS = {"first": 24, "second": 48, "third": 64}


class Classifier(NamedTuple):
    """Fitted parameters and their accuracy.

    `accuracy` is measured on real images that it was not fitted to, and `measured_on` names them:
    `10,000 test images`, or `359 held-out images`. If `by_channel` is set, it classifies each
    channel of an image separately, and the classes are the digits of a number (as in
    `stacked-mnist`); its accuracy is then that of one channel. `fingerprint` is a hash of the
    recipe, the data and the parameters.
    """

    params: Params
    accuracy: float
    measured_on: str
    fingerprint: str
    by_channel: bool = False


def read_block(
    classifier: Classifier, images: np.ndarray | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The features and logits of one block of images.

    Args:
        classifier: a fitted classifier.
        images: (BLOCK, height, width, channels) as stored, or floats from 0 to 255, which have a
            gradient; another number compiles again.

    Returns:
        The features of its penultimate layer, (n, parts, 64) float32, and the logits,
        (n, parts, classes) float32. Parts are the channels if it classifies each of them, else
        the single image.
    """
    parts = images.shape[-1] if classifier.by_channel else 1
    if classifier.by_channel:
        images = jnp.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:3], 1)
    features, logits = _outputs(classifier.params, images)
    return features.reshape(-1, parts, FEATURES), logits.reshape(-1, parts, logits.shape[-1])


def posteriors(classifier: Classifier, images: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """Class probabilities of every part of an image.

    Args:
        classifier: a fitted classifier.
        images: (n, height, width, channels) as stored, or consecutive parts of it.

    Returns:
        (n, parts, classes) float64, summing to 1 over the classes; parts are the channels if the
        classifier classifies each of them, else the single image.
    """
    blocks = in_blocks(partial(read_block, classifier), BLOCK, images)
    return softmax(np.concatenate([logits for _, logits in blocks]))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Class probabilities exp(x) / sum exp(x), in double precision.

    Args:
        logits: (..., classes).

    Returns:
        (..., classes) float64, summing to 1 over the classes.
    """
    logits = logits.astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def predicted(classifier: Classifier, images: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """The most probable class of each image.

    Args:
        classifier: a fitted classifier.
        images: (n, height, width, channels) as stored, or consecutive parts of it.

    Returns:
        (n,) int64, as in `joint_classes`.
    """
    blocks = in_blocks(partial(read_block, classifier), BLOCK, images)
    return np.concatenate([joint_classes(logits) for _, logits in blocks])


def joint_classes(scores: np.ndarray) -> np.ndarray:
    """The classes of images from the highest scores of their parts.

    Args:
        scores: (n, parts, classes) logits or probabilities.

    Returns:
        (n,) int64: 123 for three parts with the highest scores at 1, 2 and 3.
    """
    digits = scores.argmax(axis=-1)
    return digits @ scores.shape[-1] ** np.arange(digits.shape[1])[::-1]


# The network


def network(
    params: Params,
    images: jax.Array,
    normalized: Callable[[str, jax.Array], jax.Array],
    dropped: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Features (n, 64) and logits (n, classes) of images (n, height, width, channels)."""
    x = to_float(images)
    for name in _halvings(images.shape[1:]):
        x = down_convolve(_even(x), params[f"{name}/kernel"])
        x = jax.nn.relu(normalized(name, x))
    for name in _CONVOLUTIONS:
        x = convolve(x, params[f"{name}/kernel"])
        x = x if name == "third" else _largest(x, 2)
        x = jax.nn.relu(normalized(name, x))
    x = _largest(x, -(-max(x.shape[1:3]) // _GRID))
    x = dropped(x.reshape(len(x), -1)) @ params["hidden/kernel"]
    features = jax.nn.relu(normalized("hidden", x))
    return features, features @ params["output/kernel"] + params["output/bias"][jnp.newaxis]


def _halvings(shape: tuple[int, ...]) -> list[str]:
    """The names of the convolutions that halve an image until it is small enough."""
    side, names = max(shape[:2]), []
    while side > _LARGEST_SIDE:
        side = -(-side // 2)
        names.append(f"halving-{len(names)}")
    return names


def _even(x: jax.Array, multiple: int = 2) -> jax.Array:
    """Pads images to sides that are a multiple, by repeating the last row and column."""
    height, width = (-side % multiple for side in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, height), (0, width), (0, 0)), mode="edge")


def _largest(x: jax.Array, size: int) -> jax.Array:
    """Maxima over size x size pixels, by slices, whose gradient is faster than a reduction's."""
    x = _even(x, size)
    largest = x[:, ::size, ::size]
    for index in range(1, size * size):
        row, column = divmod(index, size)
        largest = jnp.maximum(largest, x[:, row::size, column::size])
    return largest


def parameter_shapes(shape: tuple[int, ...], classes: int) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter for images of a shape."""
    height, width, inputs = shape
    kernels: dict[str, tuple[int, ...]] = {}
    for name in _halvings(shape):
        kernels[name] = (4, 4, inputs, 16)
        height, width, inputs = -(-height // 2), -(-width // 2), 16
    for name, channels in _CONVOLUTIONS.items():
        kernels[name] = (3, 3, inputs, channels)
        inputs = channels
    height, width = -(-height // 4), -(-width // 4)
    size = -(-max(height, width) // _GRID)
    kernels["hidden"] = (-(-height // size) * -(-width // size) * inputs, FEATURES)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kernel in kernels.items():
        shapes[f"{name}/kernel"] = kernel
        shapes[f"{name}/scale"] = shapes[f"{name}/shift"] = kernel[-1:]
    return shapes | {"output/kernel": (FEATURES, classes), "output/bias": (classes,)}


@jax.jit
def _outputs(params: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Features and logits of bytes, with the moments folded into scale and shift."""

    def normalized(name: str, x: jax.Array) -> jax.Array:
        scale, shift = (params[f"{name}/{part}"] for part in ("scale", "shift"))
        return x * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(shift, x.shape)

    return network(params, images, normalized, lambda x: x)
