"""Generation: noise to examples, one generator against one discriminator."""

from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.tasks.adversarial import adversarial_task
from gancli.tasks.latents import Distribution, Latent
from gancli.tasks.path_length import PathInterval, PathLength, PathWeight
from gancli.tasks.task import TASKS, Task


@TASKS.register("generation", reference="arXiv:1406.2661")
def generation(
    config: Config,
    data: DataSpec,
    latent: Latent = 64,
    distribution: Distribution = "normal",
    path_length: PathWeight = 0.0,
    path_every: PathInterval = 4,
) -> Task:
    """Noise to examples: a generator learns the distribution of the data.

    Args:
        config: the run's configuration.
        data: description of the examples.
        latent: dimensions of the noise.
        distribution: distribution of the noise: standard normal, or uniform in [-1, 1].
        path_length: weight of (‖Jᵀ y‖ - a)², path-length regularization: equal steps in latent
            space change images equally (arXiv:1912.04958, published with 2); 0 for none. J is the
            Jacobian of the images with respect to w if the model has a mapping network, else to
            the noise.
        path_every: apply it at every so many steps, multiplied by that number.

    Returns:
        The task, with the players `discriminator` and `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    path = PathLength(path_length, path_every)
    return adversarial_task(config, data, latent, distribution, path=path)
