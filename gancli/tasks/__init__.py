"""Tasks: what is trained against what, one file each, all of them in `TASKS`."""

from gancli.tasks import (  # noqa: F401 - these fill the registry
    conditional,
    generation,
    gumbel,
    infogan,
    maximum_likelihood,
    policy_gradient,
    vae,
    vae_gan,
)
from gancli.tasks.task import TASKS, Sampler, Task

__all__ = ["TASKS", "Sampler", "Task"]
