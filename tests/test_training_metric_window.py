"""Metrics between lines, and their pace."""

import time

import numpy as np

from gancli.training.metric_window import MetricWindow

NOTHING = np.zeros((0, 0), np.float32)


def test_a_line_is_the_mean_since_the_line_before_to_six_digits():
    meter = MetricWindow(("a", "b"), np.array([[1, 0]], np.float32), 20)
    meter.add(np.array([[2, 1], [4, 1 / 3]], np.float32))
    assert meter.line() == {"a": 2.33333, "b": 0.444444}
    assert meter.line() == {"a": 2.33333, "b": 0.444444}
    meter.begin_line()
    assert meter.rows().shape == (0, 2)
    meter.add(np.array([[5, 5]], np.float32))
    assert meter.line() == {"a": 5.0, "b": 5.0}


def test_the_rate_leaves_out_what_was_not_timed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter = MetricWindow(("a",), NOTHING, 20)
    now[0] = 100.0
    meter.restart_clock()
    now[0] = 102.0
    meter.add(np.zeros((4, 1), np.float32))
    assert meter.pace == 0.5
    assert meter.rate() == 40.0
