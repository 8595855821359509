"""Evaluation of a trained generator: samples, metrics, and the provenance of both."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gancli.config import Config
from gancli.data import DataRequest, Dataset, load
from gancli.data.transform import to_seen
from gancli.dynamics import Weights
from gancli.errors import UserError, unknown_name
from gancli.evaluation.evaluated import (
    MOST_COMPARED,
    Asked,
    Autoencoder,
    Evaluated,
    Labelling,
    default_features,
)
from gancli.evaluation.intervals import Interval
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.features import FEATURES, Features
from gancli.judge import Judge
from gancli.launch import request_of
from gancli.program import build_task, to_stored
from gancli.progress import reported
from gancli.registry import parse_spec
from gancli.runs.directory import versions
from gancli.sampling import Generator, sample, sample_weights
from gancli.tasks import Task

# Of a data set of a few images; less than that tells nothing of a generator.
_FEWEST = 100
_MOST_IN_MEMORY = 2**30
_BOUNDED_TOGETHER = 256


def fitting_metrics(dataset: Dataset, features: str = "", task: Task | None = None) -> list[str]:
    """The names of the metrics that a data set has what it takes for.

    Args:
        dataset: what they are to measure against.
        features: the spec of the features; empty for those of the data's kind.
        task: the generator's; None for one of noise alone.

    Returns:
        Their names, those that are not quick among them.
    """
    subject = _subject(dataset, features, task)
    return [metric for metric in METRICS.names() if METRICS.build(metric).fits(subject)]


def choose_metrics(
    dataset: Dataset, names: Sequence[str] = (), features: str = "", task: Task | None = None
) -> dict[str, Metric]:
    """Builds metrics by their specs.

    Args:
        dataset: what they are to measure against.
        names: specs of metrics; empty for all quick ones that fit the data.
        features: the spec of the features; empty for those of the data's kind.
        task: the generator's; None for one of noise alone.

    Returns:
        The metrics by spec.

    Raises:
        UserError: if a metric or the features are unknown, or one does not fit the data.
    """
    spec = features or default_features(dataset)
    FEATURES.entry(spec)
    subject = _subject(dataset, spec, task)
    fitting = fitting_metrics(dataset, spec, task)
    if not names:
        built = {name: METRICS.build(name) for name in fitting}
        return {name: metric for name, metric in built.items() if metric.quick}
    chosen: dict[str, Metric] = {}
    for name in names:
        metric = METRICS.build(name)
        if not metric.fits(subject):
            of_labels = "" if subject.labels else ", of samples without labels"
            raise UserError(
                f"metric {name!r} does not fit {dataset.spec.name!r} with the features "
                f"{spec!r}{of_labels}",
                ", ".join(fitting) or "none",
            )
        chosen[name] = metric
    return chosen


def measure(metrics: Mapping[str, Metric], evaluated: Evaluated) -> Figures:
    """The figures of some metrics, by `metric/figure`."""
    return {
        f"{name}/{figure}": value
        for name, metric in metrics.items()
        for figure, value in metric.measure(evaluated).items()
    }


def _estimates(figures: Figures) -> dict[str, float]:
    """The figures without their intervals."""
    return {
        name: value.estimate if isinstance(value, Interval) else value
        for name, value in figures.items()
    }


def judge_of(config: Config, dataset: Dataset) -> Judge | None:
    """What measures a run while it trains, as its configuration asks for.

    Args:
        config: the run's; its samples are those of seed 0.
        dataset: its data.

    Returns:
        The judge; None for a run that is not to be measured.

    Raises:
        UserError: if a metric does not fit, or the figure to choose by is none that has a
            better side.
    """
    settings = config.evaluation
    if not settings.every:
        if settings.best or settings.patience:
            raise UserError(
                f"evaluation.best was {settings.best!r} and evaluation.patience "
                f"{settings.patience}, and the run is never measured",
                "evaluation.every from 1 on",
            )
        return None
    metrics = choose_metrics(
        dataset, settings.metrics, settings.features, build_task(config, dataset.spec)
    )
    better = {
        f"{name}/{figure}": side
        for name, metric in metrics.items()
        for figure, side in metric.better.items()
    }
    if settings.best and settings.best not in better:
        raise unknown_name("figure in evaluation.best:", settings.best, better)
    if settings.patience and not settings.best:
        raise UserError(
            f"evaluation.patience was {settings.patience}, and evaluation.best names no figure",
            ", ".join(sorted(better)),
        )

    request = request_of(config)
    features = _named_features(settings.features, dataset, request)

    def measure_weights(task: Task, weights: Weights) -> dict[str, float]:
        asked = _asked(task, dataset, settings.samples)
        blocks = sample_weights(task, weights, 0, settings.samples, labels=asked.labels)
        generated = _gathered(blocks, settings.samples, dataset)
        evaluated = Evaluated(
            generated,
            dataset,
            request,
            features=features,
            asked=asked,
            autoencoder=_autoencoder(task, weights),
            log_likelihood=_log_likelihood(task, weights),
        )
        return _estimates(measure(metrics, evaluated))

    return Judge(measure_weights, better.get(settings.best) == "lower")


class Question(NamedTuple):
    """What is asked of a generator.

    `metrics` are specs, empty for all quick ones that fit; `samples` is how many examples are
    generated, None for as many as there are real ones, at most 10,000; `seed` is that of their
    latents; `features` a spec, empty for those of the data's kind; `split` the part of the data
    that the samples are compared with, empty for that which was trained on.
    """

    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int = 0
    features: str = ""
    split: str = ""


class Answer(NamedTuple):
    """What was measured: a JSON object, and what it was measured on, for pictures of it."""

    report: dict[str, Any]
    evaluated: Evaluated


def evaluate(generator: Generator, dataset: Dataset, question: Question) -> Answer:
    """Measures what a generator makes.

    Args:
        generator: a trained generator.
        dataset: the data that it was trained on.
        question: what is to be measured, and on what.

    Returns:
        `metrics` with the figures by `metric/figure`, `intervals` of 95 % of those that have
        them, and their provenance.

    Raises:
        UserError: if a metric does not fit the data, or the data are others.
    """
    if dataset.fingerprint != generator.data.fingerprint:
        raise UserError(
            f"the data set {dataset.spec.name!r} is not the one that the generator was trained on",
            "the same data",
        )
    began = time.monotonic()
    request = request_of(generator.config)
    task = generator.task
    chosen = choose_metrics(dataset, question.metrics, question.features, task)
    split = question.split or request.split
    real = dataset
    if split != request.split:
        real = load(generator.config.data.name, request._replace(split=split))
        labelled = real.labels is not None and real.spec.classes == dataset.spec.classes
        if _labelling(generator.task) == "asked" and not labelled:
            raise UserError(
                f"the split {split!r} of {dataset.spec.name!r} has not the labels that the "
                "generator is to be asked for",
                "a split with the classes that were trained on",
                "Leave out --split",
            )
    features = _named_features(question.features, dataset, request)
    samples = question.samples or max(_FEWEST, min(MOST_COMPARED, len(real.examples)))
    asked = _asked(task, real, samples)
    blocks = sample(generator, question.seed, samples, labels=asked.labels)
    generated = _gathered(blocks, samples, dataset)
    autoencoder = _autoencoder(task, generator.weights)
    log_likelihood = _log_likelihood(task, generator.weights)
    evaluated = Evaluated(
        generated, dataset, request, real, features, True, asked, autoencoder, log_likelihood
    )
    figures = measure(chosen, evaluated)
    provenance = evaluated.provenance()
    report = {
        "metrics": _estimates(figures),
        "intervals": {
            name: [value.low, value.high]
            for name, value in figures.items()
            if isinstance(value, Interval)
        },
        "asked": list(chosen),
        "seed": question.seed,
        **provenance,
        "real": {**provenance["real"], "split": split},
        "seconds": round(time.monotonic() - began, 1),
        "generator": generator.provenance(),
        "versions": versions(),
    }
    return Answer(report, evaluated)


def _subject(dataset: Dataset, features: str, task: Task | None) -> Subject:
    """What metrics must know before they can be measured."""
    name = parse_spec(features or default_features(dataset)).name
    if task is None:
        return Subject(dataset, name)
    bounded, likely = task.bound is not None, task.log_likelihood is not None
    return Subject(dataset, name, _labelling(task), bounded, likely)


def _labelling(task: Task) -> Labelling:
    """What a task's samples are asked to show."""
    if not task.sampler.classes:
        return ""
    return "learned" if task.sampler.learned else "asked"


def _asked(task: Task, dataset: Dataset, count: int) -> Asked:
    """The labels of samples: as often as the data have them, or every code in turn."""
    sampler, indices, kind = task.sampler, np.arange(count), _labelling(task)
    if kind == "asked" and dataset.labels is not None:
        order = np.random.Generator(np.random.PCG64(0)).permutation(len(dataset.labels))
        labels = sampler.labels(indices, np.asarray(dataset.labels)[order])
    else:
        labels = sampler.labels(indices)
    return Asked(labels, len(sampler.classes), kind)


def _autoencoder(task: Task, weights: Weights) -> Autoencoder | None:
    """The encoder's side of a task that has one, for examples as they are stored."""
    bound_of_draw, of_codes = task.bound, task.reconstruct
    if of_codes is None:
        return None

    def reconstruct(examples: np.ndarray) -> np.ndarray:
        return to_stored(np.asarray(of_codes(weights, to_seen(jnp.asarray(examples)))))

    if bound_of_draw is None:
        return Autoencoder(reconstruct, None)

    @jax.jit
    def draw(weights: Weights, examples: jax.Array, block: jax.Array, number: jax.Array):
        key = jax.random.fold_in(jax.random.key(0), block)
        return bound_of_draw(weights, to_seen(examples), key, number)

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


def _log_likelihood(task: Task, weights: Weights) -> Callable[[np.ndarray], np.ndarray] | None:
    """The likelihood of examples as they are stored, by a generator that has one."""
    own = task.log_likelihood
    if own is None:
        return None
    of_block = jax.jit(lambda weights, examples: own(weights, to_seen(examples)))

    def log_likelihood(examples: np.ndarray) -> np.ndarray:
        starts = reported("likelihoods", range(0, len(examples), _BOUNDED_TOGETHER))
        blocks = (examples[start : start + _BOUNDED_TOGETHER] for start in starts)
        return np.concatenate([np.asarray(of_block(weights, block)) for block in blocks])

    return log_likelihood


def _named_features(spec: str, dataset: Dataset, request: DataRequest) -> Features | None:
    """Features that are asked for, before anything that takes long; None where none are."""
    return FEATURES.build(spec, dataset, request) if spec else None


def _gathered(blocks: Iterable[np.ndarray], count: int, dataset: Dataset) -> np.ndarray:
    """Examples that come in blocks, as one array: of many, in a file that has no name."""
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
