"""Conditional generation: noise and a label to examples of that label."""

from collections.abc import Mapping
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.registry import Bounds
from gancli.tasks.adversarial import Condition, adversarial_task, cross_entropy
from gancli.tasks.latents import Distribution, Latent
from gancli.tasks.opponent import require_unpacked
from gancli.tasks.path_length import PathInterval, PathLength, PathWeight
from gancli.tasks.task import TASKS, Task


@TASKS.register(
    "conditional", also="acgan cgan", reference="arXiv:1411.1784, 1610.09585 (AC-GAN), 1802.05637"
)
def conditional(
    config: Config,
    data: DataSpec,
    latent: Latent = 64,
    distribution: Distribution = "normal",
    discriminator: Literal["concatenation", "projection", "auxiliary"] = "projection",
    weight: Annotated[float, Bounds(0, 1e6)] = 1.0,
    path_length: PathWeight = 0.0,
    path_every: PathInterval = 4,
) -> Task:
    """Noise and a label to examples of that label; both networks receive the label.

    The generator takes the label as a one-hot vector appended to its noise, or in its batch
    normalization (the model's generator_norm=conditional). Generated examples have the labels of
    the real examples of the same batch.

    The discriminator's last layer has one output o, and with the last two choices also one output
    c_k per label. Its logit of (x, y) is

    - concatenation: o, with y as further channels of x (arXiv:1411.1784);
    - projection: o + c_y, where c_y is the inner product of its features and an embedding of y
      (arXiv:1802.05637);
    - auxiliary: o; both players also minimise the cross-entropy of softmax(c) and y, the
      discriminator for real and generated examples, the generator for its own (AC-GAN,
      arXiv:1610.09585).

    Args:
        config: the run's configuration.
        data: description of the examples, which must have labels.
        latent: dimensions of the noise.
        distribution: distribution of the noise: standard normal, or uniform in [-1, 1].
        discriminator: how the discriminator receives the label.
        weight: weight of the cross-entropy, with auxiliary.
        path_length: weight of (‖Jᵀ y‖ - a)², as in generation.
        path_every: apply it at every so many steps, multiplied by that number.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the data have no labels, or the parts do not fit each other.
    """
    classes = len(data.classes)
    if not classes:
        raise UserError(
            f"task 'conditional' with the data set {shown(data.name)}, which has no labels",
            "a labelled one, such as digits, mnist, or a folder whose sub-folders are the labels",
            "Choose another --dataset, or --task generation",
        )
    if discriminator != "concatenation":
        what = f"discriminator={discriminator}"
        require_unpacked(config, what, "1, or discriminator=concatenation")

    def draw(key: jax.Array, count: int, batch: Mapping[str, jax.Array]) -> jax.Array:
        return jax.nn.one_hot(batch["labels"], classes)

    condition = Condition(
        codes=classes,
        draw=draw,
        of_label=lambda key, label: jax.nn.one_hot(label, classes),
        classes=data.classes,
    )
    if discriminator == "concatenation":
        condition = condition._replace(told=True)
    elif discriminator == "projection":
        condition = condition._replace(outputs=1 + classes, logits=projected, compared=True)
    else:
        condition = condition._replace(
            outputs=1 + classes,
            logits=lambda outputs, codes: outputs[:, 0],
            terms=lambda player, real, fake, codes: {
                f"label_loss/{kind}": weight * cross_entropy(outputs[:, 1:], codes)
                for kind, outputs in {"real": real, "fake": fake}.items()
                if (player, kind) != ("generator", "real")
            },
        )
    path = PathLength(path_length, path_every)
    return adversarial_task(config, data, latent, distribution, condition, path)


def projected(outputs: jax.Array, codes: jax.Array) -> jax.Array:
    """The logits o + c·y (n,) of outputs (n, 1 + classes) and labels (n, classes)."""
    return outputs[:, 0] + jnp.sum(outputs[:, 1:] * codes, axis=1)
