"""Networks that read examples, and a player that reads codes from images as they might have been.

A code that has to be read from altered images cannot hide in what alters them; and what two such
views of one real image have in common tells which codes real images suggest.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.networks import MODELS, Interface, Network, networks_of
from gancli.registry import parse_spec

# Options of models that a network which reads does not have.
OF_CRITICS = ("spectral_norm", "minibatch")
_LEAST_SHARE = 1e-8  # So that float32 holds the logarithm.


def reader_of(config: Config, data: DataSpec, outputs: int, **options: str) -> Network:
    """A network that reads values from examples: the model's discriminator.

    Without what is for critics: what is read must tell examples apart, whatever it is compared to.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        outputs: values to be read from each.
        options: of the model, in place of its own, where it has them.

    Returns:
        The network, of (batch, *shape) to (batch, outputs), or (batch,) for one.
    """
    spec = parse_spec(config.model)
    known = {option.name for option in MODELS.entry(spec).options}
    chosen = {key: value for key, value in spec.options.items() if key not in OF_CRITICS}
    chosen |= {key: value for key, value in options.items() if key in known}
    joined = ",".join(f"{key}={value}" for key, value in chosen.items())
    model = f"{spec.name}:{joined}" if joined else spec.name
    return networks_of(config, Interface(data.shape, 1, outputs=outputs), model).discriminator


class Reader(NamedTuple):
    """The player `reader`, which reads codes in place of the discriminator.

    Of the `network`'s outputs for a view of each example, `code_losses(outputs, codes)` are what
    it is mistaken by, by name, which the generator lowers, too. The first `categories` outputs say
    which categorical code an image suggests, the last `spare` the same of another, finer code,
    that no example is made of: the reader raises `agreement` times the mutual information between
    what it says of two views of a real image, of either.
    """

    network: Network
    view: Callable[[jax.Array, jax.Array], jax.Array]
    code_losses: Callable[[jax.Array, jax.Array], dict[str, jax.Array]]
    categories: int
    spare: int
    agreement: float

    def terms(
        self,
        player: str,
        weights: tuple[Any, Any],
        examples: tuple[jax.Array, jax.Array],
        codes: jax.Array,
        key: jax.Array,
    ) -> tuple[dict[str, jax.Array], Any]:
        """What is added to a player's loss.

        Args:
            player: `reader` or `generator`.
            weights: the reader's parameters and statistics.
            examples: real and made ones, each (batch, height, width, channels).
            codes: (batch, codes) that the made ones were made of.
            key: for the views.

        Returns:
            Scalars by name, and the reader's new statistics.
        """
        (params, stats), (real, made) = weights, examples
        keys = jax.random.split(key, 3)

        def read(images: jax.Array, key: jax.Array, stats: Any) -> tuple[jax.Array, Any]:
            return self.network.apply(params, stats, self.view(images, key), train=True)

        outputs, stats = read(made, keys[0], stats)
        terms = self.code_losses(outputs, codes)
        if player != "reader":
            return terms, stats
        first, stats = read(real, keys[1], stats)
        second, stats = read(real, keys[2], stats)
        named = {"category": slice(self.categories)}
        if self.spare:
            named["spare"] = slice(first.shape[1] - self.spare, None)
        for name, own in named.items():
            shares = (jax.nn.softmax(outputs[:, own]) for outputs in (first, second))
            terms[f"agreement/{name}"] = -self.agreement * mutual_information(*shares)
        return terms, stats


def mutual_information(first: jax.Array, second: jax.Array) -> jax.Array:
    """How much two readings of the same things say of each other, in nats.

    I = Σ P_ij log(P_ij / (P_i P_j)) with P the symmetrized mean of first_i second_j. It is largest,
    log k, where both say the same of each thing, for certain, and all k values equally often.

    Args:
        first: (batch, k), probabilities of k values.
        second: (batch, k), the same of another reading.

    Returns:
        A scalar (arXiv:1807.06653, equations 2 and 3).
    """
    joint = first.T @ second / len(first)
    joint = jnp.maximum(0.5 * (joint + joint.T), _LEAST_SHARE)
    joint /= joint.sum()
    rows = jnp.log(joint.sum(axis=1))
    return (joint * (jnp.log(joint) - rows[:, None] - rows[None, :])).sum()
