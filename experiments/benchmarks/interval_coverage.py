"""How often intervals of a mean over few seeds hold the true mean: Student's and the bootstrap's.

    python experiments/benchmarks/interval_coverage.py

Draws samples of 3, 5, 10 and 20 normal and lognormal values, seed 0, and prints the share of
them whose interval of nominally 95 % holds the mean: Student's, that of percentiles of the
bootstrap, and the studentized bootstrap's.
"""

from collections.abc import Callable

import numpy as np

from gancli.comparison.statistics import LEVEL, mean_interval

SAMPLES = 1500
RESAMPLES = 1000
COUNTS = (3, 5, 10, 20)
DEVIATION = 0.5  # Of the logarithm of a lognormal value, whose mean is exp(DEVIATION² / 2).
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)

Draw = Callable[[np.random.Generator, int], np.ndarray]
FIGURES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda generator, count: generator.normal(size=count), 0.0),
    "lognormal": (
        lambda generator, count: generator.lognormal(0.0, DEVIATION, count),
        float(np.exp(DEVIATION**2 / 2)),
    ),
}


def bootstrap_intervals(
    values: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of percentiles, and the studentized one (Efron and Tibshirani, chapter 12)."""
    count = len(values)
    drawn = values[generator.integers(0, count, (RESAMPLES, count))]
    means, errors = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / np.sqrt(count)
    differ = errors > 0
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(count)
    low, high = np.quantile((means[differ] - mean) / errors[differ], TAILS)
    return np.quantile(means, TAILS), np.array([mean - high * error, mean - low * error])


def main() -> None:
    generator = np.random.default_rng(0)
    for figure, (draw, true) in FIGURES.items():
        for count in COUNTS:
            held = np.zeros(3)
            for _ in range(SAMPLES):
                values = draw(generator, count)
                own = mean_interval(values.tolist())
                ends = [(own.low, own.high), *bootstrap_intervals(values, generator)]
                held += [low <= true <= high for low, high in ends]
            shares = zip(("Student", "percentiles", "studentized"), held / SAMPLES, strict=True)
            shown = ", ".join(f"{name} {share:.3f}" for name, share in shares)
            print(f"{figure}, n = {count}: {shown}")


if __name__ == "__main__":
    main()
