"""Translation of images that is learned from pairs."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.tasks.cyclegan import with_channels
from gancli.tasks.paired import Objective, Pairing, Weight, paired_task
from gancli.tasks.task import TASKS, Task


@TASKS.register(
    "paired",
    also="pix2pix",
    reference="arXiv:1611.07004 (pix2pix)",
    recipe={"model": "unet", "data.paired": "AtoB"},
)
def paired(
    config: Config,
    data: DataSpec,
    pixel: Weight = 100.0,
    feature: Weight = 0.0,
    adversarial: Weight = 1.0,
) -> Task:
    """Paired translation: a generator makes the second image of a pair of the first one.

    Of a source s the generator makes x = tanh G(s). It minimises λp mean |x - y| +
    λf mean |f(x) - f(y)| + λa times the adversarial loss of x, with the image y that belongs to s
    and the last hidden features f of the discriminator, which sees s beside x or y. With
    λf = λa = 0 there is no discriminator.

    Args:
        config: the run's configuration.
        data: description of both sets of images.
        pixel: λp.
        feature: λf.
        adversarial: λa.

    Returns:
        The task, with the players `discriminator`, if there is one, and `generator`.

    Raises:
        UserError: if the data are no pairs, or the parts do not fit each other.
    """
    target = data.target
    if target is None or not config.data.paired:
        raise UserError(
            f"task 'paired' with {shown(data.name)}, which has no pairs",
            "a folder with trainA and trainB, a folder of images that hold two side by side, or "
            "--dataset A --target B",
            "Name pairs, and set data.paired to AtoB or BtoA",
        )

    def pair(batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return batch["examples"], batch["target"]

    def same(images: jax.Array) -> jax.Array:
        return images

    pairing = Pairing(
        data.shape[-1],
        pair,
        source=same,
        plain=lambda sources: with_channels(sources, target.shape[-1]),
        given=same,
        made=lambda _, outputs: jnp.tanh(outputs),
        together=True,
    )
    return paired_task(config, target, pairing, Objective(pixel, feature, adversarial))
