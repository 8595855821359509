"""Training of runs in several processes of this machine.

Each process trains one run after another, as `gan train` would, and sends its events. It ends
with its parent process, however that ends; files that it was writing then have no final name yet.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from gancli.config import Config
from gancli.errors import GanError
from gancli.evaluation import Question
from gancli.system.interruption import SIGNALS, StopNow, StopRequest, listen
from gancli.training.events import Event, Finished

# Seconds between checks for a request to stop.
_POLL_SECONDS = 0.2


class Job(NamedTuple):
    """A run to train and measure: its directory and its plan."""

    path: Path
    config: Config
    question: Question


class WorkerError(GanError):
    """A process that trained a run died; its own message, if any, is on standard error."""


def train_in_processes(
    jobs: Sequence[Job], count: int, stop: StopRequest
) -> Iterator[tuple[int, Event | GanError]]:
    """Trains several runs at once, each from its current step.

    Args:
        jobs: the runs, in order of their start.
        count: largest number of processes.
        stop: passed on to all processes; each run then saves everything.

    Yields:
        The place of a run among the jobs and its events; at last its error if it failed.

    Raises:
        WorkerError: if a process dies; the others are stopped, and their runs saved.
    """
    left = deque(range(len(jobs)))
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    at: dict[Connection, int] = {}
    asked = False
    with stop.deferred():
        try:
            for _ in range(min(count, len(jobs))):
                connection, process = _begin(context)
                workers[connection] = process
                at[connection] = left.popleft()
                connection.send(jobs[at[connection]])
            while at:
                if stop and not asked:
                    asked = True
                    left.clear()
                    for process in workers.values():
                        _interrupt(process)
                for ready in wait(list(at), _POLL_SECONDS):
                    assert isinstance(ready, Connection)
                    index = at[ready]
                    try:
                        happened = ready.recv()
                    except EOFError:
                        workers[ready].join()
                        raise WorkerError(
                            f"the process that trained {jobs[index].path} ended with "
                            f"{workers[ready].exitcode}"
                        ) from None
                    if happened is not None:
                        yield index, happened
                        continue
                    del at[ready]
                    if left and not stop:
                        at[ready] = left.popleft()
                        ready.send(jobs[at[ready]])
        except KeyboardInterrupt:
            for process in workers.values():
                process.kill()
            raise
        finally:
            _end(workers, at)


def _begin(context: SpawnContext) -> tuple[Connection, BaseProcess]:
    """Starts a process; signals wait until it listens for them."""
    own, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return own, process


def _interrupt(process: BaseProcess) -> None:
    """Passes on a request to stop."""
    if process.is_alive():
        process.terminate()


def _end(workers: Mapping[Connection, BaseProcess], training: Collection[Connection]) -> None:
    """Ends all processes; those that train save first, and their events are still received."""
    for connection in training:
        _interrupt(workers[connection])
    for connection in workers:
        with suppress(EOFError, OSError):
            while connection in training and connection.recv() is not None:
                pass
        connection.close()
    for process in workers.values():
        process.join()


def _work(connection: Connection) -> None:
    """The main function of a process: trains the jobs that it receives, and sends their events."""
    try:
        stop = listen()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _train_what_is_sent(connection, stop)
    except (StopNow, KeyboardInterrupt, ConnectionError):
        os._exit(1)  # Asked to end at once, or its parent is gone.


def _train_what_is_sent(connection: Connection, stop: StopRequest) -> None:
    # If its parent is killed and started again, every run must be unlocked.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with stop.deferred():
        import jax

        from gancli.system.compilation_cache import keep_compiled

        keep_compiled()
        while not stop:
            try:
                job: Job = connection.recv()
            except EOFError:
                return
            _train(job, stop, connection)
            jax.clear_caches()  # The next run is probably another variant.
            connection.send(None)


def _train(job: Job, stop: StopRequest, connection: Connection) -> None:
    """Trains and measures one run, and sends its events and its error."""
    from gancli.comparison.measurements import measure_run
    from gancli.data.configured import load_data
    from gancli.training.loop import train
    from gancli.training.planning import opened, plan_of

    try:
        planned = plan_of(job.config, load_data(job.config))
        ends = []
        with opened(job.path, planned) as run:
            for event in train(planned, run, stop):
                if isinstance(event, Finished):
                    ends.append(event)  # Sent after the measurement, which is part of the run.
                else:
                    connection.send(event)
        measure_run(run, planned.config, planned.dataset, job.question)
        for event in ends:
            connection.send(event)
    except GanError as error:
        connection.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
