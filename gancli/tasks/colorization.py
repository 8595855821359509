"""Colorization: grey images to colour images."""

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.tasks.paired import Objective, Weight, degraded, in_bytes, paired_task
from gancli.tasks.task import TASKS, Task

# Weights of red, green and blue in the luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@TASKS.register("colorization", reference="arXiv:1611.07004 (pix2pix)", recipe={"model": "unet"})
def colorization(
    config: Config,
    data: DataSpec,
    pixel: Weight = 100.0,
    feature: Weight = 0.0,
    adversarial: Weight = 1.0,
) -> Task:
    """Colorization: a generator restores the colour of grey images.

    Sources are the luma 0.299 R + 0.587 G + 0.114 B of the data's images (ITU-R BT.601), rounded
    to 8 bits. The generator minimises λp mean |x - y| + λf mean |f(x) - f(y)| + λa times the
    adversarial loss of its images x, with the originals y and the discriminator's last hidden
    features f; with λf = λa = 0 there is no discriminator.

    Args:
        config: the run's configuration.
        data: description of the images.
        pixel: λp.
        feature: λf.
        adversarial: λa.

    Returns:
        The task, with the players `discriminator`, if there is one, and `generator`.

    Raises:
        UserError: if the data are not colour images, or the parts do not fit each other.
    """
    if data.kind != "image" or data.shape[-1] != 3:
        what = "grey images" if data.kind == "image" else "points"
        raise UserError(
            f"task 'colorization' with {what} {data.shape} of {shown(data.name)}",
            "colour images",
            "Choose another --dataset, such as cifar10 or a folder of photographs",
        )

    def source(images: jax.Array) -> jax.Array:
        return in_bytes(
            (images * jnp.broadcast_to(jnp.array(_LUMA), images.shape)).sum(axis=-1, keepdims=True)
        )

    def plain(sources: jax.Array) -> jax.Array:
        return jnp.repeat(sources, 3, axis=-1)

    pairing = degraded(1, source, plain)
    return paired_task(config, data, pairing, Objective(pixel, feature, adversarial))
