"""A variational autoencoder whose decoder also plays against a discriminator."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.networks import Interface, networks_of
from gancli.registry import Bounds
from gancli.tasks.latents import Latent
from gancli.tasks.opponent import build_opponent, require_unpacked
from gancli.tasks.reading import reader_of
from gancli.tasks.task import EXAMPLES, TASKS, Part, Task, refuse_tokens
from gancli.tasks.variational import Coder


@TASKS.register("vae-gan", reference="arXiv:1512.09300")
def vae_gan(
    config: Config,
    data: DataSpec,
    latent: Latent = 64,
    beta: Annotated[float, Bounds(0, 1e6)] = 1.0,
    similarity: Literal["features", "pixels"] = "features",
    adversarial: Annotated[float, Bounds(0, 1e6)] = 1.0,
) -> Task:
    """VAE-GAN: an autoencoder whose images a discriminator judges, with a learned similarity.

    The generator, an encoder and a decoder, minimises β KL(q(z | x) ‖ N(0, I)) + ½ ‖f(x) - f(x̃)‖²
    + γ times the adversarial loss of reconstructions x̃ and samples from the prior, half of each;
    the adversarial loss has no gradient in the encoder. The discriminator minimises its loss of
    both against x, with penalties at x and the samples. f are the discriminator's last hidden
    features, or the pixels. The encoder is the model's discriminator with 2 · latent outputs,
    without the options for critics, spectral normalization and comparison across the batch.

    Args:
        config: the run's configuration.
        data: description of the examples.
        latent: dimensions of z.
        beta: β, the weight of the divergence.
        similarity: definition of f.
        adversarial: γ, the weight of the adversarial loss.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    refuse_tokens(config, data)
    require_unpacked(config, "task 'vae-gan'")
    compares_features = similarity == "features"
    networks = networks_of(config, Interface(data.shape, latent, features=compares_features))
    decoder = networks.generator
    coder = Coder(reader_of(config, data, 2 * latent), decoder, latent)
    opponent = build_opponent(config, networks.discriminator, data)
    loss, discriminator = opponent.loss, opponent.network

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        # Reconstructions, and samples from the prior
        own, carried, real = params["generator"], stats["generator"], turn.batch["examples"]
        posterior, of_encoder = coder.posterior(own, carried, real)
        shape = posterior.mean.shape
        z = posterior.draw(jax.random.normal(turn.key(Stream.LATENT), shape))
        prior = turn.divided(jax.random.normal(turn.key(Stream.CODE), shape))
        again, of_decoder = decoder.apply(own["decoder"], carried["decoder"], z, train=True)
        # The encoder learns nothing from the discriminator.
        judged, _ = decoder.apply(
            own["decoder"], carried["decoder"], jax.lax.stop_gradient(z), train=True
        )
        made, of_decoder = decoder.apply(own["decoder"], of_decoder, prior, train=True)

        # The discriminator's logits of both
        weights = params["discriminator"]

        def outputs_of(examples: jax.Array, carried: dict) -> tuple[jax.Array, dict]:
            outputs, moved = discriminator.apply(weights, carried, examples, train=True)
            return outputs.reshape(len(outputs), -1), moved

        def see(examples: jax.Array, stream: Stream) -> jax.Array:
            return opponent.see(examples, turn.key(stream), turn, stats["discriminator"])

        shown, shown_made = see(real, Stream.REAL_INPUT), see(made, Stream.FAKE_INPUT)
        of_real, moved = outputs_of(shown, stats["discriminator"])
        of_made, moved = outputs_of(shown_made, moved)
        of_again, moved = outputs_of(see(judged, Stream.RECONSTRUCTED_INPUT), moved)
        real_logits, fakes = of_real[:, 0], (of_made[:, 0], of_again[:, 0])
        if player == "discriminator":
            on_fakes = [loss.discriminator(real_logits, fake).mean() for fake in fakes]
            total = 0.5 * jnp.add(*on_fakes)
            terms, aux = opponent.update(
                (real_logits, fakes[0]),
                (shown, shown_made),
                lambda x: outputs_of(x, moved)[0][:, 0],
                moved,
                turn,
            )
            return sum(terms.values(), total), aux

        # The generator's losses; f sees plain images, without noise or augmentation
        if compares_features:
            before, _ = outputs_of(real, stats["discriminator"])
            after, _ = outputs_of(again, stats["discriminator"])
            errors = (before - after)[:, 1:]
        else:
            errors = (real - again).reshape(len(real), -1)
        on_fakes = [loss.generator(real_logits, fake).mean() for fake in fakes]
        terms = {
            "kl": beta * posterior.divergence().mean(),
            "similarity": 0.5 * (errors**2).sum(axis=1).mean(),
            "adversarial": 0.5 * adversarial * jnp.add(*on_fakes),
        }
        stats_after = {"encoder": of_encoder, "decoder": of_decoder}
        return terms["kl"] + terms["similarity"] + terms["adversarial"], Aux(stats_after, terms)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(key)
        return {
            "discriminator": Weights(*discriminator.initialize(keys[0])),
            "generator": coder.initialize(keys[1]),
        }

    def logits_of(weights: Weights, examples: jax.Array) -> tuple[jax.Array]:
        outputs, _ = discriminator.apply(weights.params, weights.stats, examples, train=False)
        return (outputs.reshape(outputs.shape[0], -1)[:, 0],)

    given = {EXAMPLES[data.kind]: jax.ShapeDtypeStruct(data.shape, jnp.float32)}

    return Task(
        game=Game(("discriminator", "generator"), play),
        roles={"discriminator": "discriminator", "generator": "generator"},
        networks={"discriminator": {"": discriminator}, "generator": coder.networks},
        initialize=initialize,
        sampler=coder.sampler(),
        examples_per_update=config.train.batch,
        reconstruct=coder.reconstruct,
        parts={
            "encoder": coder.part(data),
            "discriminator": Part("discriminator", given, ("logits",), logits_of),
        },
    )
