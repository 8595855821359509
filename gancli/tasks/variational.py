"""What variational autoencoders share: the approximate posterior, and how they sample."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.dynamics import Weights
from gancli.keys import Stream, stream_key
from gancli.networks import MODELS, Interface, Network
from gancli.registry import parse_spec
from gancli.tasks.latents import draw_noise, interpolation, latents_by_index
from gancli.tasks.task import Sampler

# Options of models that an encoder does not have.
OF_CRITICS = ("spectral_norm", "minibatch")
_LARGEST_LOG_VARIANCE = 20.0  # So that float32 holds the variance.


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag exp(log_variance)), each (n, latent)."""

    mean: jax.Array
    log_variance: jax.Array

    def draw(self, noise: jax.Array) -> jax.Array:
        """Z = mean + deviation · noise, (n, latent)."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> jax.Array:
        """KL(q ‖ N(0, I)) = ½ Σ (mean² + variance - 1 - log variance), (n,) in nats."""
        terms = self.mean**2 + jnp.exp(self.log_variance) - 1 - self.log_variance
        return 0.5 * terms.sum(axis=1)


def encoder_of(config: Config, data: DataSpec, latent: int) -> Network:
    """An encoder of examples to mean and log variance: the model's discriminator.

    Without what is for critics: a code must tell examples apart, and depend on its own alone.
    """
    spec = parse_spec(config.model)
    options = {key: value for key, value in spec.options.items() if key not in OF_CRITICS}
    joined = ",".join(f"{key}={value}" for key, value in options.items())
    model = f"{spec.name}:{joined}" if joined else spec.name
    return MODELS.build(model, Interface(data.shape, latent, outputs=2 * latent)).discriminator


def encode(
    encoder: Network, params: Any, stats: Any, examples: jax.Array, train: bool
) -> tuple[Posterior, Any]:
    """The posterior of examples, and the encoder's new statistics."""
    outputs, moved = encoder.apply(params, stats, examples, train=train)
    mean, log_variance = jnp.split(outputs, 2, axis=1)
    bounded = jnp.clip(log_variance, -_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE)
    return Posterior(mean, bounded), moved


def initialize_both(encoder: Network, decoder: Network, key: jax.Array) -> Weights:
    """Initial weights of the player that holds an encoder and a decoder."""
    keys = jax.random.split(key)
    both = zip(encoder.initialize(keys[0]), decoder.initialize(keys[1]), strict=True)
    return Weights(*({"encoder": own, "decoder": other} for own, other in both))


def decode_with(decoder: Network) -> Callable[[Weights, jax.Array], jax.Array]:
    """The function of such weights and z (n, latent) to examples."""

    def decode(weights: Weights, z: jax.Array) -> jax.Array:
        return decoder.apply(weights.params["decoder"], weights.stats["decoder"], z, train=False)[0]

    return decode


def decoder_sampler(decoder: Network, latent: int) -> Sampler:
    """How examples are made of noise by the decoder of the player `generator`."""
    return Sampler(
        "generator",
        latents_by_index(latent, "normal", lambda key, label: jnp.zeros(0)),
        decode_with(decoder),
        interpolation(latent, "normal"),
    )


def reconstruct_with(
    encoder: Network, decoder: Network
) -> Callable[[Weights, jax.Array], jax.Array]:
    """The function of such weights and examples to the examples of their posterior means."""
    decode = decode_with(decoder)

    def reconstruct(weights: Weights, examples: jax.Array) -> jax.Array:
        own = (weights.params["encoder"], weights.stats["encoder"])
        return decode(weights, encode(encoder, *own, examples, train=False)[0].mean)

    return reconstruct


def noise_for(key: jax.Array, mean: jax.Array, draw: ArrayLike | None = None) -> jax.Array:
    """Standard normal noise, as much as there is of a mean; other noise for another draw."""
    own = stream_key(key, Stream.LATENT)
    own = own if draw is None else jax.random.fold_in(own, draw)
    return draw_noise(own, mean.shape, "normal")
