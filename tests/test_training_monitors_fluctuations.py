"""Fluctuations of metrics: literal values of series that are known."""

import numpy as np
import pytest

from gancli.training.monitors.fluctuations import fluctuations

STEPS = np.arange(64)


def of(quantity, values) -> dict[str, float]:
    return fluctuations([f"critic/{quantity}"], np.float32(values)[:, None])


def test_a_spike_is_so_many_deviations_above_the_median():
    """Half of 0 to 8 lie within 2 of their median 4; 1.4826 times that is one deviation."""
    found = of("gradient_norm", [*range(8), 100])
    assert found == {"critic/gradient_spike": pytest.approx(96 / (1.4826 * 2), rel=1e-5)}


def test_equal_norms_have_no_spike():
    assert of("gradient_norm", [1.0] * 50) == {}


def test_a_wave_is_all_rhythm_whatever_the_trend():
    found = of("loss", np.sin(2 * np.pi * STEPS / 16))
    assert found["critic/period"] == 16
    assert found["critic/rhythm"] > 0.95
    drifting = of("loss", 0.5 * STEPS + np.sin(2 * np.pi * STEPS / 16))
    assert drifting["critic/rhythm"] > 0.9


def test_noise_has_little_rhythm():
    """The greatest of 32 exponential variables has (ln 32 + 0.58) / 32 = 0.13 of their sum."""
    shares = [
        of("loss", np.random.default_rng(seed).normal(size=64))["critic/rhythm"]
        for seed in range(20)
    ]
    assert 0.08 < np.mean(shares) < 0.2


@pytest.mark.parametrize("values", [[1.0] * 64, [1.0, 2.0] * 10])
def test_constant_or_few_losses_have_no_rhythm(values):
    assert "critic/rhythm" not in of("loss", values)
