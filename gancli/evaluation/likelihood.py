"""How likely a generator that bounds it finds real examples."""

from typing import Annotated

import numpy as np

from gancli.evaluation.evaluated import MOST_COMPARED, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.registry import Bounds


@METRICS.register("elbo", reference="arXiv:1312.6114; importance-weighted arXiv:1509.00519")
def elbo(draws: Annotated[int, Bounds(1, 100_000)] = 1) -> Metric:
    """The evidence lower bound of real examples, in nats, for generators with an encoder.

    E log (1/K) Σ p(x, z_k) / q(z_k | x), z_k drawn from q: with K = 1 the ELBO, and nearer to
    log p(x) the larger K is. Of at most 10,000 examples of the split that is compared with. With
    the Bernoulli likelihood it compares with published figures only for binarized images.

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
