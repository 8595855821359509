"""Noise to examples: one generator against one discriminator."""

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.tasks.adversarial import adversarial_task
from gancli.tasks.latents import Distribution, Latent
from gancli.tasks.task import TASKS, Task


@TASKS.register("generation", reference="arXiv:1406.2661")
def generation(
    config: Config, data: DataSpec, latent: Latent = 64, distribution: Distribution = "normal"
) -> Task:
    """Noise to examples: a generator learns to make what the data set holds.

    Args:
        config: the run's configuration.
        data: what the examples look like.
        latent: dimensions of the noise.
        distribution: of the noise: standard normal, or uniform in [-1, 1].

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    return adversarial_task(config, data, latent, distribution)
