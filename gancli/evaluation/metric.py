"""What a metric is: a function of generated examples and real ones, giving named figures."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from gancli.data import Dataset
from gancli.evaluation.evidence import Evaluated, Labelling
from gancli.evaluation.intervals import Interval
from gancli.registry import Registry

Side = Literal["lower", "higher"]
Figures = dict[str, float | Interval]


class Subject(NamedTuple):
    """What is to be measured: the training data, the name of the features, and the generator.

    `labels` says what its samples were asked to show: `asked` for classes of the data, `learned`
    for codes whose meaning training found, empty for nothing. `bounded` says whether it bounds
    the likelihood of examples, `likely` whether it has one, and `restores` whether its images are
    made of what is left of real ones.
    """

    data: Dataset
    features: str
    labels: Labelling = ""
    bounded: bool = False
    likely: bool = False
    restores: bool = False

    @property
    def compares(self) -> bool:
        """Whether features of the examples can be compared; tokens, which are names, have none."""
        return self.data.spec.kind != "tokens"


class Metric(NamedTuple):
    """A metric: whether it can be measured of a subject, and the figures by name.

    `better` tells, for the figures that rank generators, which side is the better one. One that
    is not `quick` trains something, and is measured only where it is asked for.
    """

    fits: Callable[[Subject], bool]
    measure: Callable[[Evaluated], Figures]
    better: Mapping[str, Side]
    quick: bool = True


METRICS = Registry("metric")


def side_of(name: str) -> Side | None:
    """Which side of a figure, `metric/figure`, is the better one; None if it ranks nothing.

    Raises:
        UserError: if there is no such metric.
    """
    metric, _, figure = name.partition("/")
    return METRICS.build(metric).better.get(figure)
