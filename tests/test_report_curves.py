"""Learning curves: what is drawn, over which runs, in which window."""

from pathlib import Path

import numpy as np
import pytest

from gancli.report.charts import line_of
from gancli.report.curves import band_of, curve_charts, important, limits, step_text
from gancli.report.records import Record, Series


def series(*pairs):
    steps, values = zip(*pairs, strict=True)
    return Series(np.array(steps), np.array(values, float))


def record(**curves):
    held = {name.replace("__", "/"): values for name, values in curves.items()}
    return Record(Path("x"), None, {}, held, (), {}, ())


def test_the_mean_of_the_runs_that_have_a_step():
    """At 20 only the first: the others diverged."""
    runs = [series((0, 1), (10, 2), (20, 6)), series((0, 3), (10, 8)), series((0, 8), (10, 8))]
    band = band_of(runs)
    assert band.steps.tolist() == [0, 10, 20]
    assert band.mean.tolist() == [4, 6, 6]
    assert band.low.tolist() == [1, 2, 6]
    assert band.high.tolist() == [8, 8, 6]


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    band = band_of([series(*((step, step) for step in range(1000)))])
    assert len(band.steps) == 200
    assert (band.steps[0], band.mean[-1]) == (0, 999)


def test_losses_then_norms_then_evaluations():
    names = ["evaluation/classes/found", "evaluation/labels/accuracy/3", "discriminator/loss"]
    names += ["discriminator/accuracy/real", "generator/gradient_norm", "generator/loss"]
    assert important(names) == [
        "generator/loss",
        "discriminator/loss",
        "generator/gradient_norm",
        "evaluation/classes/found",
    ]


def test_a_window_leaves_out_a_few_values_far_away():
    """0 to 1 with a twentieth on each side; 1e6 is further off than 0 and 1 are apart."""
    values = np.array([0.0, 1.0] * 50 + [1e6])
    assert limits(values) == pytest.approx((-0.05, 1.05, False))


def test_positive_values_far_apart_go_by_factors():
    assert limits(np.array([0.5, 20.0, 80.0])) == pytest.approx((0.5 / 1.3, 80 * 1.3, True))
    assert limits(np.array([-0.5, 20.0, 80.0]))[2] is False


@pytest.mark.parametrize("value", [0.0, -3.0, 1e30])
def test_one_value_has_a_window(value):
    low, high, _ = limits(np.array([value] * 3))
    assert low < value < high


def test_steps_are_said_shortly():
    steps = (0, 500, 2500, 10_000, 200_000, 1_500_000)
    assert [step_text(step) for step in steps] == ["0", "500", "2.5k", "10k", "200k", "1.5M"]


def test_a_chart_for_each_metric_and_a_line_for_each_variant():
    variants = {
        "a": [record(generator__loss=series((0, 1), (9, 2))), record()],
        "b": [record(generator__loss=series((0, 3), (9, 4)), critic__loss=series((5, 1)))],
        "c": [record()],
    }
    charts, left = curve_charts(variants)
    assert [chart.title for chart in charts] == ["generator/loss", "critic/loss"]
    assert left == ""
    svg = charts[0].svg
    assert [line_of(place).colour in svg for place in range(3)] == [True, True, False]
    assert ">2</text>" in svg  # The number of b at the end of its line.
    assert line_of(0).colour not in charts[1].svg


def test_values_beyond_the_window_are_said():
    wild = series(*((step, step % 2) for step in range(100)), (100, -1e6))
    (chart,), _ = curve_charts({"a": [record(generator__loss=wild)]})
    assert chart.note == "Some values lie outside the chart."


def test_too_many_metrics_are_named():
    many = {f"evaluation/m/{i:02d}": series((0, i)) for i in range(27)}
    many = {name.replace("/m/", "/m"): values for name, values in many.items()}
    charts, left = curve_charts({"a": [record(**many)]})
    assert len(charts) == 16
    names = ", ".join(f"evaluation/m{i}" for i in range(16, 24))
    assert left == f"Left out: {names} and 3 more."
