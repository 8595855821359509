"""Metrics of the distance between the features of samples and of real examples."""

import math
from math import prod
from typing import Annotated

import numpy as np

from gancli.errors import UserError
from gancli.evaluation.distances import (
    frechet_distance,
    frechet_distance_at_infinity,
    kernel_distance,
    kernel_distance_of_subsets,
    sliced_wasserstein_distance,
)
from gancli.evaluation.evidence import Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.evaluation.moments import MOST_DIMENSIONS
from gancli.evaluation.neighbours import expected_coverage, overlap
from gancli.registry import Bounds


@METRICS.register("frechet", also="fid", reference="arXiv:1706.08500, equation 6")
def frechet(infinity: bool = False) -> Metric:
    """The Fréchet distance between Gaussians fitted to the features of samples and real examples.

    Uses unbiased covariances, all real examples and all samples. The distance is biased upwards by
    about c / samples, so only equal numbers are comparable. It is called FID only on Inception's
    features.

    Args:
        infinity: whether to extrapolate to infinitely many samples (arXiv:1911.07023), from at
            most 10,000.

    Returns:
        The metric, with the figure `distance`, called `fid` on Inception's features, and with
        `infinity` the figure `at_infinity`.
    """

    def measure(evaluated: Evaluated) -> Figures:
        features = evaluated.features
        if features.dimension > MOST_DIMENSIONS:
            raise UserError(
                f"the Fréchet distance of {features.dimension} features",
                f"at most {MOST_DIMENSIONS} features",
                "Choose other features, or the metric kernel",
            )
        real = evaluated.real_moments
        distance = frechet_distance(real, evaluated.generated_moments)
        figures: Figures = {"fid" if features.is_inception else "distance": distance}
        if infinity:
            figures["at_infinity"] = frechet_distance_at_infinity(real, evaluated.compared_features)
        return figures

    def fits(subject: Subject) -> bool:
        small = prod(subject.data.spec.shape) <= MOST_DIMENSIONS
        fitting = subject.features != "pixels" or small
        return subject.compares and len(subject.data.examples) > 1 and fitting

    return Metric(fits, measure, {"distance": "lower", "fid": "lower", "at_infinity": "lower"})


@METRICS.register("kernel", also="kid mmd", reference="arXiv:1801.01401, section 4")
def kernel(subsets: Annotated[int, Bounds(0, 10_000)] = 0) -> Metric:
    """The unbiased squared MMD of features, with the kernel (x·y / d + 1)³.

    Uses at most 10,000 samples and real examples. It is called KID only on Inception's features.

    Args:
        subsets: number of random subsets of 1,000 for an additional mean, as KID is often reported.

    Returns:
        The metric, with the figures `distance`, called `kid` on Inception's features, its
        `standard_error`, and with `subsets` also `subset_mean` and `subset_deviation`.
    """

    def measure(evaluated: Evaluated) -> Figures:
        real, generated = evaluated.real_features, evaluated.compared_features
        found = kernel_distance(real, generated)
        name = "kid" if evaluated.features.is_inception else "distance"
        figures: Figures = {name: found.distance}
        if not math.isnan(found.standard_error):
            figures["standard_error"] = found.standard_error
        if subsets:
            size = min(1000, len(real), len(generated))
            mean, deviation = kernel_distance_of_subsets(real, generated, subsets, size)
            figures |= {"subset_mean": mean, "subset_deviation": deviation}
        return figures

    def fits(subject: Subject) -> bool:
        return subject.compares and len(subject.data.examples) > 1

    return Metric(fits, measure, {"distance": "lower", "kid": "lower", "subset_mean": "lower"})


@METRICS.register("wasserstein", reference="arXiv:1710.10196, section 5")
def wasserstein(
    projections: Annotated[int, Bounds(1, 65_536)] = 256,
    order: Annotated[int, Bounds(1, 2)] = 2,
) -> Metric:
    """The sliced Wasserstein distance of features, over random directions of the unit sphere.

    Uses at most 10,000 samples and real examples.

    Args:
        projections: number of directions.
        order: order of the distance, 1 or 2.

    Returns:
        The metric, with the figure `distance`, in units of the features.
    """

    def measure(evaluated: Evaluated) -> Figures:
        real, generated = evaluated.real_features, evaluated.compared_features
        return {"distance": sliced_wasserstein_distance(real, generated, order, projections)}

    return Metric(lambda subject: subject.compares, measure, {"distance": "lower"})


@METRICS.register(
    "neighbours",
    also="density prdc precision recall",
    reference="arXiv:1904.06991; arXiv:2002.09797",
)
def neighbours(k: Annotated[int, Bounds(1, 1000)] = 5) -> Metric:
    """Improved precision and recall, density and coverage, by k nearest neighbours of features.

    Of at most 10,000 samples and real examples; only equal numbers compare. The intervals of
    precision and density are over samples, with these real examples held fixed; others would give
    other figures. Recall and coverage have none: their real examples are all held against the
    same samples.

    Args:
        k: the distance to the k-th neighbour is the radius of an example's neighbourhood.

    Returns:
        The metric, with the figures `precision`, `recall`, `density`, `coverage`, and
        `coverage_expected`, the coverage of equal distributions.
    """

    def measure(evaluated: Evaluated) -> Figures:
        real, generated = evaluated.real_features, evaluated.compared_features
        found = overlap(real, generated, k)

        return {
            "precision": evaluated.share(found.inside),
            "recall": float(found.recalled.mean()),
            "density": evaluated.figure(np.mean, found.densities),
            "coverage": float(found.covered.mean()),
            "coverage_expected": expected_coverage(len(real), len(generated), k),
        }

    def fits(subject: Subject) -> bool:
        return subject.compares and len(subject.data.examples) > k

    return Metric(
        fits,
        measure,
        dict.fromkeys(("precision", "recall", "density", "coverage"), "higher"),
    )
