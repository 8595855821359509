"""Tasks: what is trained against what, one file each, all of them in `TASKS`."""

from gancli.tasks import (  # noqa: F401 - these fill the registry
    colorization,
    conditional,
    cyclegan,
    generation,
    gumbel,
    infogan,
    maximum_likelihood,
    policy_gradient,
    super_resolution,
    vae,
    vae_gan,
)
from gancli.tasks.task import TASKS, Sampler, Task, Translator

__all__ = ["TASKS", "Sampler", "Task", "Translator"]
