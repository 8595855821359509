"""Penalties: regularizers that are added to the discriminator's loss.

A penalty takes `(critic, real, fake, key, step)` and returns a weighted value per example,
(batch,). The critic maps examples to logits (batch,), with its parameters closed over. The factory
of a penalty is called at every training step with the present values of its schedules.
"""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.augmentations import build_augmentations
from gancli.adversarial.schedules import MAY_BE_SCHEDULED, value_at
from gancli.registry import Bounds, Option, Registry, Spec

Critic = Callable[[jax.Array], jax.Array]
Penalty = Callable[[Critic, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


class AppliedPenalty(NamedTuple):
    """A penalty with its name in the metrics, applied at every `every`-th step.

    Lazily applied penalties are multiplied by `every`, so that their mean over steps equals that
    of a penalty applied at each step (arXiv:1912.04958, section 4).
    """

    name: str
    penalty: Penalty
    every: int


PENALTIES = Registry("penalty", common=(Option("every", int, 1, Bounds(1, 1_000_000)),))

Weight = Annotated[float, Bounds(0, 1_000_000), MAY_BE_SCHEDULED]
Slope = Annotated[float, Bounds(0, 1_000_000), MAY_BE_SCHEDULED]
Spread = Annotated[float, Bounds(0, 1_000)]
Power = Annotated[float, Bounds(1, 100)]


def build_penalty(spec: str) -> AppliedPenalty:
    """Builds a penalty from a spec such as `r1:weight=10,every=16`.

    Args:
        spec: the penalty's name and options; every penalty has the option `every`.

    Returns:
        The penalty with its name and interval in steps.

    Raises:
        UserError: if the spec does not fit the catalogue.
    """
    name, options = PENALTIES.entry(spec).name, PENALTIES.options(spec)

    def penalty(critic: Critic, real: jax.Array, fake: jax.Array, key: jax.Array, step: jax.Array):
        present = {
            option: value_at(value, step) if isinstance(value, Spec) else value
            for option, value in options.items()
        }
        return PENALTIES.build(Spec(name, present))(critic, real, fake, key, step)

    return AppliedPenalty(name, penalty, options["every"])


@PENALTIES.register(
    "gradient-penalty", also="gp", reference="arXiv:1704.00028; one-sided arXiv:1709.08894"
)
def gradient_penalty(
    weight: Weight = 10.0, target: Slope = 1.0, sided: Literal["two", "one"] = "two"
) -> Penalty:
    """Gradient penalty of WGAN-GP: pulls the critic's slope between real and fake to a target.

    λ (‖∇D(x̂)‖ - t)², or λ max(0, ‖∇D(x̂)‖ - t)² if one-sided, x̂ uniform between pairs. TF-GAN
    has λ (‖∇D(x̂)‖ / t - 1)², which is this one with the weight λ / t².

    Args:
        weight: λ.
        target: t; 0 makes the penalty zero-centred.
        sided: whether slopes below the target are penalised too (`two`) or not (`one`).
    """

    def penalty(
        critic: Critic, real: jax.Array, fake: jax.Array, key: jax.Array, step: jax.Array
    ) -> jax.Array:
        slope = _gradient_norm(critic, _between(real, fake, key))
        excess = slope - target
        return weight * (jax.nn.relu(excess) if sided == "one" else excess) ** 2

    return penalty


@PENALTIES.register("r1", reference="arXiv:1801.04406")
def r1(weight: Weight = 10.0) -> Penalty:
    """R1: squared gradient norm of the discriminator at real examples.

    (γ/2) ‖∇D(x)‖².

    Args:
        weight: γ.
    """
    return lambda critic, real, fake, key, step: 0.5 * weight * _squared_gradient_norm(critic, real)


@PENALTIES.register("r2", reference="arXiv:1801.04406")
def r2(weight: Weight = 10.0) -> Penalty:
    """R2: squared gradient norm of the discriminator at generated examples.

    (γ/2) ‖∇D(G(z))‖².

    Args:
        weight: γ.
    """
    return lambda critic, real, fake, key, step: 0.5 * weight * _squared_gradient_norm(critic, fake)


@PENALTIES.register("dragan", reference="arXiv:1705.07215 and github.com/kodalinaveen3/DRAGAN")
def dragan(
    weight: Weight = 10.0,
    target: Slope = 1.0,
    spread: Spread = 0.5,
    noise: Literal["uniform", "normal"] = "uniform",
) -> Penalty:
    """DRAGAN: the gradient penalty in a noisy neighbourhood of the real examples.

    λ (‖∇D(x + δ)‖ - t)². δ = α c s u, as in the authors' code, with s the batch's standard
    deviation, u uniform in [0, 1] for each value and α uniform in [0, 1] for each example; or
    normal with variance c, as in the paper.

    Args:
        weight: λ.
        target: t.
        spread: c: with uniform noise a multiple of s, with normal noise the variance, in squared
            units of the examples.
        noise: how δ is drawn: `uniform` (the authors' code) or `normal` (the paper).
    """

    def perturbed(real: jax.Array, key: jax.Array) -> jax.Array:
        if noise == "normal":
            return real + spread**0.5 * jax.random.normal(key, real.shape)
        own, shared = jax.random.split(key)
        farthest = real + spread * real.std() * jax.random.uniform(own, real.shape)
        return _between(real, farthest, shared)

    def penalty(
        critic: Critic, real: jax.Array, fake: jax.Array, key: jax.Array, step: jax.Array
    ) -> jax.Array:
        return weight * (_gradient_norm(critic, perturbed(real, key)) - target) ** 2

    return penalty


@PENALTIES.register("drift", reference="arXiv:1710.10196")
def drift(weight: Weight = 1e-3) -> Penalty:
    """Drift: keeps an unbounded critic's scores of real examples near zero.

    ε D(x)².

    Args:
        weight: ε.
    """
    return lambda critic, real, fake, key, step: weight * critic(real) ** 2


@PENALTIES.register("wgan-div", reference="arXiv:1712.01026")
def wgan_div(weight: Weight = 2.0, power: Power = 6.0) -> Penalty:
    """Wasserstein divergence: a power of the critic's slope between real and fake.

    k ‖∇D(x̂)‖^p, x̂ uniform between pairs.

    Args:
        weight: k.
        power: p.
    """
    return lambda critic, real, fake, key, step: (
        weight * _squared_gradient_norm(critic, _between(real, fake, key)) ** (power / 2)
    )


@PENALTIES.register("consistency", reference="arXiv:2002.04724")
def consistency(
    real_weight: Weight = 10.0, fake_weight: Weight = 10.0, augment: str = "flip+translation"
) -> Penalty:
    """Balanced consistency: augmenting a real or fake example should not change its score.

    λ_real (D(x) - D(T(x)))² + λ_fake (D(G(z)) - D(T(G(z))))².

    Args:
        real_weight: λ_real.
        fake_weight: λ_fake; 0 restricts the regularization to real examples.
        augment: names of augmentations T joined by `+`.

    Returns:
        The penalty, for images only.
    """
    transform = build_augmentations(augment.split("+"))

    def penalty(
        critic: Critic, real: jax.Array, fake: jax.Array, key: jax.Array, step: jax.Array
    ) -> jax.Array:
        keys = jax.random.split(key)
        moved_real = critic(real) - critic(transform(real, keys[0]))
        moved_fake = critic(fake) - critic(transform(fake, keys[1]))
        return real_weight * moved_real**2 + fake_weight * moved_fake**2

    return penalty


def _between(real: jax.Array, fake: jax.Array, key: jax.Array) -> jax.Array:
    """Points drawn uniformly on the segments between pairs of examples."""
    share = jax.random.uniform(key, (real.shape[0],) + (1,) * (real.ndim - 1))
    return real + share * (fake - real)


def _squared_gradient_norm(critic: Critic, examples: jax.Array) -> jax.Array:
    """‖∇D(x)‖² of each example, from one pass, because the critic does not mix examples."""
    gradient = jax.grad(lambda inputs: critic(inputs).sum())(examples)
    return (gradient**2).reshape(gradient.shape[0], -1).sum(axis=1)


def _gradient_norm(critic: Critic, examples: jax.Array) -> jax.Array:
    """‖∇D(x)‖ of each example, with a finite derivative where the gradient vanishes."""
    squared = _squared_gradient_norm(critic, examples)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)
