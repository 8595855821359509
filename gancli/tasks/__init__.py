"""Tasks, one file each, registered in `TASKS`: which networks play which game."""

from gancli.registry import import_all
from gancli.tasks.task import TASKS, Part, Sampler, Task, Translator

__all__ = ["TASKS", "Part", "Sampler", "Task", "Translator"]

import_all(__name__, __path__)
