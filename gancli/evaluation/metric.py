"""What a metric is: a function of generated examples and the data set, giving named figures."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from gancli.data import Dataset
from gancli.registry import Registry

Side = Literal["lower", "higher"]


class Evaluated(NamedTuple):
    """What a metric looks at.

    `generated` holds examples as they are stored (images uint8, points float32); `data` the
    real ones.
    """

    generated: np.ndarray
    data: Dataset


class Metric(NamedTuple):
    """A metric: whether a data set has what it needs, and the figures by name.

    `better` tells, for the figures that rank generators, which side is the better one.
    """

    fits: Callable[[Dataset], bool]
    measure: Callable[[Evaluated], dict[str, float]]
    better: Mapping[str, Side]


METRICS = Registry("metric")
