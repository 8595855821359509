"""Optimizers, schedules, gradient clipping and averages, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.optimizers import OPTIMIZERS, SCHEDULES, average_decay, build_optimizer
from gancli.config import AverageSettings, OptimizerSettings


def directions(gradients, weight=2.0, **settings):
    """The directions that an optimizer gives to a sequence of gradients of one weight."""
    optimizer = build_optimizer(OptimizerSettings(**settings))
    params = jnp.float32(weight)
    state, given = optimizer.direction.init(params), []
    for gradient in gradients:
        direction, state = optimizer.direction.update(jnp.float32(gradient), state, params)
        given.append(float(direction))
    return given


# Adam, β = (0.5, 0.75): gradient 2 then 4. m = 1, 2.5; m̂ = 2, 10/3; v = 1, 4.75; v̂ = 4,
# 4.75/0.4375 = 10.857: directions 1 and 3.3333/3.29502 = 1.011628. AdamW adds 0.1 · 2. The
# optimistic ones give the first as it is, then twice the second less the first.
# RMSProp, decay 0.75: ν = 1, 4.75: 2/1 and 4/2.179449.
BETAS = {"beta1": 0.5, "beta2": 0.75}
BY_HAND = {
    "adam": ({**BETAS}, [1.0, 1.011628]),
    "adamw": ({**BETAS, "weight_decay": 0.1}, [1.2, 1.211628]),
    "rmsprop": ({"beta2": 0.75}, [2.0, 1.835326]),
    "sgd": ({}, [2.0, 4.0]),
    "optimistic-adam": ({**BETAS}, [1.0, 1.023256]),
    "optimistic-sgd": ({}, [2.0, 6.0]),
}


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_by_hand(name):
    settings, expected = BY_HAND[name]
    assert directions([2.0, 4.0], name=name, **settings) == pytest.approx(expected, rel=1e-5)


def test_momentum_of_gradient_descent():
    assert directions([2.0, 4.0], name="sgd", momentum=0.5) == pytest.approx([2.0, 5.0])


def test_gradient_is_clipped_before_anything_else():
    given = directions([30.0, -4.0, 0.5], name="sgd", clip_norm=2.0)
    assert given == pytest.approx([2.0, -2.0, 0.5])


# Rate 0.4; warm-up over 4 steps: (step + 1) / 4; decay from 10 over 20.
@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 0.1, 3: 0.4, 10: 0.4, 20: 0.4, 30: 0.4, 99: 0.4}),
        ("linear", {0: 0.1, 3: 0.4, 10: 0.4, 20: 0.2, 25: 0.1, 30: 0.0, 99: 0.0}),
        ("cosine", {0: 0.1, 3: 0.4, 10: 0.4, 20: 0.2, 15: 0.341421, 30: 0.0, 99: 0.0}),
        ("step", {0: 0.1, 3: 0.4, 9: 0.4, 10: 0.04, 30: 0.04, 99: 0.04}),
        ("step:factor=0.5", {9: 0.4, 10: 0.2, 99: 0.2}),
    ],
)
def test_learning_rate_at_steps(schedule, rates):
    optimizer = build_optimizer(
        OptimizerSettings(
            learning_rate=0.4, schedule=schedule, warmup_steps=4, decay_start=10, decay_steps=20
        )
    )
    for step, rate in rates.items():
        assert float(optimizer.learning_rate(jnp.int32(step))) == pytest.approx(rate, abs=1e-6)


def test_every_schedule_has_rates_above():
    assert set(SCHEDULES.names()) == {"constant", "linear", "cosine", "step"}


def test_average_ramps_up_to_its_decay():
    decay = average_decay(AverageSettings(decay=0.9))
    steps = {0: 0.1, 8: 0.5, 80: 0.9, 10**6: 0.9}
    for step, value in steps.items():
        assert float(decay(jnp.int32(step))) == pytest.approx(value)
    flat = average_decay(AverageSettings(decay=0.9, rampup=False))
    np.testing.assert_allclose([flat(jnp.int32(step)) for step in steps], 0.9, rtol=1e-6)
