"""Likelihoods: of real examples under a generator, and of samples under the true distribution."""

from typing import Annotated

import numpy as np

from gancli.evaluation.evidence import MOST_COMPARED, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.registry import Bounds


@METRICS.register("elbo", reference="arXiv:1312.6114; importance-weighted arXiv:1509.00519")
def elbo(draws: Annotated[int, Bounds(1, 100_000)] = 1) -> Metric:
    """The evidence lower bound of real examples, in nats, for generators with an encoder.

    E log (1/K) Σ p(x, z_k) / q(z_k | x), z_k drawn from q: with K = 1 the ELBO, and closer to
    log p(x) for larger K. It uses at most 10,000 examples of the split to compare with. With the
    Bernoulli likelihood it is comparable with published figures only for binarized images.

    Args:
        draws: K.

    Returns:
        The metric, with the figure `bound`, the mean over the examples.
    """

    def measure(evaluated: Evaluated) -> Figures:
        autoencoder = evaluated.autoencoder
        assert autoencoder is not None
        assert autoencoder.bound is not None
        rows = evaluated.real_rows(MOST_COMPARED)
        bounds = autoencoder.bound(evaluated.real.examples[rows], draws)
        return {"bound": evaluated.figure(np.mean, bounds)}

    def fits(subject: Subject) -> bool:
        return subject.bounded

    return Metric(fits, measure, {"bound": "higher"})


@METRICS.register("likelihood", reference="arXiv:1609.05473, section 4.2 (NLL_test)")
def likelihood() -> Metric:
    """The negative log-likelihood of real sequences under the generator, in nats.

    By teacher forcing, over at most 10,000 examples of the split to compare with; `--split test`
    measures held-out examples.

    Returns:
        The metric, with the figures `nll`, the mean per token, and `nll_sequence`, per sequence.
    """

    def measure(evaluated: Evaluated) -> Figures:
        assert evaluated.log_likelihood is not None
        rows = evaluated.real_rows(MOST_COMPARED)
        values = evaluated.log_likelihood(evaluated.real.examples[rows])
        return _of_sequences(evaluated, "nll", values)

    return Metric(
        lambda subject: subject.likely, measure, {"nll": "lower", "nll_sequence": "lower"}
    )


@METRICS.register("oracle", reference="arXiv:1609.05473, section 5.1 (NLL_oracle)")
def oracle() -> Metric:
    """The negative log-likelihood of samples under the true distribution, in nats.

    Over at most 10,000 samples, and as many real examples, whose figure a perfect generator
    reaches. A generator that writes only the likeliest sequences falls below it, so read it
    together with `likelihood` or the share of distinct n-grams.

    Returns:
        The metric, with the figures `nll`, the mean per token, `nll_sequence`, per sequence, and
        `real` and `real_sequence`, those of real examples.
    """

    def measure(evaluated: Evaluated) -> Figures:
        known = evaluated.data.log_likelihood
        assert known is not None
        generated = evaluated.generated[:MOST_COMPARED]
        rows = evaluated.real_rows(len(generated))
        return {
            **_of_sequences(evaluated, "nll", known(generated)),
            **_of_sequences(evaluated, "real", known(evaluated.real.examples[rows])),
        }

    return Metric(
        lambda subject: subject.data.log_likelihood is not None,
        measure,
        {"nll": "lower", "nll_sequence": "lower"},
    )


def _of_sequences(evaluated: Evaluated, name: str, log_likelihoods: np.ndarray) -> Figures:
    """The mean of -log p per token and per sequence, from values (n,)."""
    length = evaluated.data.spec.shape[0]
    return {
        name: evaluated.figure(np.mean, -log_likelihoods / length),
        f"{name}_sequence": evaluated.figure(np.mean, -log_likelihoods),
    }
