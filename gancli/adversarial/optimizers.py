"""Optimizers, learning-rate schedules and what one player's update consists of.

An optimizer gives a direction; the learning rate, a function of the training step alone,
multiplies it. So a schedule does not notice how often a player moves within a step, and
learning rates are logged as they were applied.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gancli.config import AverageSettings, OptimizerSettings
from gancli.registry import Bounds, Registry

OPTIMIZERS = Registry("optimizer")
SCHEDULES = Registry("schedule")

StepFunction = Callable[[jax.Array], jax.Array]


class Optimizer(NamedTuple):
    """How one player moves along its gradient.

    `direction` is applied to the gradient; `learning_rate` and `average_decay` are functions
    of the training step; weights are clipped to ±`clip_weights` after each update.
    """

    direction: optax.GradientTransformation
    learning_rate: StepFunction
    clip_weights: float | None = None
    average_decay: StepFunction | None = None


def build_optimizer(
    settings: OptimizerSettings, average: AverageSettings | None = None
) -> Optimizer:
    """Builds a player's optimizer from its section of the configuration.

    Args:
        settings: the optimizer's section.
        average: how the player's weights are averaged over steps; None for not at all.

    Returns:
        The optimizer.

    Raises:
        UserError: if the optimizer or the schedule is not in its catalogue.
    """
    direction = OPTIMIZERS.build(settings.name, settings)
    if settings.clip_norm is not None:
        direction = optax.chain(optax.clip_by_global_norm(settings.clip_norm), direction)
    shape = SCHEDULES.build(settings.schedule, settings)

    def learning_rate(step: jax.Array) -> jax.Array:
        step = jnp.float32(step)
        warm = jnp.minimum(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1
        return jnp.float32(settings.learning_rate) * warm * shape(step)

    return Optimizer(
        _promoting(direction),
        learning_rate,
        settings.clip_weights,
        average and average_decay(average),
    )


def _promoting(direction: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same where JAX does not promote types by itself: optax joins floats and its counts."""

    def update(*arguments: Any, **named: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return direction.update(*arguments, **named)

    return optax.GradientTransformation(direction.init, update)


def average_decay(settings: AverageSettings) -> StepFunction:
    """The decay of the moving average of weights at a step.

    min(decay, (1 + step) / (10 + step)) with ramp-up, else decay.

    Args:
        settings: the section `average` of the configuration.

    Returns:
        step -> decay in [0, 1).
    """

    def decay(step: jax.Array) -> jax.Array:
        step = jnp.float32(step)
        ramp = (1 + step) / (10 + step) if settings.rampup else 1.0
        return jnp.minimum(jnp.float32(settings.decay), ramp)

    return decay


@OPTIMIZERS.register("adam", reference="arXiv:1412.6980")
def adam(settings: OptimizerSettings) -> optax.GradientTransformation:
    """Adam: bias-corrected first and second moments of the gradient."""
    return optax.scale_by_adam(settings.beta1, settings.beta2, settings.epsilon)


@OPTIMIZERS.register("adamw", reference="arXiv:1711.05101")
def adamw(settings: OptimizerSettings) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (weight_decay)."""
    return optax.chain(adam(settings), optax.add_decayed_weights(settings.weight_decay))


@OPTIMIZERS.register("rmsprop", reference="Tieleman and Hinton, Coursera lecture 6.5, 2012")
def rmsprop(settings: OptimizerSettings) -> optax.GradientTransformation:
    """RMSProp: the gradient over its running root mean square, whose decay is beta2."""
    return optax.scale_by_rms(settings.beta2, settings.epsilon)


@OPTIMIZERS.register("sgd", reference="Robbins and Monro, 1951")
def sgd(settings: OptimizerSettings) -> optax.GradientTransformation:
    """Gradient descent, with heavy-ball momentum if set."""
    return optax.trace(settings.momentum) if settings.momentum else optax.identity()


@OPTIMIZERS.register("optimistic-adam", reference="arXiv:1711.00141, algorithm 1")
def optimistic_adam(settings: OptimizerSettings) -> optax.GradientTransformation:
    """Adam whose step is corrected by twice the present less once the previous one."""
    return optax.chain(adam(settings), optax.scale_by_optimistic_gradient())


@OPTIMIZERS.register("optimistic-sgd", reference="arXiv:1711.00141")
def optimistic_sgd(settings: OptimizerSettings) -> optax.GradientTransformation:
    """Optimistic gradient descent: twice the present gradient less the previous one."""
    return optax.scale_by_optimistic_gradient()


@SCHEDULES.register("constant", reference="")
def constant(settings: OptimizerSettings) -> StepFunction:
    """The learning rate stays as it is."""
    return jnp.ones_like


@SCHEDULES.register("linear", reference="arXiv:1703.10593, section 4")
def linear(settings: OptimizerSettings) -> StepFunction:
    """The learning rate falls linearly to zero, from decay_start on over decay_steps."""
    return lambda step: 1.0 - _decay_progress(settings, step)


@SCHEDULES.register("cosine", reference="arXiv:1608.03983")
def cosine(settings: OptimizerSettings) -> StepFunction:
    """The learning rate falls to zero by half a cosine, from decay_start on over decay_steps."""
    return lambda step: 0.5 * (1.0 + jnp.cos(jnp.pi * _decay_progress(settings, step)))


@SCHEDULES.register("step", reference="arXiv:1512.03385, section 3.4")
def step(settings: OptimizerSettings, factor: Annotated[float, Bounds(0, 1)] = 0.1) -> StepFunction:
    """The learning rate is multiplied by a factor from decay_start on."""
    return lambda step: jnp.where(step < settings.decay_start, 1.0, factor)


def _decay_progress(settings: OptimizerSettings, step: jax.Array) -> jax.Array:
    """The share of the decay that lies behind at a step, in [0, 1]."""
    steps = settings.decay_steps or 1
    return jnp.clip((step - settings.decay_start) / steps, 0.0, 1.0)
