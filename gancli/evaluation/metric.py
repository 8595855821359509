"""The interface of a metric: a function from generated and real examples to named figures."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from gancli.data import Dataset
from gancli.evaluation.evidence import Evaluated, Labelling
from gancli.evaluation.intervals import Interval
from gancli.registry import Registry

Side = Literal["lower", "higher"]
Figures = dict[str, float | Interval]


class Subject(NamedTuple):
    """The subject of a measurement: the training data, the features, and the generator.

    `labels` is `asked` if its samples show requested classes of the data, `learned` if they show
    codes with a learned meaning, else empty. `bounded` says whether the generator bounds the
    likelihood of examples, `likely` whether it computes it, and `restores` whether it restores
    degraded real images.
    """

    data: Dataset
    features: str
    labels: Labelling = ""
    bounded: bool = False
    likely: bool = False
    restores: bool = False

    @property
    def compares(self) -> bool:
        """Whether features of the examples can be compared; tokens have none."""
        return self.data.spec.kind != "tokens"


class Metric(NamedTuple):
    """A metric: whether it fits a subject, and its figures by name.

    `better` gives the better side of figures that rank generators. A metric that is not `quick`
    trains something, and is measured only on request.
    """

    fits: Callable[[Subject], bool]
    measure: Callable[[Evaluated], Figures]
    better: Mapping[str, Side]
    quick: bool = True


METRICS = Registry("metric")


def side_of(name: str) -> Side | None:
    """The better side of a figure, `metric/figure`; None if it does not rank.

    Raises:
        UserError: if there is no such metric.
    """
    metric, _, figure = name.partition("/")
    return METRICS.build(metric).better.get(figure)
