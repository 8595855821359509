"""n-grams of token sequences."""

from typing import Annotated, NamedTuple

import numpy as np

from gancli.evaluation.evidence import MOST_COMPARED, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.registry import Bounds


class Counted(NamedTuple):
    """The n-grams of samples and real examples, numbered, (n, positions)."""

    generated: np.ndarray
    real: np.ndarray


@METRICS.register("ngrams", reference="arXiv:1510.03055, section 5.2 (distinct); 1802.01886")
def ngrams(n: Annotated[int, Bounds(1, 64)] = 3) -> Metric:
    """Shares of distinct n-grams in the samples, and of n-grams shared with real examples.

    Uses at most 10,000 samples and as many real examples of the split to compare with; only equal
    numbers are comparable. For sequences shorter than n, the n-gram is the sequence.

    Args:
        n: number of consecutive tokens.

    Returns:
        The metric, with the figures `distinct` (distinct n-grams over all n-grams of the samples),
        `distinct_real` (the same of real examples), `real` (the share of the samples' n-grams that
        occur in real examples), `found` (the share of the real examples' n-grams that occur in
        samples) and `different` (distinct sequences over all samples).
    """

    def measure(evaluated: Evaluated) -> Figures:
        samples = np.asarray(evaluated.generated[:MOST_COMPARED])
        examples = np.asarray(evaluated.real.examples[evaluated.real_rows(len(samples))])
        counted = count_ngrams(samples, examples, n)
        whole = count_ngrams(samples, examples, samples.shape[1]).generated
        return {
            "distinct": _distinct(counted.generated),
            "distinct_real": _distinct(counted.real),
            "real": float(np.isin(counted.generated, counted.real).mean()),
            "found": float(np.isin(counted.real, counted.generated).mean()),
            "different": _distinct(whole),
        }

    return Metric(
        lambda subject: subject.data.spec.kind == "tokens",
        measure,
        {"real": "higher", "found": "higher"},
    )


def count_ngrams(samples: np.ndarray, examples: np.ndarray, n: int) -> Counted:
    """Numbers the n-grams of both sets, so that equal n-grams have the same number.

    Args:
        samples: (a, length) of whole numbers from 0 on.
        examples: (b, length).
        n: number of consecutive tokens, limited to the length.

    Returns:
        Their n-grams, (a, length - n + 1) and (b, length - n + 1).
    """
    tokens = np.concatenate([samples, examples]).astype(np.int64)
    kinds = int(tokens.max()) + 1
    found = tokens
    for last in range(1, min(n, tokens.shape[1])):
        # Extended by one token and renumbered, so that numbers never overflow.
        longer = found[:, :-1] * kinds + tokens[:, last:]
        numbers = np.unique(longer, return_inverse=True)[1]
        found = numbers.reshape(longer.shape)
    return Counted(found[: len(samples)], found[len(samples) :])


def _distinct(found: np.ndarray) -> float:
    return len(np.unique(found)) / found.size
