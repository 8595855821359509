"""Optimizers, and the parts of one player's update.

An optimizer gives a direction, which is multiplied by the learning rate, a function of the
training step alone. So a schedule does not depend on how often a player moves within a step, and
learning rates are logged as they were applied.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from gancli.adversarial.schedules import StepFunction, value_at
from gancli.config import AverageSettings, OptimizerSettings
from gancli.registry import Registry

OPTIMIZERS = Registry("optimizer")


class Optimizer(NamedTuple):
    """The optimizer of one player.

    All fields that are functions take the training step: `direction` returns the gradient
    transformation of a step, and its state has the same form at every step. Weights are clipped
    to ±`clip_weights` after each update. `frozen`, a tree of truth values like the parameters, says
    which of them keep their values, and those of their average; None for none.
    """

    direction: Callable[[ArrayLike], optax.GradientTransformation]
    learning_rate: StepFunction
    clip_weights: float | None = None
    average_decay: StepFunction | None = None
    frozen: Any = None


def build_optimizer(
    settings: OptimizerSettings, average_decay: StepFunction | None = None
) -> Optimizer:
    """Builds a player's optimizer from its section of the configuration.

    Args:
        settings: the optimizer's section.
        average_decay: decay of the moving average of the player's weights; None for no average.

    Raises:
        UserError: if the optimizer is not in the catalogue.
    """
    OPTIMIZERS.options(settings.name)

    def direction(step: ArrayLike) -> optax.GradientTransformation:
        built = OPTIMIZERS.build(settings.name, settings, value_at(settings.beta2, step))
        if settings.clip_norm is not None:
            built = _clipped(built, settings.clip_norm)
        return _promoting(built)

    def learning_rate(step: ArrayLike) -> jax.Array:
        return jnp.float32(value_at(settings.learning_rate, step))

    return Optimizer(direction, learning_rate, settings.clip_weights, average_decay)


def _clipped(direction: optax.GradientTransformation, norm: float) -> optax.GradientTransformation:
    """Clips gradients by their global norm; adds no state, so that a run can begin to clip."""
    clip = optax.clip_by_global_norm(norm)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        clipped, _ = clip.update(updates, optax.EmptyState())
        return direction.update(clipped, state, params)

    return optax.GradientTransformation(direction.init, update)


def _promoting(direction: optax.GradientTransformation) -> optax.GradientTransformation:
    """Allows type promotion within a transformation: optax mixes floats and integer counts."""

    def update(*arguments: Any, **named: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return direction.update(*arguments, **named)

    return optax.GradientTransformation(direction.init, update)


def build_average(settings: AverageSettings, examples: int) -> StepFunction | None:
    """The decay of the moving average of weights as a function of the step.

    A half-life h replaces the set decay by 2^(-examples / h); with ramp-up, the decay is
    min(decay, (1 + step) / (10 + step)).

    Args:
        settings: the section `average` of the configuration.
        examples: number of examples per update.

    Returns:
        step -> decay in [0, 1); None for no average.
    """
    if not settings.half_life and not settings.decay:
        return None

    def decay(step: ArrayLike) -> jax.Array:
        step = jnp.float32(step)
        ramp = (1 + step) / (10 + step) if settings.rampup else 1.0
        if settings.half_life:  # A half-life of 0 at a step means a decay of 0.
            present = jnp.exp2(-examples / jnp.float32(value_at(settings.half_life, step)))
        else:
            present = jnp.float32(value_at(settings.decay, step))
        return jnp.minimum(present, ramp)

    return decay


@OPTIMIZERS.register("adam", reference="arXiv:1412.6980")
def adam(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """Adam: bias-corrected first and second moments of the gradient."""
    return optax.scale_by_adam(settings.beta1, beta2, settings.epsilon)


@OPTIMIZERS.register("adamw", reference="arXiv:1711.05101")
def adamw(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (weight_decay)."""
    return optax.chain(adam(settings, beta2), optax.add_decayed_weights(settings.weight_decay))


@OPTIMIZERS.register("rmsprop", reference="Tieleman and Hinton, Coursera lecture 6.5, 2012")
def rmsprop(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """RMSProp: the gradient over its running root mean square, whose decay is beta2.

    g / (√ν + ε); within the root the default ε would be a floor of 1e-4, far above the gradients of
    a critic whose weights are clipped.
    """
    return optax.scale_by_rms(beta2, settings.epsilon, eps_in_sqrt=False)


@OPTIMIZERS.register("sgd", reference="Robbins and Monro, 1951")
def sgd(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """Gradient descent, with heavy-ball momentum if it is set."""
    return optax.trace(settings.momentum) if settings.momentum else optax.identity()


@OPTIMIZERS.register("optimistic-adam", reference="arXiv:1711.00141, algorithm 1")
def optimistic_adam(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """Optimistic Adam: twice the present step minus the previous one."""
    return optax.chain(adam(settings, beta2), optax.scale_by_optimistic_gradient())


@OPTIMIZERS.register("optimistic-sgd", reference="arXiv:1711.00141")
def optimistic_sgd(settings: OptimizerSettings, beta2: ArrayLike) -> optax.GradientTransformation:
    """Optimistic gradient descent: twice the present gradient minus the previous one."""
    return optax.scale_by_optimistic_gradient()
