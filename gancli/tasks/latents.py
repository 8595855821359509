"""Latents: the generator's noise, and the codes appended to it."""

from collections.abc import Callable
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gancli.registry import Bounds

# Options that several tasks share.
Latent = Annotated[int, Bounds(1, 65536)]
Distribution = Literal["normal", "uniform"]

_NO_INDEX = 2**32 - 1  # No example has it, so its key is for another purpose.

# (key, label) -> the codes of one sample.
CodesOfLabel = Callable[[jax.Array, jax.Array], jax.Array]


def draw_noise(key: jax.Array, shape: tuple[int, ...], distribution: Distribution) -> jax.Array:
    """Noise: standard normal, or uniform in [-1, 1]."""
    if distribution == "uniform":
        return jax.random.uniform(key, shape, minval=-1.0)
    return jax.random.normal(key, shape)


def latents_by_index(
    latent: int, distribution: Distribution, codes: CodesOfLabel
) -> Callable[[jax.Array, ArrayLike, ArrayLike], jax.Array]:
    """The function from a key, indices (n,) and labels (n,) to latents (n, latent + codes).

    The noise of an example depends only on the key and its index, its codes also on the label.
    """

    def latents(key: jax.Array, indices: ArrayLike, labels: ArrayLike) -> jax.Array:
        key_of_codes = jax.random.fold_in(key, _NO_INDEX)

        def of_one(index: jax.Array, label: jax.Array) -> jax.Array:
            noise = draw_noise(jax.random.fold_in(key, index), (1, latent), distribution)[0]
            return jnp.concatenate([noise, codes(jax.random.fold_in(key_of_codes, index), label)])

        return jax.vmap(of_one)(jnp.asarray(indices), jnp.asarray(labels))

    return latents


def interpolation(
    latent: int, distribution: Distribution
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """Interpolates latents: the noise according to its distribution, codes linearly."""
    straight = distribution == "uniform" or latent == 1
    of_noise = _linear if straight else _spherical

    def between(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
        noise = of_noise(start[:latent], end[:latent], share)
        return jnp.concatenate([noise, _linear(start[latent:], end[latent:], share)])

    return between


def _linear(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    return start + share * (end - start)


def _spherical(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    """Great-circle interpolation, which keeps the norm typical of normal noise (1609.04468)."""
    cosine = jnp.vdot(start, end) / (jnp.linalg.norm(start) * jnp.linalg.norm(end))
    angle = jnp.arccos(jnp.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    return (jnp.sin((1 - share) * angle) * start + jnp.sin(share * angle) * end) / jnp.sin(angle)
