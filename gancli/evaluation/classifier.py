"""A small classifier of a labelled image set: fitted once by a fixed recipe, and kept.

Two 3x3 convolutions (32 and 64 channels, each followed by ReLU and 2x2 pooling where the
image is large enough) and two dense layers; Adam with a cosine schedule; a fifth of the data
is held out, by a fixed permutation, for the accuracy that is reported.
"""

import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gancli.data import Dataset, to_float
from gancli.data.cache import root
from gancli.errors import UserError
from gancli.networks.layers import convolve
from gancli.runs.files import cannot_write, replacing

Params = dict[str, jax.Array]

_RECIPE = "2 convolutions 32 64, dense 64, adam 2e-3 cosine, batch 64, 3000 steps, seed 0, v1"
_STEPS, _BATCH, _BLOCK = 3000, 64, 500
_HELD_OUT = 0.2


class Classifier(NamedTuple):
    """Fitted parameters, the accuracy on held-out real data, and a hash of what decided both."""

    params: Params
    accuracy: float
    fingerprint: str


def fitted_classifier(dataset: Dataset) -> Classifier:
    """The classifier of a data set, from the cache or fitted now.

    Args:
        dataset: labelled images.

    Returns:
        The classifier.

    Raises:
        UserError: if the cache cannot be written.
    """
    fingerprint = hashlib.sha256(f"{_RECIPE}:{dataset.fingerprint}".encode()).hexdigest()
    path = root() / "classifiers" / f"{fingerprint}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as held:
            params = {name: jnp.asarray(held[name]) for name in held.files if name != "accuracy"}
            return Classifier(params, float(held["accuracy"]), fingerprint)
    classifier = _fit(dataset, fingerprint)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    with replacing(path) as beside, beside.open("wb") as file:
        arrays: dict[str, Any] = {k: np.asarray(v) for k, v in classifier.params.items()}
        np.savez(file, accuracy=np.float64(classifier.accuracy), **arrays)
    return classifier


def probabilities(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """Class probabilities of images.

    Args:
        classifier: a fitted classifier.
        images: (n, height, width, channels) uint8.

    Returns:
        (n, classes) float64, each row summing to 1.
    """
    blocks = []
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        padded = np.zeros((_BLOCK, *images.shape[1:]), np.uint8)
        padded[: len(block)] = block
        blocks.append(np.asarray(_logits_of_bytes(classifier.params, padded))[: len(block)])
    logits = np.concatenate(blocks).astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def _logits(params: Params, images: jax.Array) -> jax.Array:
    """(n, height, width, channels) in [-1, 1] -> (n, classes)."""
    x = images
    for layer in ("first", "second"):
        x = jax.nn.relu(convolve(x, params[f"{layer}/kernel"], padding=1) + params[f"{layer}/bias"])
        if min(x.shape[1:3]) >= 4:
            rows, columns = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
            x = x[:, :rows, :columns].reshape(len(x), rows // 2, 2, columns // 2, 2, -1)
            x = x.max(axis=(2, 4))
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ params["hidden/kernel"] + params["hidden/bias"])
    return x @ params["output/kernel"] + params["output/bias"]


@jax.jit
def _logits_of_bytes(params: Params, images: jax.Array) -> jax.Array:
    return _logits(params, to_float(images))


def _initial(shape: tuple[int, ...], classes: int) -> Params:
    """He-normal kernels (arXiv:1502.01852) and zero biases."""
    sides = list(shape[:2])
    for _ in range(2):
        sides = [side // 2 if min(sides) >= 4 else side for side in sides]
    kernels = {
        "first": (3, 3, shape[2], 32),
        "second": (3, 3, 32, 64),
        "hidden": (sides[0] * sides[1] * 64, 64),
        "output": (64, classes),
    }
    he = jax.nn.initializers.he_normal()
    params: Params = {}
    for index, (name, kernel) in enumerate(kernels.items()):
        key = jax.random.fold_in(jax.random.key(0), index)
        params |= {f"{name}/kernel": he(key, kernel), f"{name}/bias": jnp.zeros(kernel[-1])}
    return params


def _fit(dataset: Dataset, fingerprint: str) -> Classifier:
    """Fits the classifier by the recipe."""
    labels = dataset.labels
    if labels is None:
        raise UserError(f"{dataset.spec.name!r} has no labels", "a labelled data set")
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(labels))
    held_out = order[: int(_HELD_OUT * len(order))]
    train = order[len(held_out) :]
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, _STEPS))
    params = _initial(dataset.spec.shape, len(dataset.spec.classes))

    @jax.jit
    def steps(params: Params, state: Any, images: jax.Array, labels: jax.Array):
        def one(carry, batch):
            params, state = carry

            def loss(params: Params) -> jax.Array:
                logits = _logits(params, to_float(batch[0]))
                return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean()

            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(one, (params, state), (images, labels))[0]

    state = optimizer.init(params)
    generator = np.random.Generator(np.random.PCG64(1))
    for _ in range(0, _STEPS, 100):
        rows = generator.choice(train, (100, _BATCH))
        params, state = steps(params, state, dataset.examples[rows], labels[rows])
    classifier = Classifier(params, 0.0, fingerprint)
    rows = np.sort(held_out)
    guessed = probabilities(classifier, dataset.examples[rows]).argmax(axis=1)
    return classifier._replace(accuracy=float((guessed == labels[rows]).mean()))
