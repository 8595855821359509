"""The interface of a backend, which computes the steps of a run."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.system.interruption import StopRequest
from gancli.tasks.program import Program
from gancli.training.execution import Chunk


class Backend(Protocol):
    """Computes the steps of one run.

    `compile` and `advance` return at once, perhaps before their result is available, because a
    run that is computed together with others waits for them.
    """

    def prepare(
        self, config: Config, program: Program, state: TrainState
    ) -> tuple[tuple[str, ...], Chunk]:
        """Accepts a program, built from a configuration, and the state that it continues from.

        Returns:
            The names of the metrics, and the chunk that holds the state.
        """
        ...

    def compile(self, here: Chunk, stop: StopRequest) -> Future[bool]:
        """Compiles the program; the result says whether it finished before a request to stop."""
        ...

    def advance(self, here: Chunk, most: int, drawn: Callable[[], None]) -> Future[Chunk]:
        """Computes the next steps, at most `most`, from the state of `here`.

        That state is donated; `drawn` is called once the batches of the steps are drawn.
        """
        ...
