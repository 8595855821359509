"""What computes the steps of a run."""

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

    `compile` and `advance` return at once, perhaps before they have a result: a run that is
    computed together with others waits for them.
    """

    def prepare(
        self, config: Config, program: Program, state: TrainState
    ) -> tuple[tuple[str, ...], Chunk]:
        """Takes on a program, built from a configuration, that goes on from a state.

        Returns:
            The names of the metrics, and where the run stands.
        """
        ...

    def compile(self, here: Chunk, stop: StopRequest) -> Future[bool]:
        """Compiles the program; the result is whether that was done before a request to stop."""
        ...

    def advance(self, here: Chunk, most: int, drawn: Callable[[], None]) -> Future[Chunk]:
        """Computes the next steps, `most` of them at most, from where the run stands.

        The state of `here` is donated; `drawn` is called once the steps' batches are drawn.
        """
        ...
