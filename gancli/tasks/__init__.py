"""Tasks: what is trained against what, one file each, all of them in `TASKS`."""

from gancli.tasks import generation as _generation  # noqa: F401
from gancli.tasks.task import TASKS, Sampler, Task

__all__ = ["TASKS", "Sampler", "Task"]
