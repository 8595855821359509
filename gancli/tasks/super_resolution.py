"""Super-resolution: small images to large ones."""

from typing import Annotated

import jax
import jax.numpy as jnp

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.registry import Bounds
from gancli.tasks.paired import Objective, Weight, degraded, in_bytes, paired_task
from gancli.tasks.task import TASKS, Task


@TASKS.register(
    "super-resolution", also="srgan", reference="arXiv:1609.04802 (SRGAN)", recipe={"model": "unet"}
)
def super_resolution(
    config: Config,
    data: DataSpec,
    factor: Annotated[int, Bounds(2, 16)] = 4,
    pixel: Weight = 100.0,
    feature: Weight = 0.0,
    adversarial: Weight = 1.0,
) -> Task:
    """Super-resolution: a generator adds the detail that bicubic interpolation cannot restore.

    Sources are the images of the data, downscaled by bicubic interpolation with antialiasing and
    rounded to 8 bits. The generator minimises λp mean |x - y| + λf mean |f(x) - f(y)| + λa times
    the adversarial loss of its images x, with the originals y. f are the discriminator's last
    hidden features, in place of an image classifier's. With λf = λa = 0 there is no discriminator.

    Args:
        config: the run's configuration.
        data: description of the images.
        factor: ratio of the originals' sides to the sources'.
        pixel: λp.
        feature: λf.
        adversarial: λa.

    Returns:
        The task, with the players `discriminator`, if there is one, and `generator`.

    Raises:
        UserError: if the data are not images with sides that the factor divides, or the parts do
            not fit each other.
    """
    if data.kind != "image" or any(side % factor for side in data.shape[:2]):
        what = "x".join(map(str, data.shape[:2])) + " pixels" if data.kind == "image" else "points"
        raise UserError(
            f"task 'super-resolution' with factor={factor} and {shown(data.name)} of {what}",
            f"images whose sides are multiples of {factor}",
            "Choose another factor, or set data.size",
        )

    def resized(images: jax.Array, height: int, width: int) -> jax.Array:
        shape = (images.shape[0], height, width, images.shape[-1])
        return jnp.clip(jax.image.resize(images, shape, "cubic"), -1, 1)

    def source(images: jax.Array) -> jax.Array:
        _, height, width, _ = images.shape
        return in_bytes(resized(images, height // factor, width // factor))

    def plain(sources: jax.Array) -> jax.Array:
        _, height, width, _ = sources.shape
        return resized(sources, height * factor, width * factor)

    pairing = degraded(data.shape[-1], source, plain)
    return paired_task(config, data, pairing, Objective(pixel, feature, adversarial))
