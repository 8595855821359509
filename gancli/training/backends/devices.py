"""One run on the devices of a job: on one device, or divided among several."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.system import processes
from gancli.system.interruption import StopRequest
from gancli.system.placement import Placement, placement_for
from gancli.tasks.program import Program
from gancli.training.execution import Chunk, Drawn, Execution, build_execution

Result = TypeVar("Result")

_MOST_STEPS_A_CALL = 128


class Devices:
    """Computes the steps of one run alone; see `Backend`."""

    execution: Execution
    _play: Callable[[TrainState, Drawn], Chunk] | None

    def prepare(
        self, config: Config, program: Program, state: TrainState
    ) -> tuple[tuple[str, ...], Chunk]:
        """Places the state on the devices."""
        placement = self.placement(config, program)
        if placement is not None:
            state = jax.device_put(jax.device_get(state), placement.of_state(state))
        self.execution = build_execution(
            program.moves, program.source, config.train.seed, state, _MOST_STEPS_A_CALL, placement
        )
        names = self.execution.names
        return names, Chunk(state, 0, jnp.zeros((0, len(names))))

    def placement(self, config: Config, program: Program) -> Placement | None:
        """The devices that compute the steps; None for a single one."""
        at_once = config.train.microbatch or program.task.examples_per_update
        return placement_for(at_once, config.train.shard_state)

    def compile(self, here: Chunk, stop: StopRequest) -> Future[bool]:
        """Compiles in a thread, which a request to stop leaves behind."""
        self._play = processes.while_listening(self.execution.compile, stop)
        return done(self._play is not None)

    def advance(self, here: Chunk, most: int, drawn: Callable[[], None]) -> Future[Chunk]:
        """Dispatches the steps; their metrics arrive once the devices have computed them."""
        assert self._play is not None
        batches = self.execution.draw(most)
        drawn()
        return done(self._play(here.state, batches))


def done(result: Result) -> Future[Result]:
    """A future that already has its result."""
    future: Future[Result] = Future()
    future.set_result(result)
    return future
