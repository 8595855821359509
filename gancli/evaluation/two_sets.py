"""Metrics of two data sets, without a run: a folder of images, an .npz or a name on either side."""

import hashlib
import time

import numpy as np

from gancli.data import DataRequest, Dataset, load
from gancli.data.dataset import fixed_order
from gancli.errors import UserError, shown
from gancli.evaluation.draw_samples import labelled_as, labels_as
from gancli.evaluation.evaluator import (
    Answer,
    Question,
    fitting_metrics,
    named_features,
    report_of,
)
from gancli.evaluation.evidence import Drawn, Evaluated, default_features
from gancli.evaluation.metric import Metric, Subject
from gancli.features import FEATURES


def load_pair(real: str, generated: str, request: DataRequest) -> tuple[Dataset, Dataset]:
    """Loads two data sets that shall be compared; where one is in colour, grey becomes RGB.

    Args:
        real: name or path of the real examples.
        generated: name or path of what is measured.
        request: the size of the images of both, and the split of the real ones.

    Raises:
        UserError: if one cannot be read, or they do not have examples of one kind and shape.
    """
    first, second = load(real, request), load(generated, request._replace(split="train"))
    images = first.spec.kind == second.spec.kind == "image"
    if images and {first.spec.shape[-1], second.spec.shape[-1]} == {1, 3}:
        first, second = _in_colour(first), _in_colour(second)
    described = [
        (one.spec.kind, one.spec.shape, one.spec.bits, one.spec.vocabulary, one.spec.characters)
        for one in (first, second)
    ]
    if described[0] != described[1]:
        one, other = (
            f"examples of shape {shape} ({kind}{f' of {bits} bits' * (kind == 'image')})"
            for kind, shape, bits, *_ in described
        )
        raise UserError(
            f"{shown(real)} has {one}, and {shown(generated)} has {other}",
            "two sets of images of one size and as many bits, of points or of tokens",
            "Give images one size with --size; both are read with the same --keep",
        )
    return first, second


def metrics_of_pair(real: Dataset, generated: Dataset, question: Question) -> dict[str, Metric]:
    """The metrics of a question that need no generator.

    Raises:
        UserError: if one is unknown or does not fit.
    """
    features = FEATURES.entry(question.features or default_features(real)).name
    return fitting_metrics(Subject(real, features, labelled_as(real, generated)), question.metrics)


def compare_sets(
    real: Dataset, generated: Dataset, question: Question, request: DataRequest
) -> Answer:
    """Measures a data set against another one.

    Args:
        real: the examples to compare with.
        generated: the examples to measure, as if a generator had made them; their labels count
            where the real examples have the same.
        question: metrics, features, and the number of generated examples, chosen by a fixed
            permutation; None for all.
        request: what loaded the real examples.

    Returns:
        As `evaluate`, with `generated`, the set that was measured, in the place of `generator`.

    Raises:
        UserError: if a metric does not fit, there are fewer examples, or no metric gives a figure.
    """
    began, count = time.monotonic(), len(generated.examples)
    if question.samples and question.samples > count:
        raise UserError(
            f"--samples {question.samples}, but {shown(generated.spec.name)} has {count} examples",
            f"at most {count}",
        )
    chosen = metrics_of_pair(real, generated, question)
    features = named_features(question.features, real, request)
    rows = fixed_order(count)[: question.samples]
    drawn = Drawn(np.asarray(generated.examples[rows]), labels_as(real, generated, rows))
    evaluated = Evaluated(drawn, real, request, features=features, with_intervals=True)
    report = report_of(chosen, evaluated, request.split) | {
        "asked_features": question.features,
        "seconds": round(time.monotonic() - began, 1),
        "generated": {
            "name": generated.spec.name, "count": count, "fingerprint": generated.fingerprint
        },
    }  # fmt: skip
    return Answer(report, evaluated)


def _in_colour(dataset: Dataset) -> Dataset:
    """Images with three channels; grey ones are repeated."""
    *sides, own = dataset.spec.shape
    if own == 3:
        return dataset
    fingerprint = hashlib.sha256(f"{dataset.fingerprint} x 3".encode()).hexdigest()
    return dataset._replace(
        spec=dataset.spec._replace(shape=(*sides, 3)),
        examples=np.repeat(dataset.examples, 3, axis=-1),
        fingerprint=fingerprint,
    )
