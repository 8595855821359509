"""Adversarial losses: pairs of functions of the logits of real and generated examples.

Both functions take `(real_logits, fake_logits)`, each of shape (batch,), and return one value per
example, shape (batch,); the game averages them. Real examples are always scored high.
"""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gancli.registry import Bounds, Registry

LogitLoss = Callable[[jax.Array, jax.Array], jax.Array]


class Loss(NamedTuple):
    """The losses of discriminator and generator as functions of (real, fake) logits.

    `threshold` is the logit above which the discriminator calls an example real; None where
    the loss only compares logits. Then there is no accuracy, and for adaptive augmentation the
    midpoint of the two kinds' means takes its place. `log_odds` says that the discriminator's loss
    is least where logits are the log odds of being real.
    """

    discriminator: LogitLoss
    generator: LogitLoss
    threshold: float | None = 0.0
    log_odds: bool = False


LOSSES = Registry("loss")

Smoothing = Annotated[float, Bounds(0, 1)]
Target = Annotated[float, Bounds(-1_000_000, 1_000_000)]


def _adam(learning_rate: float | str, beta1: float, beta2: float | str) -> dict[str, float | str]:
    """The part of a recipe that both players' optimizers share."""
    values = {"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2}
    return {
        f"optimizer.{player}.{name}": value
        for name, value in values.items()
        for player in ("generator", "discriminator")
    }


# The settings of each paper; DCGAN's are the default of the field.
_DCGAN_ADAM = _adam(2e-4, 0.5, 0.999)
_WGAN_GP_ADAM = _adam(1e-4, 0.0, 0.9)
# The preset CIFAR10 of train.py in github.com/brownvc/R3GAN, over the whole run.
_R3GAN = {
    **_adam("cosine:initial=2e-4,final=5e-5", 0.0, "cosine:initial=0.9,final=0.99"),
    "penalties": [
        "r1:weight=(cosine:initial=0.05,final=0.005)",
        "r2:weight=(cosine:initial=0.05,final=0.005)",
    ],
    "average.half_life": "cosine:initial=0,final=5e6",
}

_softplus = jax.nn.softplus


@LOSSES.register("minimax", also="vanilla", reference="arXiv:1406.2661", recipe=_DCGAN_ADAM)
def minimax(smoothing: Smoothing = 0.0) -> Loss:
    """Minimax loss of the original GAN: the generator minimises log(1 - D(G(z))).

    discriminator: (1 - s) softplus(-r) + s softplus(r) + softplus(f); generator: -softplus(f).

    Args:
        smoothing: one-sided label smoothing s; the target of real examples is 1 - s
            (arXiv:1606.03498). TF-GAN's label_smoothing is 2 s.

    Returns:
        The loss; with all logits 0 and no smoothing 2 ln 2 and -ln 2.
    """
    return Loss(_cross_entropy(smoothing), lambda real, fake: -_softplus(fake), log_odds=True)


@LOSSES.register(
    "non-saturating", also="bce nsgan", reference="arXiv:1406.2661", recipe=_DCGAN_ADAM
)
def non_saturating(smoothing: Smoothing = 0.0) -> Loss:
    """Non-saturating (modified minimax) loss: the generator maximises log D(G(z)).

    discriminator: (1 - s) softplus(-r) + s softplus(r) + softplus(f); generator: softplus(-f).

    Args:
        smoothing: one-sided label smoothing s; the target of real examples is 1 - s
            (arXiv:1606.03498). TF-GAN's label_smoothing is 2 s.

    Returns:
        The loss; with all logits 0 and no smoothing 2 ln 2 and ln 2.
    """
    return Loss(_cross_entropy(smoothing), lambda real, fake: _softplus(-fake), log_odds=True)


@LOSSES.register("least-squares", also="lsgan", reference="arXiv:1611.04076", recipe=_DCGAN_ADAM)
def least_squares(real_target: Target = 1.0, fake_target: Target = 0.0) -> Loss:
    """Least-squares loss with the factor 1/2: pulls logits to targets of real and fake.

    discriminator: (r - b)²/2 + (f - a)²/2; generator: (f - b)²/2.

    Args:
        real_target: b; a value below 1 is one-sided label smoothing.
        fake_target: a.

    Returns:
        The loss; with all logits 0 and the default targets 1/2 and 1/2.
    """
    return Loss(
        lambda real, fake: 0.5 * ((real - real_target) ** 2 + (fake - fake_target) ** 2),
        lambda real, fake: 0.5 * (fake - real_target) ** 2,
        threshold=0.5 * (real_target + fake_target),
    )


@LOSSES.register(
    "wasserstein",
    also="wgan wgan-gp",
    reference="arXiv:1701.07875; recipe arXiv:1704.00028 (WGAN-GP)",
    recipe={
        **_WGAN_GP_ADAM,
        "penalties": ["gradient-penalty:weight=10"],
        "train.discriminator_steps": 5,
    },
)
def wasserstein() -> Loss:
    """Wasserstein loss: the difference of the critic's mean scores of fake and real examples.

    discriminator: f - r; generator: -f.

    Returns:
        The loss; with all logits 0 it is 0 and 0.
    """
    return Loss(lambda real, fake: fake - real, lambda real, fake: -fake, threshold=None)


@LOSSES.register(
    "hinge",
    reference="arXiv:1705.02894; recipe arXiv:1802.05957 (SNGAN), 1 discriminator step for its 5",
    recipe={**_adam(2e-4, 0.0, 0.9), "model.spectral_norm": True},
)
def hinge(margin: float = 1.0) -> Loss:
    """Hinge loss: examples beyond a margin on the right side do not contribute.

    discriminator: max(0, m - r) + max(0, m + f); generator: -f.

    Args:
        margin: m, in units of the logits.

    Returns:
        The loss; with all logits 0 and margin 1 it is 2 and 0.
    """
    return Loss(
        lambda real, fake: jax.nn.relu(margin - real) + jax.nn.relu(margin + fake),
        lambda real, fake: -fake,
    )


@LOSSES.register(
    "relativistic",
    also="rpgan rsgan",
    reference="arXiv:1807.00734; recipe arXiv:2501.05441 (R3GAN)",
    recipe=_R3GAN,
)
def relativistic() -> Loss:
    """Relativistic pairing loss: each real example should outscore its fake partner.

    discriminator: softplus(-(r - f)); generator: softplus(-(f - r)).

    Returns:
        The loss; with all logits 0 it is ln 2 and ln 2.
    """
    return Loss(
        lambda real, fake: _softplus(fake - real),
        lambda real, fake: _softplus(real - fake),
        threshold=None,
    )


@LOSSES.register(
    "relativistic-average",
    also="ragan",
    reference="arXiv:1807.00734",
    recipe={**_DCGAN_ADAM, "model.spectral_norm": True},
)
def relativistic_average(smoothing: Smoothing = 0.0) -> Loss:
    """Relativistic average loss: compares each example with the mean of the other kind.

    discriminator: (1 - s) softplus(-(r - E f)) + s softplus(r - E f) + softplus(f - E r);
    generator: the same with real and fake exchanged, and no smoothing.

    Args:
        smoothing: one-sided label smoothing s of the real examples, as in `minimax`.

    Returns:
        The loss; with all logits 0 and no smoothing 2 ln 2 and 2 ln 2.
    """
    cross_entropy, smoothed = _cross_entropy(0.0), _cross_entropy(smoothing)
    return Loss(
        lambda real, fake: smoothed(real - fake.mean(), fake - real.mean()),
        lambda real, fake: cross_entropy(fake - real.mean(), real - fake.mean()),
        threshold=None,
    )


Divergence = Literal[
    "kullback-leibler", "reverse-kullback-leibler", "pearson", "squared-hellinger", "jensen-shannon"
]


@LOSSES.register(
    "f-divergence",
    reference="arXiv:1606.00709; recipe with R1 and R2 of arXiv:1801.04406",
    recipe={
        **_adam(1e-4, 0.5, 0.999),
        "penalties": ["r1:weight=10", "r2:weight=10"],
        "optimizer.generator.clip_norm": 1.0,
        "optimizer.discriminator.clip_norm": 1.0,
    },
)
def f_divergence(kind: Divergence = "jensen-shannon", saturating: bool = False) -> Loss:
    """Variational bound on an f-divergence between the data and the generator.

    discriminator: -T(r) + f*(T(f)); generator: -T(f), or -f*(T(f)) if saturating, where T is
    the output activation and f* the Fenchel conjugate (table 2 and section 3.2 of the paper).

    Args:
        kind: the divergence, which defines T and f*.
        saturating: whether the generator minimises the bound itself.
    """
    activation, conjugate = _F_DIVERGENCES[kind]

    def generator(real: jax.Array, fake: jax.Array) -> jax.Array:
        return -conjugate(fake) if saturating else -activation(fake)

    return Loss(
        lambda real, fake: conjugate(fake) - activation(real),
        generator,
        threshold=1.0 if kind == "kullback-leibler" else 0.0,  # T(v) = f'(1)
    )


# (T(v), f*(T(v))) of each divergence; the second is simplified in v to avoid the difference of
# large numbers.
_F_DIVERGENCES: dict[str, tuple[Callable[[jax.Array], jax.Array], ...]] = {
    "kullback-leibler": (lambda v: v, lambda v: jnp.exp(v - 1)),
    "reverse-kullback-leibler": (lambda v: -jnp.exp(-v), lambda v: v - 1),
    "pearson": (lambda v: v, lambda v: 0.25 * v**2 + v),
    "squared-hellinger": (lambda v: 1 - jnp.exp(-v), lambda v: jnp.exp(v) - 1),
    "jensen-shannon": (
        lambda v: jnp.log(2.0) - _softplus(-v),
        lambda v: _softplus(v) - jnp.log(2.0),
    ),
}


def _cross_entropy(smoothing: float) -> LogitLoss:
    """Binary cross-entropy of real and fake; the target of real examples is 1 - smoothing."""

    def loss(real: jax.Array, fake: jax.Array) -> jax.Array:
        smoothed_real = (1 - smoothing) * _softplus(-real) + smoothing * _softplus(real)
        return smoothed_real + _softplus(fake)

    return loss
