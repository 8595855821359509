"""Our side of the benchmark: a step as `gan train` plays it, in a process of its own."""

import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gancli.adversarial.dynamics import TrainState, Turn
from gancli.adversarial.keys import Stream
from gancli.cli.application import compute
from gancli.config import Layer
from gancli.runs.directory import device_name
from gancli.runs.versions import versions as all_versions
from gancli.training.execution import build_execution, step_of
from gancli.training.planning import plan

# Steps of a call, as in a run.
_MOST_STEPS_A_CALL = 128
# Standard deviation of what is added to initial weights, some of which are 0, before losses are
# compared.
_SHIFT = 0.02


class Worker:
    """The steps of a configuration; the methods are what the benchmark asks of it.

    Args:
        settings: values of the configuration by dotted key.
    """

    def __init__(self, settings: Mapping[str, Any]):
        compute()
        jax.config.update("jax_enable_compilation_cache", False)
        self.planned = plan([Layer("benchmark", dict(settings))])
        self.program = self.planned.program
        self.state = self.program.initial_state(0)
        self.execution = build_execution(
            self.program.moves, self.program.source, 0, self.state, _MOST_STEPS_A_CALL
        )
        self._play = self.execution.compile()

    def described(self) -> dict[str, Any]:
        """What the peer needs: the resolved configuration, and the data by name."""
        dataset = self.planned.dataset
        examples = {"examples": dataset.examples}
        if dataset.target:
            examples["target"] = dataset.target.examples
        return {"config": self.planned.config.model_dump(), "examples": examples}

    def play(self, steps: int) -> float:
        """Seconds of so many steps."""
        began = time.perf_counter()
        while steps:
            chunk = self._play(self.state, self.execution.draw(steps))
            self.state, steps = chunk.state, steps - chunk.steps
        jax.block_until_ready(self.state)
        return time.perf_counter() - began

    def gigaflop(self) -> float:
        """Floating-point operations of a step by XLA's count, in 10⁹."""
        moves, source = self.program.moves, self.program.source
        arguments = [
            jax.tree.map(lambda leaf: np.stack([leaf] * move.repeat), next(source.arguments(0)))
            for move in moves
        ]
        step = step_of(moves, source.materialize)
        lowered = jax.jit(step).lower(self.state, source.resident, arguments, jax.random.key(0))
        return lowered.cost_analysis()["flops"] / 1e9

    def given(self) -> dict[str, Any]:
        """Weights, a batch and random numbers, on which the losses are to be compared."""
        state, turn = self._compared()
        config = self.planned.config
        batch, examples = config.train.batch, turn.batch["examples"]
        drawn: dict[str, Any] = {}
        if not self.planned.dataset.spec.vocabulary:
            latent = self.program.values_of_origin(self.planned.dataset.spec)
            drawn["latents"] = jax.random.normal(turn.key(Stream.LATENT), (batch, latent))
            between = (batch,) + (1,) * (examples.ndim - 1)
            keys = jax.random.split(turn.key(Stream.PENALTY), max(1, len(config.penalties)))
            drawn["share"] = jax.random.uniform(keys[0], between)
        weights = {name: player.params for name, player in state.players.items()}
        return jax.device_get({"weights": weights, "batch": examples, "drawn": drawn})

    def evaluate(self) -> dict[str, tuple[int, float, float]]:
        """Parameters, loss and norm of the gradient of each player at what is `given`."""
        state, turn = self._compared()
        params = {name: player.params for name, player in state.players.items()}
        stats = {name: player.stats for name, player in state.players.items()}
        loss_of = self.program.task.game.loss

        def evaluated(player: str) -> tuple[int, float, float]:
            def loss(own: Any) -> jax.Array:
                return loss_of(player, params | {player: own}, stats, turn)[0]

            value, gradient = jax.jit(jax.value_and_grad(loss))(params[player])
            leaves = jax.tree.leaves(gradient)
            norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves))
            return sum(leaf.size for leaf in leaves), float(value), float(norm)

        return {player: evaluated(player) for player in params}

    def _compared(self) -> tuple[TrainState, Turn]:
        """The initial state with shifted weights, and the first turn."""
        state = self.program.initial_state(0)
        generator = np.random.default_rng(0)

        def shifted(path: Any, value: jax.Array) -> jax.Array:
            return value + _SHIFT * generator.normal(size=value.shape).astype(np.float32)

        players = {
            name: player._replace(params=jax.tree_util.tree_map_with_path(shifted, player.params))
            for name, player in state.players.items()
        }
        source = self.program.source
        batch = source.materialize(source.resident, next(source.arguments(0)))
        return state._replace(players=players), Turn(batch, jax.random.key(0), jnp.int32(0))


class Product:
    """A product of two matrices, whose speed is taken as the machine's peak."""

    def __init__(self, side: int):
        self.factors = jax.random.normal(jax.random.key(0), (2, side, side))
        self.product = jax.jit(jnp.matmul)

    def play(self, steps: int) -> float:
        """Seconds of so many products."""
        began = time.perf_counter()
        for _ in range(steps):
            self.product(*self.factors).block_until_ready()
        return time.perf_counter() - began


def versions() -> str:
    """The device, and the version of JAX."""
    return f"{device_name()}, JAX {all_versions()['jax']}"
