"""Jobs of several processes: joining them, and making the same decisions in each.

All processes compute the same program on a batch that is divided among their devices, and
hold the same state. The first process writes the run. What one of them refuses, or is asked to
stop, ends all of them; if one is gone, the others end with an error.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import wait
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from gancli.errors import GanError, UserError, excerpt
from gancli.system import interruption
from gancli.system.interruption import StopNow, StopRequest

Built = TypeVar("Built")

# Seconds after which a process that says nothing is taken for dead.
_HEARTBEAT_SECONDS = 30
# Seconds between questions whether one process was asked to stop, while they do slow work.
_ASKED_SECONDS = 0.5
# Exit statuses with which all processes end after the same step: finished, or diverged.
_ENDED_ALIKE = (0, 3)
# Set once each process knows that all of them end now.
_ENDING = threading.Event()


class LostProcessError(GanError):
    """Another process of this job is gone."""


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
    said = _said_by_all(stop, save, steps)
    return Agreement(bool(said[:, 0].any()), bool(said[0, 1]), int(said[0, 2]))


@contextmanager
def alike(stop: StopRequest | None = None) -> Iterator[None]:
    """What each process does by itself before all go on: all of them do, or none.

    Args:
        stop: whether this process was asked to stop; the request waits until the block ends.

    Raises:
        UserError: if the block does so in this process or in another one.
        StopNow: if one of the processes was asked to stop.
    """
    if not are_several():
        yield
        return
    refusal = None
    with stop.deferred() if stop is not None else nullcontext():
        try:
            yield
        except UserError as error:
            refusal = error
        said = _said_by_all(refusal is not None, bool(stop))
    if said.any():
        all_end()
    if refusal is not None:
        raise refusal
    if said[:, 0].any():
        raise UserError(
            f"process {int(said[:, 0].argmax())} of this job refuses its input",
            "input that every process accepts",
            "Its own message says more",
        )
    if said[:, 1].any():
        raise StopNow


def while_listening(build: Callable[[], Built], stop: StopRequest) -> Built | None:
    """Calls a slow function in a thread, in all processes, unless one of them is asked to stop.

    Args:
        build: the function, safe to cut off; it must not communicate.
        stop: the request to this process.

    Returns:
        The function's result once all have theirs; None in all if a request came first. It is
        heard within a second.
    """
    if not are_several():
        return interruption.while_listening(build, stop)
    thread, future = interruption.start(build)
    while True:
        working = not wait([future], timeout=_ASKED_SECONDS).done
        said = _said_by_all(bool(stop), working)
        if not said[:, 1].any():
            thread.join()
            return future.result()
        if said[:, 0].any():
            return None


@contextmanager
def losing_none() -> Iterator[None]:
    """Says what it means if the processes cannot reach each other any more.

    Raises:
        LostProcessError: in place of JAX's error.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not are_several() or "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise LostProcessError(
            f"process {jax.process_index()} of {jax.process_count()} cannot reach the others: one "
            f"of them has ended, and its own message may say why ({excerpt(error)}). What was "
            "saved is intact; the same command for all processes goes on from there"
        ) from error


def all_end() -> None:
    """Notes that all processes are about to end."""
    _ENDING.set()


def leave(status: int) -> bool:
    """Ends the part of this process in a job of several.

    Where all end alike it waits for the others, because the end of the first one ends all.

    Args:
        status: the exit status.

    Returns:
        Whether to exit at once, without JAX's own wait for the others, which wait for this one.
    """
    if not jax.distributed.is_initialized():
        return False
    if not (_ENDING.is_set() or status in _ENDED_ALIKE):
        return True
    jax.distributed.shutdown()
    return False


def of_first(value: Any) -> Any:
    """A JSON value of the first process, in all processes.

    Args:
        value: anything in the others.
    """
    if not are_several():
        return value
    from jax.experimental import multihost_utils

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    said = np.zeros(int(_said_by_all(len(text))[0, 0]), np.uint8)
    if is_first():
        said[:] = text
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(said)).tobytes())


def _said_by_all(*values: int) -> np.ndarray:
    """The numbers of all processes, (processes, values)."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array(values, np.int32)))


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
        jax.distributed.initialize(heartbeat_timeout_seconds=_HEARTBEAT_SECONDS, **arguments)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this job did not find each other at {where}: {error}",
            "an address of the first process that all can reach",
            "Check JAX_COORDINATOR_ADDRESS",
        ) from error
