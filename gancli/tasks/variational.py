"""Shared parts of variational autoencoders: the approximate posterior, and sampling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Weights
from gancli.data.dataset import DataSpec
from gancli.networks import Network
from gancli.tasks.latents import LatentSpace
from gancli.tasks.task import EXAMPLES, Part, Sampler, generating

_LARGEST_LOG_VARIANCE = 20.0  # Keeps the variance within float32.


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag exp(log_variance)), each (n, latent)."""

    mean: jax.Array
    log_variance: jax.Array

    def draw(self, noise: jax.Array) -> jax.Array:
        """Draws z: mean + deviation · noise, (n, latent)."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> jax.Array:
        """KL(q ‖ N(0, I)) = ½ Σ (mean² + variance - 1 - log variance), (n,) in nats."""
        terms = self.mean**2 + jnp.exp(self.log_variance) - 1 - self.log_variance
        return 0.5 * terms.sum(axis=1)


class Coder(NamedTuple):
    """An encoder and a decoder of one player, with its weights as `encoder` and `decoder`."""

    encoder: Network
    decoder: Network
    latent: int

    @property
    def networks(self) -> dict[str, Network]:
        """Both by their place in the player's weights."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def posterior(self, params: Any, stats: Any, examples: jax.Array) -> tuple[Posterior, Any]:
        """The posterior of examples during training, and the encoder's new statistics."""
        outputs, moved = self.encoder.apply(
            params["encoder"], stats["encoder"], examples, train=True
        )
        return _posterior(outputs), moved

    def posterior_of(self, weights: Weights, examples: jax.Array) -> Posterior:
        """The posterior of examples after training."""
        own = (weights.params["encoder"], weights.stats["encoder"])
        return _posterior(self.encoder.apply(*own, examples, train=False)[0])

    def decode(self, weights: Weights, z: jax.Array) -> jax.Array:
        """Decodes z (n, latent) after training."""
        return self.decoder.apply(*_decoder_of(weights), z, train=False)[0]

    def reconstruct(self, weights: Weights, examples: jax.Array) -> jax.Array:
        """Decodes the posterior means of examples."""
        return self.decode(weights, self.posterior_of(weights, examples).mean)

    def initialize(self, key: jax.Array) -> Weights:
        """Initial weights of the player."""
        keys = jax.random.split(key)
        both = zip(self.encoder.initialize(keys[0]), self.decoder.initialize(keys[1]), strict=True)
        return Weights(*({"encoder": own, "decoder": other} for own, other in both))

    def part(self, data: DataSpec) -> Part:
        """The encoder of examples, as a part of the player `generator`."""
        given = {EXAMPLES[data.kind]: jax.ShapeDtypeStruct(data.shape, jnp.float32)}
        return Part("generator", given, Posterior._fields, self.posterior_of)

    def sampler(self) -> Sampler:
        """The sampler of the player `generator`."""
        return generating(self.decoder, LatentSpace(self.latent, "normal"), own=_decoder_of)


def _decoder_of(weights: Weights) -> Weights:
    return Weights(weights.params["decoder"], weights.stats["decoder"])


def _posterior(outputs: jax.Array) -> Posterior:
    mean, log_variance = jnp.split(outputs, 2, axis=1)
    return Posterior(mean, jnp.clip(log_variance, -_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE))
