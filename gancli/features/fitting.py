"""Fitting of a data set's classifier: once, by a fixed recipe, and cached.

Dropout of 0.3 before the dense layers, no augmentation; Adam with one cycle of the learning
rate up to 3e-3 (arXiv:1708.07120), batches of 64, eight epochs but at least 600 and at most
7,000 steps. If the data have an official test split, the classifier is fitted to all of `train`
and measured on `test`; else a fifth, at most 10,000 images by a fixed permutation, is held out.
"""

import hashlib
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gancli.data import DATASETS, DataRequest, Dataset, load
from gancli.data.batches import BatchPlan
from gancli.data.dataset import MissingSplitError
from gancli.errors import UserError
from gancli.features.cached import Like, cached_arrays
from gancli.features.classifier import (
    BLOCK,
    Classifier,
    Params,
    network,
    parameter_shapes,
    predicted,
)
from gancli.registry import parse_spec
from gancli.system.progress import reported

_RECIPE = (
    "down-convolutions of 16 to at most 40 pixels, convolutions 24 48 64, grid 4, dense 64, "
    "dropout 0.3, adam one cycle 3e-3, batch 64, 8 epochs in 600 to 7000 steps, v2"
)
_BATCH, _EPOCHS, _LEAST_STEPS, _MOST_STEPS = 64, 8, 600, 7000
_LEARNING_RATE, _DROPPED = 3e-3, 0.3
_MOST_HELD_OUT = 10_000
_KEPT, _EPSILON = 0.98, 1e-5
_TOGETHER = 25
_STACKED = "stacked-mnist"


def fitted_classifier(dataset: Dataset, request: DataRequest | None = None) -> Classifier:
    """The classifier of a data set, from the cache or fitted now.

    Args:
        dataset: labelled images.
        request: the request that loaded the data set, also used for its test split.

    Raises:
        UserError: if the data have no labels, the test split is damaged, or the cache cannot
            be used.
    """
    request = request or DataRequest()
    if base := _base_of_channels(dataset, request):
        return fitted_classifier(base, request)._replace(by_channel=True)
    labels = dataset.labels if dataset.spec.kind == "image" else None
    if labels is None or len(labels) < 2:
        raise UserError(
            f"{dataset.spec.name!r} has {0 if labels is None else len(labels)} labelled images "
            "to fit a classifier to",
            "a data set of at least 2 labelled images",
            "Choose another metric or other features",
        )
    train, measured, rows = divide(dataset, request)
    held_out = measured is dataset
    key = f"{_RECIPE}:{dataset.fingerprint}:{'' if held_out else measured.fingerprint}"
    like = {**_like(dataset), "accuracy": Like((), np.float64)}

    def compute() -> dict[str, np.ndarray]:
        params = fit(dataset, train)
        return {**params, "accuracy": right(params, measured, rows).mean()}

    held = cached_arrays("classifiers", key, like, compute)
    accuracy = float(held.pop("accuracy"))
    digest = hashlib.sha256(key.encode())
    for name in sorted(held):  # Another device's rounding gives another classifier.
        digest.update(held[name].tobytes())
    params = {name: jnp.asarray(values) for name, values in held.items()}
    measured_on = f"{len(rows):,} {'held-out' if held_out else 'test'} images"
    return Classifier(params, accuracy, measured_on, digest.hexdigest())


def test_split(dataset: Dataset, request: DataRequest) -> Dataset | None:
    """The official test split of a data set that was loaded with its split `train`.

    Args:
        dataset: the data set.
        request: the request that loaded it.

    Returns:
        The split `test`, of the same shape and classes, or None if there is none.

    Raises:
        UserError: if the split exists but cannot be read.
    """
    if request.split != "train":
        return None
    try:
        test = load(dataset.spec.name, request._replace(split="test"))
    except MissingSplitError:
        return None
    alike = test.spec == dataset.spec and test.labels is not None
    return test if alike and test.fingerprint != dataset.fingerprint else None


def kept_fit(dataset: Dataset, train: np.ndarray, what: str) -> Params:
    """The result of `fit`, from the cache or fitted now.

    Args:
        dataset: labelled images.
        train: the rows to fit to.
        what: its name in progress.

    Raises:
        UserError: if the cache cannot be used.
    """
    rows = hashlib.sha256(np.ascontiguousarray(train, np.int64).tobytes()).hexdigest()
    key = f"{_RECIPE}:{dataset.fingerprint}:rows {rows}"
    return cached_arrays("classifiers", key, _like(dataset), lambda: fit(dataset, train, what))


def _like(dataset: Dataset) -> dict[str, Like]:
    """The expected form of the parameters of a data set's classifier."""
    shapes = parameter_shapes(dataset.spec.shape, len(dataset.spec.classes))
    return {name: Like(shape, np.float32) for name, shape in shapes.items()}


def _base_of_channels(dataset: Dataset, request: DataRequest) -> Dataset | None:
    """The data set whose images are the channels of this one's, if there is one."""
    if parse_spec(dataset.spec.name).name != _STACKED:
        return None
    return load(DATASETS.options(dataset.spec.name)["source"], request)


def _initial(shape: tuple[int, ...], classes: int) -> Params:
    """He-normal kernels (arXiv:1502.01852), scales of 1, zero shifts and biases."""
    # By NumPy, because XLA would compile for each kernel, longer than fitting a small set takes.
    generator = np.random.Generator(np.random.PCG64(0))
    params = {}
    for name, sides in parameter_shapes(shape, classes).items():
        if name.endswith("/kernel"):
            deviation = np.float32(np.sqrt(2 / prod(sides[:-1])))
            params[name] = deviation * generator.standard_normal(sides, np.float32)
        else:
            params[name] = np.full(sides, name.endswith("/scale"), np.float32)
    return params


def divide(dataset: Dataset, request: DataRequest) -> tuple[np.ndarray, Dataset, np.ndarray]:
    """Divides data into rows for fitting and rows for measuring a classifier.

    Args:
        dataset: labelled images.
        request: the request that loaded them.

    Returns:
        The rows to fit to; the data set to measure on, which is the official test split if there
        is one; and its rows.

    Raises:
        UserError: if the test split exists but cannot be read.
    """
    rows = np.arange(len(dataset.examples))
    test = test_split(dataset, request)
    if test is not None:
        return rows, test, np.arange(len(test.examples))
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(rows))
    count = min(max(1, len(order) // 5), _MOST_HELD_OUT)
    return np.sort(order[count:]), dataset, np.sort(order[:count])


def right(params: Params, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Whether a fitted network classifies examples correctly.

    Args:
        params: the result of `fit`.
        dataset: labelled images.
        rows: the rows to classify.

    Returns:
        (rows,) bool.
    """
    assert dataset.labels is not None
    starts = range(0, len(rows), BLOCK)
    blocks = (dataset.examples[rows[start : start + BLOCK]] for start in starts)
    return predicted(Classifier(params, 0.0, "", ""), blocks) == dataset.labels[rows]


def fit(dataset: Dataset, train: np.ndarray, what: str = "the classifier") -> Params:
    """Fits a classifier by the recipe.

    Args:
        dataset: labelled images.
        train: the rows to fit to.
        what: its name in progress.

    Returns:
        The parameters after the last step, with the moments folded into scale and shift.
    """
    assert dataset.labels is not None
    plan = BatchPlan(len(train), min(_BATCH, len(train)), seed=1)
    calls = -(-min(max(_EPOCHS * plan.draws_per_epoch, _LEAST_STEPS), _MOST_STEPS) // _TOGETHER)
    schedule = optax.cosine_onecycle_schedule(calls * _TOGETHER, _LEARNING_RATE, 0.2)
    optimizer = optax.adam(schedule)
    key = jax.random.key(2)

    def step(carry: Any, batch: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, None]:
        params, moments, state = carry
        number, images, labels = batch
        seen: dict[str, tuple[jax.Array, jax.Array]] = {}

        def loss(params: Params) -> tuple[jax.Array, Any]:
            def normalized(name: str, x: jax.Array) -> jax.Array:
                axes = tuple(range(x.ndim - 1))
                mean = x.mean(axes)
                centred = x - jnp.broadcast_to(mean, x.shape)
                variance = (centred**2).mean(axes)
                seen[name] = (mean, variance)
                scale = params[f"{name}/scale"] * jax.lax.rsqrt(variance + _EPSILON)
                shift = jnp.broadcast_to(params[f"{name}/shift"], x.shape)
                return centred * jnp.broadcast_to(scale, x.shape) + shift

            def dropped(x: jax.Array) -> jax.Array:
                kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - _DROPPED, x.shape)
                return jnp.where(kept, x / (1 - _DROPPED), 0)

            _, logits = network(params, images, normalized, dropped)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), seen

        gradient, new = jax.grad(loss, has_aux=True)(params)
        moments = jax.tree.map(lambda old, new: _KEPT * old + (1 - _KEPT) * new, moments, new)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes floats and integer counts.
            updates, state = optimizer.update(gradient, state)
        return (jax.tree.map(jnp.add, params, updates), moments, state), None

    # Many steps per call, because each call allocates its working memory again.
    steps = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches)[0])
    params = _initial(dataset.spec.shape, len(dataset.spec.classes))
    names = [name.removesuffix("/scale") for name in params if name.endswith("/scale")]
    moments = {name: (params[f"{name}/shift"], params[f"{name}/scale"]) for name in names}
    carry = params, moments, jax.jit(optimizer.init)(params)
    for call in reported(f"fitting {what}", range(calls)):
        numbers = np.arange(call * _TOGETHER, (call + 1) * _TOGETHER)
        rows = train[np.stack([plan.indices(number) for number in numbers.tolist()])]
        carry = steps(carry, (numbers, dataset.examples[rows], dataset.labels[rows]))
    params, moments, _ = jax.tree.map(np.asarray, carry)
    for name, (mean, variance) in moments.items():
        scale = params[f"{name}/scale"] / np.sqrt(variance + np.float32(_EPSILON))
        params[f"{name}/scale"] = scale
        params[f"{name}/shift"] = params[f"{name}/shift"] - mean * scale
    return params
