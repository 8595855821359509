"""Drawing of the samples to measure."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import Weights
from gancli.data import Dataset
from gancli.data.dataset import fixed_order
from gancli.data.transform import from_stored, to_stored
from gancli.errors import UserError
from gancli.evaluation.evidence import Asked, Autoencoder, Drawn, Labelling, Pairs
from gancli.evaluation.latents import Draw
from gancli.evaluation.sampling import sample_weights
from gancli.evaluation.translation import translate
from gancli.system.progress import reported
from gancli.tasks import Sampler, Task, Translator

_MOST_IN_MEMORY = 2**30
_BOUNDED_TOGETHER = 256


def draw(
    task: Task, weights: Weights, dataset: Dataset, count: int, seed: int, plain: bool = False
) -> Drawn:
    """Draws the samples to measure.

    Args:
        task: task of the generator.
        weights: weights of the player that samples.
        dataset: data set of the labels or sources.
        count: number of examples; an image-to-image task allows at most the number of sources.
        seed: random seed of the latents, if there are any.
        plain: whether to return untranslated sources instead of their translations.

    Raises:
        UserError: if the disk is full, or there are no sources.
    """
    sampler = task.sampler
    if isinstance(sampler, Translator):
        return _translated(sampler, weights, dataset, count, plain)
    if plain:
        raise UserError(
            "--plain with a generator that makes examples from noise",
            "an image-to-image model",
            "Leave out --plain",
        )
    asked = _asked(sampler, labelling(task, dataset), dataset, count)
    blocks = sample_weights(task, weights, Draw(seed, asked.labels), count)
    return Drawn(
        _gathered(blocks, count, dataset),
        asked,
        _autoencoder(task, weights),
        log_likelihood=_log_likelihood(task, weights),
    )


def reference_data(dataset: Dataset) -> Dataset:
    """The data that what is made shall look like: the target, or else the data themselves."""
    return dataset.target or dataset


def labelling(task: Task, dataset: Dataset) -> Labelling:
    """The labels that a task's samples should show; for translations those of their sources."""
    sampler = task.sampler
    if isinstance(sampler, Translator):
        return labelled_as(reference_data(dataset), dataset)
    if not sampler.classes:
        return ""
    return "learned" if sampler.learned else "asked"


def labelled_as(real: Dataset, dataset: Dataset) -> Labelling:
    """Whether the labels of a data set are classes of the real examples."""
    classes = dataset.spec.classes
    return "asked" if classes and set(classes) <= set(real.spec.classes) else ""


def labels_as(real: Dataset, dataset: Dataset, rows: np.ndarray) -> Asked:
    """The labels of some examples, numbered as the classes of the real ones; zeros without any."""
    kind, names = labelled_as(real, dataset), real.spec.classes
    labels = np.zeros(len(rows), np.int32)
    if kind and dataset.labels is not None:
        numbers = np.array([names.index(name) for name in dataset.spec.classes], np.int32)
        labels = numbers[np.asarray(dataset.labels)[rows]]
    return Asked(labels, len(names), kind)


def _asked(sampler: Sampler, kind: Labelling, dataset: Dataset, count: int) -> Asked:
    """The labels of samples: with the frequencies of the data, or every code in turn."""
    indices = np.arange(count)
    if kind == "asked" and dataset.labels is not None:
        ordered = np.asarray(dataset.labels)[fixed_order(len(dataset.labels))]
        labels = sampler.labels(indices, ordered)
    else:
        labels = sampler.labels(indices)
    return Asked(labels, len(sampler.classes), kind)


def _translated(
    translator: Translator, weights: Weights, dataset: Dataset, count: int, plain: bool
) -> Drawn:
    """The translations of some examples of the data, always the same examples."""
    rows = fixed_order(len(dataset.examples))[:count]
    examples = np.asarray(dataset.examples[rows])

    def images(plain: bool) -> np.ndarray:
        return np.concatenate(list(translate(translator, weights, examples, plain)))

    as_they_are = images(plain=True)
    made = as_they_are if plain else images(plain=False)
    wanted = reference_data(dataset)
    real = np.asarray(wanted.examples[rows]) if translator.restores else None
    return Drawn(made, labels_as(wanted, dataset, rows), pairs=Pairs(as_they_are, real))


def _autoencoder(task: Task, weights: Weights) -> Autoencoder | None:
    """The autoencoder of a task that has an encoder, for examples in stored format."""
    bound_of_draw, of_codes = task.bound, task.reconstruct
    if of_codes is None:
        return None

    def reconstruct(examples: np.ndarray) -> np.ndarray:
        made = of_codes(weights, from_stored(jnp.asarray(examples)))
        return to_stored(np.asarray(made), task.bits)

    if bound_of_draw is None:
        return Autoencoder(reconstruct, None)

    @jax.jit
    def draw(weights: Weights, examples: jax.Array, block: jax.Array, number: jax.Array):
        key = jax.random.fold_in(jax.random.key(0), block)
        return bound_of_draw(weights, from_stored(examples), key, number)

    def bound(examples: np.ndarray, draws: int) -> np.ndarray:
        """The importance-weighted log (1/K) Σ p(x, z) / q(z | x)."""
        bounds = []
        starts = range(0, len(examples), _BOUNDED_TOGETHER)
        for start in reported("bounds of the likelihood", starts):
            block = examples[start : start + _BOUNDED_TOGETHER]
            total = np.full(len(block), -np.inf)
            for number in range(draws):
                total = np.logaddexp(total, np.asarray(draw(weights, block, start, number)))
            bounds.append(total - math.log(draws))
        return np.concatenate(bounds)

    return Autoencoder(reconstruct, bound)


def _gathered(blocks: Iterable[np.ndarray], count: int, dataset: Dataset) -> np.ndarray:
    """Gathers blocks of examples into one array; a large one is mapped to an unnamed file."""
    shape, dtype = (count, *dataset.spec.shape), dataset.examples.dtype
    size = math.prod(shape) * dtype.itemsize
    if size <= _MOST_IN_MEMORY:
        examples = np.empty(shape, dtype)
    else:
        with tempfile.TemporaryFile() as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise UserError(
                    f"{count} examples take {size / 2**30:.1f} GiB in {tempfile.gettempdir()!r}: "
                    f"{error.strerror}",
                    "as much free space there",
                    "Ask for fewer samples, or set TMPDIR to another folder",
                ) from None
            examples = np.memmap(file, dtype, "r+", shape=shape)
    done = 0
    for block in blocks:
        examples[done : done + len(block)] = block
        done += len(block)
    return examples


def _log_likelihood(task: Task, weights: Weights) -> Callable[[np.ndarray], np.ndarray] | None:
    """The log-likelihood of examples in stored format, if the generator has one."""
    own = task.log_likelihood
    if own is None:
        return None
    of_block = jax.jit(lambda weights, examples: own(weights, from_stored(examples)))

    def log_likelihood(examples: np.ndarray) -> np.ndarray:
        starts = reported("likelihoods", range(0, len(examples), _BOUNDED_TOGETHER))
        blocks = (examples[start : start + _BOUNDED_TOGETHER] for start in starts)
        return np.concatenate([np.asarray(of_block(weights, block)) for block in blocks])

    return log_likelihood
