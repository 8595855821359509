"""Latents: the generator's noise, and the codes appended to it."""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

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


class LatentSpace(NamedTuple):
    """What a generator takes: `noise` values of a distribution, followed by codes.

    `codes(key, label)` returns the codes of one sample.
    """

    noise: int
    distribution: Distribution
    codes: CodesOfLabel = lambda key, label: jnp.zeros(0)

    def draw(self, key: jax.Array, indices: ArrayLike, labels: ArrayLike) -> jax.Array:
        """The latents (n, noise + codes) of indices (n,) and labels (n,).

        The noise of an example depends only on the key and its index, its codes also on the label.
        """
        key_of_codes = jax.random.fold_in(key, _NO_INDEX)

        def of_one(index: jax.Array, label: jax.Array) -> jax.Array:
            own = jax.random.fold_in(key, index)
            noise = draw_noise(own, (1, self.noise), self.distribution)[0]
            codes = self.codes(jax.random.fold_in(key_of_codes, index), label)
            return jnp.concatenate([noise, codes])

        return jax.vmap(of_one)(jnp.asarray(indices), jnp.asarray(labels))

    def interpolate(self, start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
        """Interpolates latents: the noise according to its distribution, codes linearly."""
        straight = self.distribution == "uniform" or self.noise == 1
        of_noise = _linear if straight else _spherical
        noise = of_noise(start[: self.noise], end[: self.noise], share)
        return jnp.concatenate([noise, _linear(start[self.noise :], end[self.noise :], share)])

    def truncate(self, latents: jax.Array, threshold: float | jax.Array) -> jax.Array:
        """Maps normal noise to normal noise truncated at ±threshold; codes stay (1809.11096).

        Φ⁻¹(½ + (2 Φ(t) - 1)(Φ(z) - ½)), which is monotone, so that examples keep their latents'
        order and signs as the threshold t changes.
        """
        share = jax.lax.erf(jnp.float32(threshold) / 2**0.5)
        inside = share * jax.lax.erf(latents[:, : self.noise] / 2**0.5)
        noise = jnp.clip(2**0.5 * jax.lax.erf_inv(inside), -threshold, threshold)
        return jnp.concatenate([noise, latents[:, self.noise :]], axis=1)


def _linear(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    return start + share * (end - start)


def _spherical(start: jax.Array, end: jax.Array, share: jax.Array) -> jax.Array:
    """Great-circle interpolation, which keeps the norm typical of normal noise (1609.04468)."""
    cosine = jnp.vdot(start, end) / (jnp.linalg.norm(start) * jnp.linalg.norm(end))
    angle = jnp.arccos(jnp.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    return (jnp.sin((1 - share) * angle) * start + jnp.sin(share * angle) * end) / jnp.sin(angle)
