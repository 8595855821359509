"""Noise and codes to examples, of which the codes can be read again: what they mean is learned."""

from collections.abc import Mapping
from typing import Annotated

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError
from gancli.registry import Bounds
from gancli.tasks.adversarial import (
    Condition,
    adversarial_task,
    cross_entropy,
    require_unpacked,
)
from gancli.tasks.latents import Distribution, Latent
from gancli.tasks.task import TASKS, Task

_Weight = Annotated[float, Bounds(0, 1e6)]


@TASKS.register("infogan", reference="arXiv:1606.03657")
def infogan(
    config: Config,
    data: DataSpec,
    latent: Latent = 62,
    distribution: Distribution = "normal",
    categories: Annotated[int, Bounds(0, 1000)] = 10,
    continuous: Annotated[int, Bounds(0, 100)] = 2,
    weight: _Weight = 1.0,
    continuous_weight: _Weight = 0.1,
) -> Task:
    """Noise and codes to examples, from which the codes can be read again (InfoGAN).

    A categorical code, uniform over the categories, and continuous ones, uniform in [-1, 1]. The
    discriminator's last layer also guesses them, and both players lower
    λ (-log q(category | x)) + λc Σ (c - q(x))²/2, a bound on the mutual information of codes and
    examples: a Gaussian of deviation 1 stands for the continuous ones. No label is used.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        latent: dimensions of the noise.
        distribution: of the noise: standard normal, or uniform in [-1, 1].
        categories: values of the categorical code; 0 for none.
        continuous: how many continuous codes.
        weight: λ.
        continuous_weight: λc.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if there are no codes, or the parts do not fit each other.
    """
    if categories + continuous == 0:
        raise UserError("task 'infogan' with categories=0 and continuous=0", "at least one code")
    require_unpacked(config, "task 'infogan'")

    def draw(key: jax.Array, count: int, batch: Mapping[str, jax.Array]) -> jax.Array:
        of_categories, of_continuous = jax.random.split(key)
        labels = jax.random.randint(of_categories, (count,), 0, max(1, categories))
        return jax.vmap(of_label)(jax.random.split(of_continuous, count), labels)

    def of_label(key: jax.Array, label: jax.Array) -> jax.Array:
        own = jax.random.uniform(key, (continuous,), minval=-1.0)
        return jnp.concatenate([jax.nn.one_hot(label, categories), own])

    def terms(player: str, real: jax.Array, fake: jax.Array, codes: jax.Array) -> dict:
        split = 1 + categories
        named = {}
        if categories:
            own = cross_entropy(fake[:, 1:split], codes[:, :categories])
            named["code_loss/category"] = weight * own
        if continuous:
            errors = 0.5 * (fake[:, split:] - codes[:, categories:]) ** 2
            named["code_loss/continuous"] = continuous_weight * errors.sum(axis=1).mean()
        return named

    condition = Condition(
        codes=categories + continuous,
        draw=draw,
        of_label=of_label,
        outputs=1 + categories + continuous,
        logits=lambda outputs, codes: outputs[:, 0],
        terms=terms,
        classes=tuple(map(str, range(categories))),
        continuous=continuous,
        learned=True,
    )
    return adversarial_task(config, data, latent, distribution, condition)
