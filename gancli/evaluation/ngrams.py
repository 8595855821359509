"""What sequences of tokens have in common: their n-grams."""

from typing import Annotated, NamedTuple

import numpy as np

from gancli.evaluation.evidence import MOST_COMPARED, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric
from gancli.registry import Bounds


class Counted(NamedTuple):
    """The n-grams of samples and of real examples, each of them as a number, (n, places)."""

    generated: np.ndarray
    real: np.ndarray


@METRICS.register("ngrams", reference="arXiv:1510.03055, section 5.2 (distinct); 1802.01886")
def ngrams(n: Annotated[int, Bounds(1, 64)] = 3) -> Metric:
    """How many n-grams of the samples differ, and how many of them are real.

    Of at most 10,000 samples and as many real examples, of the split that is compared with; only
    equal numbers compare. Of sequences shorter than n, the n-gram is the sequence.

    Args:
        n: consecutive tokens that are looked at.

    Returns:
        The metric, with the figures `distinct`, different n-grams by all n-grams of the samples,
        `distinct_real`, the same of real examples, `real`, the share of the samples' n-grams that
        occur in real examples, `found`, the share of the real examples' that occur in samples, and
        `different`, different sequences by all samples.
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
    """Numbers the n-grams of both, so that equal ones have the same number.

    Args:
        samples: (a, length) of whole numbers from 0 on.
        examples: (b, length).
        n: consecutive tokens; at most the length counts.

    Returns:
        Their n-grams, (a, length - n + 1) and (b, length - n + 1).
    """
    tokens = np.concatenate([samples, examples]).astype(np.int64)
    kinds = int(tokens.max()) + 1
    found = tokens
    for last in range(1, min(n, tokens.shape[1])):
        # One token longer, and numbered anew: so no number ever grows beyond its type.
        longer = found[:, :-1] * kinds + tokens[:, last:]
        numbers = np.unique(longer, return_inverse=True)[1]
        found = numbers.reshape(longer.shape)
    return Counted(found[: len(samples)], found[len(samples) :])


def _distinct(found: np.ndarray) -> float:
    return len(np.unique(found)) / found.size
