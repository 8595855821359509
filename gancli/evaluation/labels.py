"""Whether samples show the requested labels, class by class."""

import math

import numpy as np

from gancli.evaluation.distances import frechet_distance
from gancli.evaluation.evidence import MOST_CLASSES_SHOWN, MOST_COMPARED, Evaluated
from gancli.evaluation.metric import METRICS, Figures, Metric, Subject
from gancli.evaluation.moments import MOST_DIMENSIONS, Moments

# Examples per block of the variance.
_VARIED_TOGETHER = 64


@METRICS.register("labels", reference="arXiv:1802.05637, section 4 (intra FID); 1606.03657")
def labels() -> Metric:
    """Whether samples show the requested label, by a classifier fitted to real data.

    A code with a learned meaning stands for a class: the best one-to-one matching of codes and
    classes.

    Returns:
        The metric, with the figures `accuracy` (share of samples whose predicted class is the
        requested one), `smallest_accuracy` (of the worst class), `variety` (the deviation of
        values among samples of one label or code over that among real examples of one label: near
        0 if the generator ignores the noise), and `intra_frechet` (the mean over the classes of
        the Fréchet distance between the features of samples and of real examples of a class).
        `intra_frechet` uses at most 10,000 samples and real examples and at most 4,096 features,
        and only classes with more of both than there are features. For up to 20 classes also
        `accuracy/CLASS` and `frechet/CLASS`.
    """

    def measure(evaluated: Evaluated) -> Figures:
        asked, names = evaluated.asked, evaluated.data.spec.classes
        assert asked is not None
        read = evaluated.classes
        if asked.kind == "learned":
            wanted = matched_classes(asked.labels, read, asked.classes, len(names))[asked.labels]
        else:
            wanted = asked.labels
        found = read == wanted
        classes = [int(k) for k in np.unique(wanted[wanted >= 0])]
        shares = {k: float(found[wanted == k].mean()) for k in classes}
        figures: Figures = {
            "accuracy": evaluated.share(found),
            "smallest_accuracy": min(shares.values()),
        }
        rows, labels = evaluated.real_rows(MOST_COMPARED), evaluated.real.labels
        assert labels is not None
        if usual := deviation_within(evaluated.real.examples, np.asarray(labels), rows):
            rows = np.arange(min(len(read), MOST_COMPARED))
            figures["variety"] = deviation_within(evaluated.generated, asked.labels, rows) / usual
        if len(names) <= MOST_CLASSES_SHOWN:
            figures |= {f"accuracy/{names[k]}": share for k, share in shares.items()}
        if distances := _distances_within(evaluated, wanted):
            figures["intra_frechet"] = float(np.mean(list(distances.values())))
        if len(names) <= MOST_CLASSES_SHOWN:
            figures |= {f"frechet/{names[k]}": own for k, own in distances.items()}
        return figures

    def fits(subject: Subject) -> bool:
        return bool(subject.labels) and subject.data.spec.classifiable

    return Metric(
        fits,
        measure,
        {"accuracy": "higher", "smallest_accuracy": "higher", "intra_frechet": "lower"},
    )


def matched_classes(codes: np.ndarray, read: np.ndarray, count: int, classes: int) -> np.ndarray:
    """Matches each code to a class so that the most samples agree.

    Args:
        codes: codes of the samples, (n,) below `count`.
        read: predicted classes of the samples, (n,) below `classes`.
        count: number of codes.
        classes: number of classes.

    Returns:
        (count,) int64, -1 for a code without a class (Kuhn's assignment, no class twice).
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((count, classes), np.int64)
    np.add.at(table, (codes, read), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = np.full(count, -1, np.int64)
    matched[rows] = columns
    return matched


def deviation_within(examples: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float:
    """The deviation within labels: the root of the mean variance of a value within a label.

    Args:
        examples: (n, ...).
        labels: (n,).
        rows: the rows to use.

    Returns:
        The deviation, with labels weighted by their numbers of examples.
    """
    total = 0.0
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        sums, squares = np.zeros(examples.shape[1:]), np.zeros(examples.shape[1:])
        for start in range(0, len(own), _VARIED_TOGETHER):
            part = np.asarray(examples[own[start : start + _VARIED_TOGETHER]], np.float64)
            sums += part.sum(axis=0)
            squares += (part**2).sum(axis=0)
        total += float((squares - sums**2 / len(own)).mean())
    return math.sqrt(max(0.0, total / len(rows)))


def _distances_within(evaluated: Evaluated, wanted: np.ndarray) -> dict[int, float]:
    """The Fréchet distance within each class that has enough examples."""
    dimension = evaluated.features.dimension
    if dimension > MOST_DIMENSIONS:
        return {}
    rows = evaluated.real_rows(len(evaluated.real_features))
    own_labels = evaluated.real.labels
    assert own_labels is not None
    real_labels = np.asarray(own_labels)[rows]
    generated = evaluated.compared_features
    distances = {}
    for label in np.unique(real_labels):
        real = evaluated.real_features[real_labels == label]
        own = generated[wanted[: len(generated)] == label]
        if min(len(real), len(own)) > dimension:
            moments = (Moments.of([part]) for part in (real, own))
            distances[int(label)] = frechet_distance(*moments)
    return distances
