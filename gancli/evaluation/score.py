"""Figures from a classifier's predictions for generated examples: score and class divergence."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from gancli.errors import UserError


def classifier_score(posteriors: np.ndarray) -> float:
    """The confidence and variety of a classifier's predictions (formula of the Inception score).

    exp(mean over x of KL(p(y | x) ‖ p(y))), p(y) the mean of p(y | x). It is 1 if all predictions
    are equal, and the number of classes if each is certain and all classes are equally frequent.
    Scores of different classifiers are not comparable.

    Args:
        posteriors: (n, classes) probabilities, each row summing to 1.

    Returns:
        The score, from 1 to the number of classes.

    Source:
        arXiv:1606.03498, section 4.
    """
    posteriors = posteriors.astype(np.float64, copy=False)
    mean = posteriors.mean(axis=0)
    # A mean of probabilities above 0 that is 0 has underflowed: they count for nothing, too.
    return math.exp(_divergence(np.where(mean > 0, posteriors, 0.0), mean).mean())


def classifier_score_of_splits(
    posteriors_of: Callable[[slice], np.ndarray], count: int, splits: int = 10
) -> tuple[float, float]:
    """The classifier score as it is usually reported: over consecutive parts of the examples.

    The mean posterior of a part is closer to its own examples than the mean of all. So these
    scores are biased downwards, more so for smaller parts; only equal numbers are comparable. The
    deviation (divided by `splits`, not by one less, as published) is that of a part, and not a
    standard error of the mean.

    Args:
        posteriors_of: returns the posteriors of a slice of the examples, which are in random
            order: (rows, classes) probabilities, each row summing to 1.
        count: number of examples.
        splits: number of parts, whose sizes differ by at most one.

    Returns:
        Mean and standard deviation of the scores of the parts.

    Raises:
        UserError: if there are fewer examples than parts.

    Source:
        arXiv:1606.03498, section 4.
    """
    if not 1 <= splits <= count:
        raise UserError(f"{splits} splits of {count} examples", f"1 to {count} splits")
    bounds = [index * count // splits for index in range(splits + 1)]
    scores = [classifier_score(posteriors_of(slice(*ends))) for ends in pairwise(bounds)]
    return float(np.mean(scores)), float(np.std(scores))


def class_divergence(predicted: np.ndarray, reference: np.ndarray | None = None) -> float:
    """KL(predicted ‖ reference) of class frequencies, in nats.

    The sum of p ln(p / q), with p and q the shares of each class; an absent class adds nothing.
    For N predictions drawn from the reference itself, the mean is about (classes − 1) / 2N; a
    figure well below that is an error rather than better.

    Args:
        predicted: (classes,) counts or shares of the predicted classes.
        reference: the same of the real data; None for equal shares.

    Returns:
        The divergence, at least 0; infinite if a predicted class is absent from the reference.
    """
    p = predicted / predicted.sum()
    q = np.full(len(p), 1 / len(p)) if reference is None else reference / reference.sum()
    # Rounding can make the result of equal shares negative.
    return max(0.0, float(_divergence(p, q)))


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The sum of p ln(p / q) over the last axis, where 0 ln 0 is 0."""
    from scipy.special import rel_entr  # Here, because importing it is slow.

    return rel_entr(p, q).sum(axis=-1)
