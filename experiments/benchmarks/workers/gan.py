"""Our side of the benchmark against PyTorch: a step as `gan train` plays it."""

import time
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from gancli.adversarial.dynamics import TrainState, Turn
from gancli.adversarial.keys import Stream
from gancli.cli.application import compute
from gancli.config import Layer
from gancli.evaluation.latents import Draw
from gancli.evaluation.sampling import sample_weights
from gancli.runs.directory import device_name
from gancli.runs.versions import versions as all_versions
from gancli.tasks.sequential import sequence_keys
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
        intervals: for each player's move, the interval in steps of what it does not always do.
    """

    def __init__(self, settings: Mapping[str, Any], intervals: Sequence[int]):
        compute()
        self.intervals = intervals
        jax.config.update("jax_enable_compilation_cache", False)
        self.planned = plan([Layer("benchmark", dict(settings))])
        self.program = self.planned.program
        self.state = self.program.initial_state(0)
        self.execution = build_execution(
            self.program.moves, self.program.source, 0, self.state, _MOST_STEPS_A_CALL
        )
        self._play: Any = None

    def described(self) -> dict[str, Any]:
        """What the peer needs: the resolved configuration, and the data by name."""
        dataset = self.planned.dataset
        examples = {"examples": dataset.examples}
        if dataset.target:
            examples["target"] = dataset.target.examples
        return {"config": self.planned.config.model_dump(), "examples": examples}

    def play(self, steps: int) -> float:
        """Seconds of so many steps, without those of compiling them."""
        self._play = self._play or self.execution.compile()
        began = time.perf_counter()
        while steps:
            chunk = self._play(self.state, self.execution.draw(steps))
            self.state, steps = chunk.state, steps - chunk.steps
        jax.block_until_ready(self.state)
        return time.perf_counter() - began

    def sample(self, count: int) -> float:
        """Seconds of drawing so many samples, as `gan sample` does, without compilation."""
        player = self.state.players[self.program.task.sampler.player]
        # The first block is compiled, and not counted.
        blocks = sample_weights(self.program.task, player.weights, Draw(), 10 * count)
        next(blocks)
        began, made = time.perf_counter(), 0
        while made < count:
            made += len(next(blocks))
        return (time.perf_counter() - began) * count / made

    def gigaflop(self) -> float:
        """Floating-point operations of a step in products and convolutions, in 10⁹."""
        moves, source = self.program.moves, self.program.source
        total = 0.0
        for move, every in zip(moves, self.intervals, strict=True):
            argument = jax.tree.map(lambda leaf: leaf[np.newaxis], next(source.arguments(0)))
            step = step_of((move._replace(repeat=1),), source.materialize)
            given = (self.program.initial_state(0), source.resident, [argument])
            traced = jax.make_jaxpr(step)(*given, jax.random.key(0)).jaxpr
            # What no result needs is not computed either.
            needed, _ = dce_jaxpr(traced, [True] * len(traced.outvars))
            total += move.repeat * operations(needed, every)
        return total / 1e9

    def given(self) -> dict[str, Any]:
        """Weights, examples and random numbers, on which the losses are to be compared."""
        state, turn = self._compared()
        config, spec = self.planned.config, self.planned.dataset.spec
        batch, examples = config.train.batch, turn.batch["examples"]
        drawn: dict[str, Any] = {"exchanged": jnp.zeros((2, batch, 1, 1, 1), bool)}
        if spec.vocabulary:
            drawn["gumbel"] = gumbel_noise(turn, batch, *spec.shape, spec.vocabulary)
        elif "target" not in turn.batch:
            latent = self.program.values_of_origin(spec)
            drawn["latents"] = jax.random.normal(turn.key(Stream.LATENT), (batch, latent))
            drawn["direction"] = jax.random.normal(turn.key(Stream.PATH), examples.shape)
            keys = jax.random.split(turn.key(Stream.PENALTY), max(1, len(config.penalties)))
            drawn["share"] = jax.random.uniform(keys[0], (batch, 1, 1, 1))
        weights = {name: player.params for name, player in state.players.items()}
        sets = [turn.batch[name] for name in ("examples", "target") if name in turn.batch]
        return jax.device_get({"weights": weights, "batch": sets, "drawn": drawn})

    def evaluate(self) -> dict[str, tuple[float, float]]:
        """Loss and norm of the gradient of each player at what is `given`.

        Strengths of noise are left out of the norm: their gradient is random.
        """
        state, turn = self._compared()
        params = {name: player.params for name, player in state.players.items()}
        stats = {name: player.stats for name, player in state.players.items()}
        loss_of = self.program.task.game.loss

        def evaluated(player: str, params: Any) -> tuple[jax.Array, jax.Array]:
            def loss(own: Any) -> jax.Array:
                return loss_of(player, params | {player: own}, stats, turn)[0]

            value, gradient = jax.value_and_grad(loss)(params[player])
            named = jax.tree_util.tree_leaves_with_path(gradient)
            return value, optax.tree.norm([one for path, one in named if not is_strength(path)])

        found = {name: jax.jit(evaluated, static_argnums=0)(name, params) for name in params}
        return {name: (float(value), float(norm)) for name, (value, norm) in found.items()}

    def _compared(self) -> tuple[TrainState, Turn]:
        """The initial state with shifted weights, and the first turn."""
        state = self.program.initial_state(0)
        generator = np.random.default_rng(0)

        def shifted(path: Any, value: jax.Array) -> jax.Array:
            if is_strength(path):
                return value  # The noise of StyleGAN2's layers stays without effect.
            return value + _SHIFT * generator.normal(size=value.shape).astype(np.float32)

        players = {
            name: player._replace(params=jax.tree_util.tree_map_with_path(shifted, player.params))
            for name, player in state.players.items()
        }
        source = self.program.source
        batch = source.materialize(source.resident, next(source.arguments(0)))
        return state._replace(players=players), Turn(batch, jax.random.key(0), jnp.int32(0))


def is_strength(path: Any) -> bool:
    """Whether a parameter is the strength of the noise of a layer."""
    return jax.tree_util.keystr(path).endswith("['strength']")


def operations(program: Any, every: int = 1) -> float:
    """Floating-point operations in products and convolutions, two for each multiplication.

    Args:
        program: a jaxpr.
        every: the interval, in steps, at which the more expensive branch of a condition is taken.
    """
    total = 0.0
    for equation in program.eqns:
        parts = [operations(part, every) for part in jaxprs_in_params(equation.params)]
        name, made = equation.primitive.name, equation.outvars[0].aval
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * made.size * prod(shape[axis] for axis in contracted)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            outputs = equation.params["dimension_numbers"].rhs_spec[0]
            total += 2 * made.size * prod(kernel) / kernel[outputs]
        elif name in ("down", "up", "kernel_of"):  # Of gancli/networks/bilinear.py.
            x, y = equation.invars[0].aval, equation.outvars[0].aval
            if name == "up":
                x, y = y, x
            elif name == "kernel_of":
                y = equation.invars[1].aval
            total += 2 * y.size * 16 * x.shape[-1]
        elif name in ("slide", "slide_kernel_of"):  # The same of stride 1.
            kernel, y = equation.invars[1].aval, made
            if name == "slide_kernel_of":
                kernel, y = y, kernel
            total += 2 * y.size * kernel.size / kernel.shape[-1]
        elif name == "scan":
            total += equation.params["length"] * sum(parts)
        elif name == "cond":
            total += min(parts) + (max(parts) - min(parts)) / every
        else:
            total += sum(parts)
    return total


def gumbel_noise(turn: Turn, batch: int, length: int, vocabulary: int) -> jax.Array:
    """The noise of the task `gumbel` in this turn, (batch, length, vocabulary)."""

    def of_place(key: jax.Array, place: jax.Array) -> jax.Array:
        return jax.random.gumbel(jax.random.fold_in(key, place), (vocabulary,))

    of_sequence = jax.vmap(of_place, (None, 0))
    places = jnp.arange(length)
    return jax.vmap(of_sequence, (0, None))(sequence_keys(turn, batch), places)


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
