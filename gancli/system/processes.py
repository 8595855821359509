"""Jobs of several processes: joining them, and making the same decisions in each.

All processes compute the same program on a batch that is divided among their devices, and
hold the same state. The first process writes the run.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.errors import UserError, excerpt


class Agreement(NamedTuple):
    """What all processes do next: whether to stop, whether to save, and how many steps to make."""

    stop: bool
    save: bool
    steps: int


def join(environment: Mapping[str, str] = os.environ) -> None:
    """Joins the other processes of a job, if there are any, before anything is computed.

    Args:
        environment: holds JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; in a
            Slurm step with several tasks JAX finds the values itself.

    Raises:
        UserError: if one of the three is missing or not a number.
    """
    address = environment.get("JAX_COORDINATOR_ADDRESS")
    if address:
        count, number = explicit(environment)
        if count > 1:
            _initialize(
                address, coordinator_address=address, num_processes=count, process_id=number
            )
    elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        _initialize("of the Slurm step", cluster_detection_method="slurm")


def explicit(environment: Mapping[str, str]) -> tuple[int, int]:
    """The number of processes of a job, and which of them this one is, as its user has set them.

    Raises:
        UserError: if one of them is missing or not a number, or they do not fit each other.
    """
    count = _number(environment, "JAX_NUM_PROCESSES")
    number = _number(environment, "JAX_PROCESS_ID")
    if not 0 <= number < count:
        raise UserError(f"JAX_PROCESS_ID was {number}", f"0 to {count - 1}")
    return count, number


def start_devices() -> None:
    """Starts the devices, so that what keeps JAX from it is said before any work.

    Raises:
        UserError: if it cannot, such as for devices in JAX_PLATFORMS that this machine has not.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # The latter without the plugin of a platform.
        asked = jax.config.values["jax_platforms"]
        raise UserError(
            f"JAX cannot start the devices of JAX_PLATFORMS={asked or ''}: {excerpt(error)}",
            "devices that this machine has and nobody else holds",
            "Leave JAX_PLATFORMS out to use what there is, or install JAX for those devices",
        ) from error


def is_first() -> bool:
    """Whether this process writes the run."""
    return jax.process_index() == 0


def are_several() -> bool:
    """Whether the job has other processes."""
    return jax.process_count() > 1


def meet(place: str) -> None:
    """Waits until every process has reached a place in the program."""
    if are_several():
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(place)


def agree(stop: bool, save: bool, steps: int) -> Agreement:
    """Makes the same decision in all processes.

    Args:
        stop: whether this process was asked to stop; one such process stops all.
        save: whether it is time to save; the first process decides.
        steps: number of steps to make next; the first process decides.
    """
    if not are_several():
        return Agreement(stop, save, steps)
    from jax.experimental import multihost_utils

    said = np.asarray(multihost_utils.process_allgather(np.array([stop, save, steps], np.int32)))
    return Agreement(bool(said[:, 0].any()), bool(said[0, 1]), int(said[0, 2]))


def of_first(value: Any) -> Any:
    """A JSON value of the first process, in all processes.

    Args:
        value: anything in the others.
    """
    if not are_several():
        return value
    from jax.experimental import multihost_utils

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    said = np.zeros(agree(False, False, len(text)).steps, np.uint8)
    if is_first():
        said[:] = text
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(said)).tobytes())


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal():
        raise UserError(
            f"{name} was {text!r}, and JAX_COORDINATOR_ADDRESS asks for several processes",
            "a whole number",
            "Set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or none of them",
        )
    return int(text)


def _initialize(where: str, **arguments: Any) -> None:
    # JAX's handler of SIGTERM would replace ours.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(**arguments)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this job did not find each other at {where}: {error}",
            "an address of the first process that all can reach",
            "Check JAX_COORDINATOR_ADDRESS",
        ) from error
