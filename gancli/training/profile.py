"""Where the time of steps goes: a trace of some calls to the device, and its costliest operations.

The trace is JAX's own: TensorBoard's profile plugin reads its folder, and Perfetto opens its
`*.trace.json.gz`.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

import jax

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.files import cannot_write
from gancli.system import processes
from gancli.system.interruption import StopRequest
from gancli.tasks.program import Program
from gancli.training.backends import Backend, Devices
from gancli.training.backends.devices import done
from gancli.training.events import Event, Operation, Profiled, Warned
from gancli.training.execution import Chunk

# The first calls set the pace, and are no example of the later ones.
_CALLS_BEFORE, _CALLS_TRACED = 2, 5
# Of a traced call, so that the trace stays small enough to be opened.
_MOST_STEPS = 16
_OPERATIONS_SHOWN = 10
# These hold other operations, which are counted themselves.
_OUTER = ("while", "call", "conditional")
# XLA's name of the program that `execution` compiles.
_MODULE = "jit_many_steps"


class Profiling:
    """A backend that traces some of another one's calls; see `Backend`.

    Results do not change, because they do not depend on the number of steps of a call. In a job of
    several processes the first one writes the trace.

    Args:
        backend: computes the steps.
        folder: where the trace goes.
    """

    def __init__(self, backend: Backend, folder: Path):
        self._backend, self.folder = backend, folder
        self._calls = self.steps = 0
        self._tracing = False

    def prepare(
        self, config: Config, program: Program, state: TrainState
    ) -> tuple[tuple[str, ...], Chunk]:
        """Passes the program on."""
        return self._backend.prepare(config, program, state)

    def compile(self, here: Chunk, stop: StopRequest) -> Future[bool]:
        """Compiles the program."""
        return self._backend.compile(here, stop)

    def advance(self, here: Chunk, most: int, drawn: Callable[[], None]) -> Future[Chunk]:
        """Computes the next steps, and waits for those that are traced."""
        number, self._calls = self._calls, self._calls + 1
        if not _CALLS_BEFORE <= number < _CALLS_BEFORE + _CALLS_TRACED:
            return self._backend.advance(here, most, drawn)
        if number == _CALLS_BEFORE:
            jax.block_until_ready(here.table)
            self._begin()
        chunk = self._backend.advance(here, min(most, _MOST_STEPS), drawn).result()
        jax.block_until_ready(chunk.table)
        self.steps += chunk.steps
        if number == _CALLS_BEFORE + _CALLS_TRACED - 1:
            self.end()
        return done(chunk)

    def _begin(self) -> None:
        """Begins the trace, without Python's own calls, which would slow the steps."""
        if not processes.is_first():
            return
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        jax.profiler.start_trace(self.folder, profiler_options=options)
        self._tracing = True

    def end(self) -> None:
        """Ends the trace, if there is one, and writes it."""
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()

    def events(self) -> Iterator[Event]:
        """What the trace says, once the run has ended."""
        self.end()
        if not processes.is_first():
            return
        if self.steps:
            yield Profiled(self.folder, self.steps, costliest(self.folder)[:_OPERATIONS_SHOWN])
        elif self._calls:
            yield Warned(
                f"logging.profile=true wrote no trace: it begins after {_CALLS_BEFORE} calls to "
                f"the device, and this run ended after {self._calls}"
            )


def profiling(config: Config, folder: Path, backend: Backend | None) -> Backend:
    """The backend of a run, which traces itself if the configuration asks for that.

    Args:
        config: the run's.
        folder: where the trace goes.
        backend: the run's; None for the devices of this job. Runs that are trained together share
            their steps, so that none of them has a trace of its own.
    """
    if backend is not None:
        return backend
    return Profiling(Devices(), folder) if config.logging.profile else Devices()


def profiled(
    events: Generator[Event, None, None], config: Config, backend: Backend
) -> Generator[Event, None, None]:
    """The events of a run, and after them what its trace says."""
    if not isinstance(backend, Profiling):
        if config.logging.profile:
            yield Warned("logging.profile=true writes no trace of runs that are trained together")
        yield from events
        return
    try:
        yield from events
    finally:
        backend.end()
    yield from backend.events()


def costliest(folder: Path) -> list[Operation]:
    """The operations of the newest trace in a folder, by the time that they took in all.

    Times of threads and devices that compute at the same time are added up.
    """
    path = max(folder.rglob("*.xplane.pb"), key=lambda file: file.stat().st_mtime_ns)
    calls: dict[str, int] = defaultdict(int)
    took: dict[str, float] = defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                stats = dict(event.stats)
                name = str(stats.get("hlo_op", ""))
                of_steps = stats.get("hlo_module") == _MODULE  # Not of a picture in between.
                if of_steps and name and name.partition(".")[0] not in _OUTER:
                    calls[name] += 1
                    took[name] += event.duration_ns / 1e9
    total = sum(took.values())
    found = [Operation(name, calls[name], took[name], took[name] / total) for name in took]
    return sorted(found, key=lambda operation: -operation.seconds)
