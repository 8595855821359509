"""Optimizers, their schedules, gradient clipping and averages, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.optimizers import OPTIMIZERS, build_average, build_optimizer
from gancli.config import AverageSettings, OptimizerSettings


def directions(gradients, weight=2.0, **settings):
    """The directions that an optimizer gives to a sequence of gradients of one weight."""
    optimizer = build_optimizer(OptimizerSettings(**settings))
    params = jnp.float32(weight)
    state, given = optimizer.direction(0).init(params), []
    for step, gradient in enumerate(gradients):
        present = optimizer.direction(jnp.int32(step))
        direction, state = present.update(jnp.float32(gradient), state, params)
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


# Six steps down ½ Σ c w² from w = 1 by PyTorch 2.13.0's optimizers: the settings here, those there,
# and the weights at the end. The first gradient is above ε = 1e-8 and far below √ε.
CURVATURES = (1e-7, 1.0, 30.0)
BETAS_OF_BOTH = {"beta1": 0.5, "beta2": 0.9}
OF_PYTORCH = {
    "adam": (
        {"name": "adam", **BETAS_OF_BOTH},
        ("Adam", {"betas": (0.5, 0.9)}),
        [0.94580275, 0.94034743, 0.94034743],
    ),
    "adamw": (
        {"name": "adamw", **BETAS_OF_BOTH, "weight_decay": 0.1},
        ("AdamW", {"betas": (0.5, 0.9), "weight_decay": 0.1}),
        [0.93999231, 0.93454719, 0.93454719],
    ),
    "rmsprop": (
        {"name": "rmsprop", "beta2": 0.9},
        ("RMSprop", {"alpha": 0.9}),
        [0.90248001, 0.8815248, 0.8815248],
    ),
    "sgd": ({"name": "sgd"}, ("SGD", {}), [1.0, 0.94148022, 0.117649]),
    "sgd with momentum": (
        {"name": "sgd", "momentum": 0.5},
        ("SGD", {"momentum": 0.5}),
        [1.0, 0.90277678, -0.12917599],
    ),
}


def trained(**settings):
    """The weights after six steps down ½ Σ c w² from 1."""
    optimizer = build_optimizer(OptimizerSettings(**settings))
    curvatures = jnp.float32(CURVATURES)
    weights = jnp.ones(3)
    state = optimizer.direction(0).init(weights)
    for step in range(6):
        present = optimizer.direction(jnp.int32(step))
        direction, state = present.update(curvatures * weights, state, weights)
        weights = weights - optimizer.learning_rate(step) * direction
    return np.asarray(weights)


@pytest.mark.parametrize("settings", OF_PYTORCH)
def test_six_steps_are_those_of_pytorch(settings):
    options, _, expected = OF_PYTORCH[settings]
    np.testing.assert_allclose(trained(learning_rate=0.01, **options), expected, rtol=2e-6)


@pytest.mark.parametrize("settings", OF_PYTORCH)
def test_figures_of_pytorch_are_what_it_computes(settings):
    torch = pytest.importorskip("torch")
    _, (name, options), expected = OF_PYTORCH[settings]
    weights = torch.ones(3, requires_grad=True)
    optimizer = getattr(torch.optim, name)([weights], lr=0.01, **options)
    for _ in range(6):
        optimizer.zero_grad()
        (0.5 * torch.tensor(CURVATURES) * weights**2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=2e-6)


def test_momentum_of_gradient_descent():
    assert directions([2.0, 4.0], name="sgd", momentum=0.5) == pytest.approx([2.0, 5.0])


def test_gradient_is_clipped_before_anything_else():
    given = directions([30.0, -4.0, 0.5], name="sgd", clip_norm=2.0)
    assert given == pytest.approx([2.0, -2.0, 0.5])


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_clipping_carries_no_state(name):
    """So that a run may begin to clip."""
    plain, clipping = (
        build_optimizer(OptimizerSettings(name=name, clip_norm=norm)).direction(0)
        for norm in (None, 1.0)
    )
    weight = jnp.float32(2.0)
    states = [jax.tree.structure(one.init(weight)) for one in (plain, clipping)]
    assert states[0] == states[1]


# β2 from 0.9 to 0.99 in five steps
SCHEDULED_BETA2 = (0.9, 0.918, 0.936, 0.954, 0.972, 0.99)


def test_scheduled_beta2_of_adam():
    """The correction of bias is by the present β2, 1 - β2^t, as PyTorch's is."""
    gradients = [2.0, -1.0, 4.0, 0.5, 3.0, -2.0]
    m = v = 0.0
    expected = []
    for count, (gradient, beta2) in enumerate(zip(gradients, SCHEDULED_BETA2, strict=True), 1):
        m = 0.5 * m + 0.5 * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        expected.append(m / (1 - 0.5**count) / (np.sqrt(v / (1 - beta2**count)) + 1e-8))
    scheduled = "linear:initial=0.9,final=0.99,steps=5"
    given = directions(gradients, beta1=0.5, beta2=scheduled)
    assert given == pytest.approx(expected, rel=1e-4)


def test_learning_rate_is_a_number_or_a_schedule():
    plain = build_optimizer(OptimizerSettings(learning_rate=0.4)).learning_rate
    assert plain(jnp.int32(7)) == jnp.float32(0.4)
    falling = build_optimizer(OptimizerSettings(learning_rate="linear:initial=0.4,steps=4"))
    rates = [float(falling.learning_rate(jnp.int32(step))) for step in (0, 1, 4, 9)]
    assert rates == pytest.approx([0.4, 0.3, 0.0, 0.0])


def decays(steps=range(5), examples=64, **settings):
    """The decays of a moving average at some steps, in updates of so many examples."""
    decay = build_average(AverageSettings(**settings), examples)
    return [float(decay(jnp.int32(step))) for step in steps]


def test_average_ramps_up_to_its_decay():
    steps = (0, 8, 80, 10**6)
    assert decays(steps, decay=0.9) == pytest.approx([0.1, 0.5, 0.9, 0.9])
    assert decays(steps, decay=0.9, rampup=False) == pytest.approx([0.9] * 4)


def test_half_life_counts_examples():
    """Of 64 in an update, half of what 64 did is left after one, a quarter of what 32 did."""
    assert decays((0, 9), half_life=64.0, rampup=False) == pytest.approx([0.5, 0.5])
    assert decays((0, 9), half_life=32.0, decay=0.0, rampup=False) == pytest.approx([0.25, 0.25])
    assert decays((0, 8), half_life=1e9) == pytest.approx([0.1, 0.5])


def test_scheduled_averages():
    """Half-lives of 0, 16, 32, 48 and 64 examples leave 2^(-64 / h)."""
    half_life = "linear:initial=0,final=64,steps=4"
    expected = [0.0, 0.0625, 0.25, 0.396850, 0.5]
    assert decays(half_life=half_life, rampup=False) == pytest.approx(expected)
    decay = "linear:initial=0.9,final=0.5,steps=4"
    assert decays(decay=decay, rampup=False) == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])


def test_no_average():
    assert build_average(AverageSettings(decay=0.0), 64) is None
