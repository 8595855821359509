"""What a metric is: a function of generated examples and real ones, giving named figures."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from gancli.data import Dataset
from gancli.evaluation.evaluated import Evaluated
from gancli.evaluation.intervals import Interval
from gancli.registry import Registry

Side = Literal["lower", "higher"]
Figures = dict[str, float | Interval]


class Metric(NamedTuple):
    """A metric: whether it can be measured, and the figures by name.

    `fits` takes the training data and the name of the features. `better` tells, for the
    figures that rank generators, which side is the better one. One that is not `quick` trains
    something, and is measured only where it is asked for.
    """

    fits: Callable[[Dataset, str], bool]
    measure: Callable[[Evaluated], Figures]
    better: Mapping[str, Side]
    quick: bool = True


METRICS = Registry("metric")
