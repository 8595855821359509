"""Motion of parameters: literal angles and lengths, and projections that keep distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.runs.resume_point import Projected
from gancli.training.monitors.motion import motion, projection


def test_straight_on_across_and_back():
    path = [(3.0, 0.0), (3.0, 1.0), (3.0, 3.0), (4.0, 3.0), (3.0, 3.0)]
    seen = [Projected(step, {"generator": place}) for step, place in enumerate(path)]
    found = [motion(seen[:step], now) for step, now in enumerate(seen)]
    assert found[0] == {}
    assert found[1] == {"generator/moved": pytest.approx(1 / 10**0.5, rel=1e-5)}
    turns = [one["generator/turn"] for one in found[2:]]
    assert turns == pytest.approx([0, 90, 180])


def test_what_stands_still_has_no_direction():
    still = [Projected(step, {"generator": (1.0, 2.0)}) for step in range(3)]
    assert motion(still[:2], still[2]) == {"generator/moved": 0}


@pytest.mark.parametrize("shape", [(61,), (4, 4, 64, 32), (1000, 7)])
def test_projections_keep_distances(shape):
    """E‖Sw‖² = ‖w‖², with a relative standard deviation of sqrt(2 / 61)."""
    draws = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    draws *= np.linspace(0, 3, shape[-1], dtype=np.float32)  # Channels of unlike sizes.
    found = np.array([projection({"kernel": jnp.asarray(one)}) for one in draws])
    ratios = (found**2).sum(axis=1) / (draws**2).reshape(20, -1).sum(axis=1)
    assert ratios.mean() == pytest.approx(1, abs=0.15)
    assert ratios.std() < 0.4


def test_a_projection_is_linear_and_tells_parameters_apart():
    one, other = (
        {"a": jax.random.normal(key, (30, 5)), "b": jax.random.normal(key, (7,))}
        for key in jax.random.split(jax.random.key(0))
    )
    both = jax.tree.map(jnp.add, one, other)
    np.testing.assert_allclose(projection(both), projection(one) + projection(other), rtol=1e-3)
    exchanged = {"a": one["a"], "b": one["b"][::-1]}
    assert not np.allclose(projection(exchanged), projection(one))
