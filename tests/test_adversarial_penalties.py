"""Penalties: closed forms on a linear critic D(x) = w·x."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from gancli.adversarial.penalties import PENALTIES, Penalty, build_penalty
from gancli.registry import parse_spec

WEIGHTS = jnp.float32([3.0, 4.0])  # of norm 5
REAL = jnp.float32([[1.0, 2.0], [0.5, -1.0], [0.0, 0.0]])
STEP = jnp.int32(3)
FAKE = jnp.float32([[0.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
# ‖w‖ = 5: two-sided 10 (5 - 1)²; γ/2 ‖w‖² = 5 · 25; drift ε D(x)² with D = 11, -2.5, 0;
# k ‖w‖^6 = 2 · 15625.
CLOSED_FORMS = {
    "gradient-penalty": [160.0, 160.0, 160.0],
    "gradient-penalty:weight=1,target=0": [25.0, 25.0, 25.0],
    "gradient-penalty:sided=one": [160.0, 160.0, 160.0],
    "gradient-penalty:sided=one,target=6": [0.0, 0.0, 0.0],
    "gradient-penalty:sided=two,target=6": [10.0, 10.0, 10.0],
    "r1": [125.0, 125.0, 125.0],
    "r2:weight=2": [25.0, 25.0, 25.0],
    "dragan": [160.0, 160.0, 160.0],
    "dragan:noise=normal,spread=10": [160.0, 160.0, 160.0],
    "drift:weight=0.1": [12.1, 0.625, 0.0],
    "wgan-div": [31250.0, 31250.0, 31250.0],
}


def critic(examples):
    return examples.reshape(len(examples), -1) @ WEIGHTS


@pytest.mark.parametrize("spec", CLOSED_FORMS)
def test_closed_form_on_a_linear_critic(spec):
    value = build_penalty(spec).penalty(critic, REAL, FAKE, jax.random.key(0), STEP)
    np.testing.assert_allclose(value, CLOSED_FORMS[spec], rtol=1e-5, atol=1e-6)


# Weights fall from 10 to 2 in the four steps from 2 on: γ/2 · 25 and λ (5 - 1)²; slopes are pulled
# to 0, 2.5 and 5: (5 - t)².
@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("r1:weight=(linear:initial=10,final=2,begin=2,steps=4)", {0: 125, 4: 75, 6: 25, 9: 25}),
        ("dragan:weight=(linear:initial=10,final=2,begin=2,steps=4)", {2: 160, 4: 96, 6: 32}),
        ("gradient-penalty:target=(linear:initial=0,final=5,steps=2),weight=1",
         {0: 25, 1: 6.25, 2: 0}),
    ],
)  # fmt: skip
def test_what_is_scheduled_has_its_value_at_the_step(spec, values):
    penalty = jax.jit(lambda step: build_penalty(spec).penalty(
        critic, REAL, FAKE, jax.random.key(0), step))  # fmt: skip
    for step, value in values.items():
        np.testing.assert_allclose(penalty(jnp.int32(step)), [value] * 3, rtol=1e-5)


def test_a_penalty_sees_the_step(monkeypatch):
    monkeypatch.setattr(PENALTIES, "_entries", dict(PENALTIES._entries))

    @PENALTIES.register("late", reference="a test")
    def late() -> Penalty:
        """Counts the steps."""
        return lambda critic, real, fake, key, step: jnp.full(len(real), step)

    counted = build_penalty("late").penalty(critic, REAL, FAKE, jax.random.key(0), STEP)
    np.testing.assert_array_equal(counted, [3, 3, 3])


@pytest.mark.parametrize(
    ("value", "given", "allowed"),
    [
        ("(linear:initial=2e6)", ("weight", "'r1'", "2000000"), ("0", "1,000,000")),
        ("(linear:initial=1,final=-1)", ("weight", "'r1'", "-1"), ("0", "1,000,000")),
        ("(lineal:initial=1)", ("weight", "'r1'", "'lineal'"), "linear"),
        ("linear:initial=1", ("weight", "'r1'", "'linear:initial=1'"), "parentheses"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(value, given, allowed):
    with refused(*given, allowed=allowed):
        build_penalty(f"r1:weight={value}")


def test_every_penalty_has_a_closed_form_here():
    covered = {parse_spec(spec).name for spec in CLOSED_FORMS}
    assert covered == set(PENALTIES.names()) - {"consistency"}


def test_consistency_on_a_critic_that_sees_one_pixel():
    """A flip moves the left pixel's value 2 to the right: (D(x) - D(T(x)))² is 4 or 0."""
    images = jnp.zeros((64, 2, 2, 1)).at[:, 0, 0, 0].set(2.0)
    penalty = build_penalty("consistency:real_weight=1,fake_weight=100,augment=flip").penalty
    blank = jnp.zeros_like(images)
    value = penalty(lambda x: x[:, 0, 0, 0], images, blank, jax.random.key(0), STEP)
    assert set(np.asarray(value).tolist()) == {0.0, 4.0}
    assert 16 < float((value == 4).sum()) < 48


@pytest.mark.parametrize("name", PENALTIES.names())
def test_every_penalty_gives_a_finite_value_and_gradient_for_each_example(name):
    """Also for a critic without any slope, where a norm's derivative is not defined."""
    applied = build_penalty(name)
    assert (applied.name, applied.every) == (name, 1)
    real = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    fake = jax.random.normal(jax.random.key(2), (4, 8, 8, 1))

    def total(scale):
        values = applied.penalty(
            lambda x: scale * jnp.tanh(x).sum((1, 2, 3)), real, fake, jax.random.key(3), STEP
        )
        assert values.shape == (4,)
        return values.sum()

    for scale in (0.0, 0.3):
        value, slope = jax.value_and_grad(total)(scale)
        assert np.isfinite(value)
        assert np.isfinite(slope)


def test_interval_is_an_option_of_every_penalty():
    assert build_penalty("r1:weight=3,every=16").every == 16
    with refused("every", "'r1'", "'0'", allowed=("1", "1,000,000")):
        build_penalty("r1:every=0")


def test_interpolates_lie_between_pairs():
    """D(x) = x²/2 has the slope |x|: between 1 and 3 the gradient penalty is (x - 1)² there."""
    real, fake = jnp.ones((1000, 1)), jnp.full((1000, 1), 3.0)
    penalty = build_penalty("gradient-penalty:weight=1").penalty
    value = penalty(lambda x: 0.5 * (x**2)[:, 0], real, fake, jax.random.key(0), STEP)
    assert 0 <= float(value.min()) < 0.01
    assert 3.9 < float(value.max()) <= 4
    assert float(value.mean()) == pytest.approx(4 / 3, abs=0.15)


def neighbourhood(**options):
    """How far from real examples DRAGAN looks at a critic, (examples, 2); their deviation is 1.

    The slope of D(x) = ½ x_i² is x_i, so that the penalty without a target is its square there.
    """
    real = jnp.tile(jnp.float32([99, 101]), (20_000, 1))
    values = ",".join(f"{name}={value}" for name, value in options.items())
    penalty = build_penalty(f"dragan:weight=1,target=0,{values}").penalty
    squares = [
        penalty(lambda x, i=i: 0.5 * x[:, i] ** 2, real, real, jax.random.key(0), STEP)
        for i in range(2)
    ]
    return np.sqrt(np.stack(squares, axis=1)) - np.asarray(real)


def test_dragan_looks_where_its_authors_code_does():
    """α ½ s u: half of it is at most ½, α is one for an example, and E α u = ¼, E (α u)² = 1/9.

    The two values of an example share α alone: E (α u)(α u') = 1/3 · 1/4.
    """
    moved = 2 * neighbourhood(spread=0.5)
    assert moved.min() >= -1e-4
    assert 0.98 < moved.max() <= 1.0001
    np.testing.assert_allclose(moved.mean(), 1 / 4, atol=0.005)
    np.testing.assert_allclose((moved**2).mean(), 1 / 9, atol=0.005)
    np.testing.assert_allclose(moved.prod(axis=1).mean(), 1 / 12, atol=0.005)


def test_dragan_looks_where_its_paper_does():
    """δ ~ N(0, c I), c = 4."""
    moved = neighbourhood(noise="normal", spread=4)
    np.testing.assert_allclose(moved.mean(), 0, atol=0.04)
    np.testing.assert_allclose(moved.std(), 2, atol=0.04)
    np.testing.assert_allclose(np.corrcoef(moved.T)[0, 1], 0, atol=0.03)
