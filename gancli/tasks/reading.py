"""Networks that predict values from examples, and a player that predicts codes from views.

A code that must be predicted from augmented views cannot depend on what augmentation changes, and
the common content of two views of a real image determines the codes of real images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.networks import MODELS, Interface, Network, networks_of
from gancli.registry import parse_spec

# Model options that a predicting network drops.
OF_CRITICS = ("spectral_norm", "minibatch")
_LEAST_SHARE = 1e-8  # Keeps the logarithm within float32.


def reader_of(config: Config, data: DataSpec, outputs: int, **options: str) -> Network:
    """A network that predicts values from examples: the model's discriminator.

    It drops the options that only suit critics, because its outputs must depend on one example.

    Args:
        config: the run's configuration.
        data: description of the examples.
        outputs: number of values to predict per example.
        options: model options that replace the configured ones, where the model has them.

    Returns:
        The network, from (batch, *shape) to (batch, outputs), or (batch,) for one output.
    """
    spec = parse_spec(config.model)
    known = {option.name for option in MODELS.entry(spec).options}
    chosen = {key: value for key, value in spec.options.items() if key not in OF_CRITICS}
    chosen |= {key: value for key, value in options.items() if key in known}
    joined = ",".join(f"{key}={value}" for key, value in chosen.items())
    model = f"{spec.name}:{joined}" if joined else spec.name
    return networks_of(config, Interface(data.shape, 1, outputs=outputs), model).discriminator


class Reader(NamedTuple):
    """The player `reader`, which predicts codes instead of the discriminator.

    `code_losses(outputs, codes)` are the losses of the `network`'s outputs for a view of each
    example, by name; the generator minimises them, too. The first `categories` outputs predict the
    categorical code, the last `spare` a finer code that generates no example. For both, the reader
    maximises `agreement` times the mutual information of its predictions for two views of a real
    image.
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
        """The reader's terms of a player's loss.

        Args:
            player: `reader` or `generator`.
            weights: the reader's parameters and statistics.
            examples: real and generated ones, each (batch, height, width, channels).
            codes: (batch, codes) of the generated examples.
            key: random key of the views.

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
    """The mutual information of two predictions for the same examples, in nats.

    I = Σ P_ij log(P_ij / (P_i P_j)) with P the symmetrized mean of first_i second_j. Its maximum
    log k is reached if both predictions are certain and equal, and all k values equally frequent.

    Args:
        first: (batch, k), probabilities of k values.
        second: (batch, k), the same of the other prediction.

    Returns:
        A scalar (arXiv:1807.06653, equations 2 and 3).
    """
    joint = first.T @ second / len(first)
    joint = jnp.maximum(0.5 * (joint + joint.T), _LEAST_SHARE)
    joint /= joint.sum()
    rows = jnp.log(joint.sum(axis=1))
    return (joint * (jnp.log(joint) - rows[:, None] - rows[None, :])).sum()
