"""Fluctuations of the metrics since the last line: spikes of gradients, and rhythm of losses."""

from collections.abc import Sequence

import numpy as np

from gancli.training.monitors.monitor import as_figures

# Steps from which a rhythm can be told.
_FEWEST = 32
# Of a normal distribution: the standard deviation in median absolute deviations.
_DEVIATION = 1.4826


def fluctuations(names: Sequence[str], rows: np.ndarray) -> dict[str, float]:
    """Measures how the metrics of some steps fluctuate.

    Args:
        names: names of the columns, `player/quantity`.
        rows: (steps, metrics) float32.

    Returns:
        These figures, of which it leaves out what is not finite:

        - `PLAYER/gradient_spike`: the robust z-score of the largest gradient norm,
          (max - median) / (1.4826 · median absolute deviation);
        - `PLAYER/rhythm` and `PLAYER/period`: the share of the loss's variance, without its linear
          trend, at its strongest frequency, and one over that frequency, in steps.
    """
    figures: dict[str, float] = {}
    for name, values in zip(names, rows.T.astype(np.float64), strict=True):
        player, _, quantity = name.partition("/")
        if quantity == "gradient_norm":
            figures[f"{player}/gradient_spike"] = _spike(values)
        elif quantity == "loss" and len(values) >= _FEWEST:
            share, period = _rhythm(values)
            figures |= {f"{player}/rhythm": share, f"{player}/period": period}
    return as_figures(figures)


def _spike(values: np.ndarray) -> float:
    median = np.median(values)
    deviation = _DEVIATION * np.median(np.abs(values - median))
    return (values.max() - median) / deviation if deviation else np.nan


def _rhythm(values: np.ndarray) -> tuple[float, float]:
    """The strongest frequency's share of the power, and its period."""
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    trend = steps * (steps @ values) / (steps @ steps)
    # The mean has frequency 0, which is left out.
    power = np.abs(np.fft.rfft(values - trend))[1:] ** 2
    strongest = int(power.argmax())
    share = power[strongest] / power.sum() if np.ptp(values) else np.nan
    return share, len(values) / (strongest + 1)
