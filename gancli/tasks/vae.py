"""Variational autoencoders: the likelihood baseline for adversarial training."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import Interface, networks_of
from gancli.registry import Bounds, parse_spec
from gancli.tasks.latents import Latent
from gancli.tasks.reading import OF_CRITICS, reader_of
from gancli.tasks.task import TASKS, Task, refuse_discriminator, refuse_tokens
from gancli.tasks.variational import Coder

# Keeps the logarithm of a pixel's probability within float32.
_LEAST_PROBABILITY = 1e-6


@TASKS.register(
    "vae",
    reference="arXiv:1312.6114; beta as of Higgins et al., ICLR 2017",
    recipe={
        "loss": "",
        "penalties": [],
        "optimizer.generator.learning_rate": 1e-3,
        "optimizer.generator.beta1": 0.9,
        "optimizer.generator.beta2": 0.999,
    },
)
def vae(
    config: Config,
    data: DataSpec,
    latent: Latent = 64,
    beta: Annotated[float, Bounds(0, 1e6)] = 1.0,
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
    deviation: Annotated[float, Bounds(1e-3, 1e3)] = 1.0,
    binarize: bool = False,
) -> Task:
    """Variational autoencoder: a decoder of noise, and an encoder that bounds its likelihood.

    Minimises -log p(x | z) + β KL(q(z | x) ‖ N(0, I)), z = μ + σ ε with ε standard normal and
    μ, log σ² the encoder's outputs; with β = 1 it is the negative ELBO, in nats per example. The
    decoder is the model's generator, and the encoder its discriminator with 2 · latent outputs.
    The settings of the discriminator's optimizer and number of steps do not apply.

    Args:
        config: the run's configuration, without a loss, penalties or discriminator inputs.
        data: description of the examples.
        latent: dimensions of z.
        beta: β, the weight of the divergence.
        likelihood: `bernoulli`, for images, with pixels as probabilities: Σ x log y +
            (1 - x) log(1 - y) for x and y in [0, 1]. For grey pixels it is not a log-likelihood,
            and only for binarized ones it is comparable with published values. Or `gaussian`, a
            density of examples as networks receive them (images in [-1, 1]).
        deviation: standard deviation of the Gaussian.
        binarize: whether to draw each pixel anew as black or white whenever an image is used, with
            its grey value as the probability of white (dynamic binarization).

    Returns:
        The task, with the one player `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    refuse_tokens(config, data)
    refuse_discriminator(config)
    if given := [key for key in parse_spec(config.model).options if key in OF_CRITICS]:
        raise UserError(
            f"task 'vae' with {given[0]} of model {shown(config.model)}, which is for critics",
            "a model without this option",
        )
    if likelihood == "bernoulli" and data.kind != "image":
        raise UserError(
            f"task 'vae' with likelihood=bernoulli and {data.kind} of shape {data.shape}",
            "images, or likelihood=gaussian",
        )
    if binarize and data.kind != "image":
        raise UserError(
            f"task 'vae' with binarize=true and {data.kind} of shape {data.shape}", "images"
        )
    decoder = networks_of(config, Interface(data.shape, latent)).generator
    coder = Coder(reader_of(config, data, 2 * latent), decoder, latent)

    def log_likelihood(real: jax.Array, decoded: jax.Array) -> jax.Array:
        if likelihood == "gaussian":
            errors = ((real - decoded) / deviation) ** 2
            values = -0.5 * (errors + jnp.log(2 * jnp.pi * deviation**2))
        else:
            share, probability = (real + 1) / 2, (decoded + 1) / 2
            values = share * jnp.log(probability + _LEAST_PROBABILITY)
            values += (1 - share) * jnp.log(1 - probability + _LEAST_PROBABILITY)
        return values.reshape(len(values), -1).sum(axis=1)

    def seen(examples: jax.Array, key: jax.Array) -> jax.Array:
        if not binarize:
            return examples
        white = jax.random.bernoulli(key, (examples + 1) / 2, examples.shape)
        return 2 * white.astype(jnp.float32) - 1

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        own, carried = params["generator"], stats["generator"]
        real = seen(turn.batch["examples"], turn.key(Stream.REAL_INPUT))
        posterior, of_encoder = coder.posterior(own, carried, real)
        shape = posterior.mean.shape
        z = posterior.draw(jax.random.normal(turn.key(Stream.LATENT), shape))
        decoded, of_decoder = decoder.apply(own["decoder"], carried["decoder"], z, train=True)
        likelihoods = log_likelihood(real, decoded).mean()
        divergence = posterior.divergence().mean()
        metrics = {
            "elbo": likelihoods - divergence,
            "log_likelihood": likelihoods,
            "kl": divergence,
        }
        moved = {"encoder": of_encoder, "decoder": of_decoder}
        return beta * divergence - likelihoods, Aux(moved, metrics)

    def bound(weights: Weights, examples: jax.Array, key: jax.Array, draw: ArrayLike) -> jax.Array:
        key_of_input, key_of_noise = jax.random.split(key)
        real = seen(examples, key_of_input)
        posterior = coder.posterior_of(weights, real)
        own = jax.random.fold_in(key_of_noise, draw)
        noise = jax.random.normal(own, posterior.mean.shape)
        z = posterior.draw(noise)
        # log N(z; 0, I) - log N(z; mean, variance): the constants cancel.
        ratio = 0.5 * (noise**2 + posterior.log_variance - z**2).sum(axis=1)
        return log_likelihood(real, coder.decode(weights, z)) + ratio

    def initialize(key: jax.Array) -> dict[str, Weights]:
        return {"generator": coder.initialize(key)}

    return Task(
        game=Game(("generator",), play),
        roles={"generator": "generator"},
        networks={"generator": coder.networks},
        initialize=initialize,
        sampler=coder.sampler(),
        examples_per_update=config.train.batch,
        bound=bound,
        reconstruct=coder.reconstruct,
        parts={"encoder": coder.part(data)},
    )
