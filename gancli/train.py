"""The training loop: a generator of events, which others draw and print."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import numpy as np

from gancli import tasks
from gancli.config import Config
from gancli.data.batches import BatchSource, batch_source
from gancli.data.dataset import Dataset, DataSpec
from gancli.data.transform import to_uint8
from gancli.dynamics import DYNAMICS, Move, TrainState, initial_state
from gancli.errors import DivergedError, RunInterruptedError, UserError
from gancli.execution import Progress, build_execution
from gancli.interruption import StopRequest
from gancli.optimizers import Optimizer, build_optimizer
from gancli.runs.checkpoints import CheckpointDamagedError, Checkpoints, restore
from gancli.runs.directory import DataIdentity, Run, device_name, versions
from gancli.runs.files import read_json


class Program(NamedTuple):
    """A configuration turned into functions."""

    task: tasks.Task
    optimizers: Mapping[str, Optimizer]
    source: BatchSource
    moves: tuple[Move, ...]

    def initial_state(self, seed: int) -> TrainState:
        """The state at step 0 of a run with this seed."""
        return initial_state(self.task.initialize(jax.random.key(seed)), self.optimizers)


class Started(NamedTuple):
    """Training begins or goes on, from `step` to `steps`."""

    step: int
    steps: int


class Compiled(NamedTuple):
    """The first step is done: what follows is computing."""

    seconds: float


class Measured(NamedTuple):
    """Means of the metrics over the steps since the line before."""

    step: int
    values: dict[str, float]


class Advanced(NamedTuple):
    """Steps were dispatched."""

    step: int


class Sampled(NamedTuple):
    """Examples of the fixed latents were made: images as uint8, points as float32."""

    step: int
    examples: np.ndarray


class Saved(NamedTuple):
    """A checkpoint of a step is being written."""

    step: int


class Warned(NamedTuple):
    """Something that the user should know."""

    message: str


class Finished(NamedTuple):
    """The last step is done and everything is on disk."""

    step: int
    seconds: float


Event = Started | Compiled | Measured | Advanced | Sampled | Saved | Warned | Finished

_MOST_STEPS_A_CALL = 128
# A call of many steps is sized to take about this long, so that an interruption and the
# progress line are prompt; the results do not depend on it.
_SECONDS_A_CALL = 0.5


def build_task(config: Config, data: DataSpec) -> tasks.Task:
    """The task of a configuration, for data of this kind."""
    return tasks.TASKS.build(config.task, config, data)


def build_optimizers(config: Config, task: tasks.Task) -> dict[str, Optimizer]:
    """The optimizer of each player; generators' weights are averaged."""
    built = {}
    for player, role in task.roles.items():
        averaged = config.average if role == "generator" and config.average.decay else None
        built[player] = build_optimizer(getattr(config.optimizer, role), averaged)
    return built


def build_program(config: Config, dataset: Dataset) -> Program:
    """Turns a configuration into what a run computes.

    Args:
        config: the configuration.
        dataset: the data that it names.

    Returns:
        The program; building it compiles and computes nothing.

    Raises:
        UserError: if parts of the configuration do not fit each other or the data.
    """
    task = build_task(config, dataset.spec)
    optimizers = build_optimizers(config, task)
    resident_bytes = config.data.resident_mib * 2**20
    source = batch_source(dataset, task.examples_per_update, config.train.seed, resident_bytes)
    updates = {
        player: _updates(getattr(config.train, f"{role}_steps"), role, source.draws_per_epoch)
        for player, role in task.roles.items()
    }
    moves = DYNAMICS.build(config.train.dynamics, task.game, optimizers, updates)
    return Program(task, optimizers, source, moves)


def state_like(config: Config, data: DataSpec) -> tuple[tasks.Task, TrainState]:
    """A task and the abstract state of its runs, from a configuration and no data."""
    task = build_task(config, data)
    optimizers = build_optimizers(config, task)

    def start() -> TrainState:
        return initial_state(task.initialize(jax.random.key(0)), optimizers)

    return task, jax.eval_shape(start)


def train(run: Run, dataset: Dataset, stop: StopRequest | None = None) -> Iterator[Event]:
    """Trains a run from where it stands to its last step; the caller holds its lock.

    Args:
        run: a run that exists.
        dataset: its data.
        stop: asked after each call to the device; None for a run that cannot be stopped.

    Yields:
        What happens, as it happens.

    Raises:
        DivergedError: if a metric is not finite.
        RunInterruptedError: if it was asked to stop; everything is saved.
        UserError: if the data are not those that the run began with.
    """
    # A request that was not made is false, so `or` would put another in its place.
    asked = StopRequest() if stop is None else stop
    config = run.config
    before = run.status
    identity = DataIdentity.from_json(before["data"])
    if identity.fingerprint != dataset.fingerprint:
        raise UserError(
            f"the data set {config.data.name!r} is not the one that {str(run.path)!r} began with "
            f"(SHA-256 {dataset.fingerprint[:12]}… against {identity.fingerprint[:12]}…)",
            "the same data",
            "Bring it back, or start another run",
        )
    program = build_program(config, dataset)
    checkpoints = run.checkpoints(config.checkpoint.keep)
    run.update_status(
        status="running",
        versions=versions(),
        device=device_name(),
        restarts=before["restarts"] + (before["status"] != "new"),
    )
    try:
        yield from _loop(run, config, identity, program, checkpoints, asked)
    except DivergedError as error:
        run.update_status(status="diverged", reason=str(error))
        raise
    except RunInterruptedError:
        run.update_status(status="interrupted")
        raise
    finally:
        checkpoints.close()


def _loop(
    run: Run,
    config: Config,
    identity: DataIdentity,
    program: Program,
    checkpoints: Checkpoints,
    stop: StopRequest,
) -> Iterator[Event]:
    # Where to go on
    state, carried, warnings = _restore(run, config, program, checkpoints)
    yield from warnings
    step, steps = int(state.step), config.train.steps
    run.metrics.truncate_after(step)
    run.drop_samples_after(step)
    yield Started(step, steps)
    if step >= steps:
        run.update_status(status="finished", step=step)
        yield Finished(step, 0.0)
        return

    # What is computed
    seed = config.train.seed
    draw = _sample_function(program.task, seed, config.sample.count)
    execution = build_execution(program.moves, program.source, seed, state, _MOST_STEPS_A_CALL)
    meter = _Meter(execution.names, carried, program.task.examples_per_update)
    documents = {
        "config.json": config.model_dump(mode="json"),
        "data.json": identity.as_json(),
    }

    def save() -> Saved:
        progress = {"step": step, "since_last_line": meter.rows().tolist(), "versions": versions()}
        checkpoints.save(state, documents | {"progress.json": progress})
        return Saved(step)

    def sample() -> Sampled:
        examples = draw(state)
        run.add_sample(step, examples)
        return Sampled(step, examples)

    # Step 0, from which the strip of samples grows
    began = time.monotonic()
    if step == 0:
        yield sample()
        yield save()

    # The steps
    in_flight: deque[Progress] = deque()
    compiled = False
    while step < steps:
        boundary = min(
            steps,
            *(
                step - step % every + every
                for every in (config.logging.every, config.sample.every, config.checkpoint.every)
            ),
        )
        compile_began = time.monotonic()
        most = max(1, round(_SECONDS_A_CALL / meter.pace)) if meter.pace else 1
        progress = execution.advance(state, min(most, boundary - step))
        state, step = progress.state, step + progress.steps
        in_flight.append(progress)
        if not compiled:
            compiled = True
            jax.block_until_ready(progress.table)
            meter.restart_clock()
            yield Compiled(time.monotonic() - compile_began)
        while len(in_flight) > 1:  # One call computes while the next is being prepared.
            meter.add(in_flight.popleft().rows())
        yield Advanced(step)

        stopping = bool(stop)  # Asked once: what is saved must be what was drained.
        if stopping or step == boundary:
            while in_flight:
                meter.add(in_flight.popleft().rows())
            meter.check(step)
        if step % config.logging.every == 0 or step == steps:
            values = meter.line()
            run.metrics.append(step, values)
            yield Measured(step, values)
        if step % config.sample.every == 0 or step == steps:
            yield sample()
            meter.restart_clock()
        if step % config.checkpoint.every == 0 or step == steps or stopping:
            yield save()
            run.update_status(step=step)
        if stopping and step < steps:
            checkpoints.wait()
            raise RunInterruptedError(
                f"Stopped at step {step} of {steps}; everything is saved in {run.path}. "
                f"Go on with: gan resume {run.path}"
            )
    checkpoints.wait()
    run.update_status(status="finished", step=step)
    yield Finished(step, time.monotonic() - began)


def _restore(
    run: Run, config: Config, program: Program, checkpoints: Checkpoints
) -> tuple[TrainState, np.ndarray | None, list[Event]]:
    """The newest sound state, the metrics carried with it, and what was wrong with newer ones."""
    fresh = program.initial_state(config.train.seed)
    warnings: list[Event] = []
    for step in reversed(checkpoints.steps()):
        try:
            state = restore(checkpoints.folder(step), fresh)
        except CheckpointDamagedError as error:
            warnings.append(Warned(f"{error} Going on from the one before it"))
            continue
        progress = read_json(checkpoints.folder(step) / "progress.json")
        carried = np.asarray(progress["since_last_line"], np.float32)
        return state, carried, warnings
    if warnings:
        warnings.append(Warned(f"no checkpoint of {run.path} is sound: starting again from step 0"))
    return fresh, None, warnings


def _sample_function(task: tasks.Task, seed: int, count: int):
    """The function from a state to its examples of the fixed latents, on the host."""
    sampler = task.sampler
    latents = jax.jit(sampler.latents)(jax.random.key(seed), np.arange(count))
    generate = jax.jit(sampler.generate)

    def draw(state: TrainState) -> np.ndarray:
        player = state.players[sampler.player]
        return to_stored(np.asarray(generate(player.average or player.weights, latents)))

    return draw


def to_stored(examples: np.ndarray) -> np.ndarray:
    """Examples as they are kept: images (three axes) as uint8, points as float32."""
    return to_uint8(examples) if examples.ndim == 4 else np.asarray(examples, np.float32)


def _updates(setting: int | str, role: str, draws_per_epoch: int) -> int:
    """How many updates a step holds: a number, or whole epochs such as `2 epochs`."""
    if isinstance(setting, int):
        updates = setting
    else:
        words = setting.split()
        number = words[0] if len(words) == 2 else "1"
        known = words and words[-1] in ("epoch", "epochs") and number.isdecimal()
        updates = int(number) * draws_per_epoch if known else 0
    if updates < 1:
        raise UserError(
            f"train.{role}_steps was {setting!r}",
            "a whole number from 1 on, or whole epochs, for example '1 epoch'",
        )
    return updates


class _Meter:
    """Metrics of the steps since the last line, and the time that they took."""

    def __init__(self, names: tuple[str, ...], carried: np.ndarray | None, examples: int):
        empty = np.zeros((0, len(names)), np.float32)
        held = empty if carried is None or not carried.size else carried
        self.names, self.examples = names, examples
        self.blocks: list[np.ndarray] = [held]
        self.pace = 0.0
        self.restart_clock()

    def add(self, block: np.ndarray) -> None:
        """Takes in the metrics of some steps; `pace` becomes their seconds a step."""
        now = time.monotonic()
        self.blocks.append(block)
        self.pace = (now - self.added) / len(block)
        self.timed, self.added = self.timed + len(block), now

    def rows(self) -> np.ndarray:
        return np.concatenate(self.blocks)

    def restart_clock(self) -> None:
        """Leaves out of the rate what was not stepping: compilation, sampling."""
        self.timed = 0
        self.clock = self.added = time.monotonic()

    def check(self, step: int) -> None:
        """Raises if a value since the last line is not finite, naming the first."""
        rows = self.rows()
        bad = np.argwhere(~np.isfinite(rows))
        if not len(bad):
            return
        first, column = bad[0]
        steps = sorted({int(step - len(rows) + row + 1) for row in bad[:, 0]})
        player, _, quantity = self.names[column].partition("/")
        raise DivergedError(
            f"Training diverged: {quantity} of the {player} was {rows[first, column]} at step "
            f"{steps[0]}"
            + (f" and {len(steps) - 1} more steps up to {steps[-1]}." if len(steps) > 1 else ".")
            + " The last checkpoint is sound. Try a lower learning rate, clip_norm, or a penalty."
        )

    def line(self) -> dict[str, float]:
        """The means since the last line, to six digits, and the rate; begins another line."""
        means = self.rows().mean(axis=0, dtype=np.float64)
        values = {name: float(f"{mean:.6g}") for name, mean in zip(self.names, means, strict=True)}
        seconds = time.monotonic() - self.clock
        if self.timed and seconds > 0:
            values["examples_per_second"] = float(f"{self.timed * self.examples / seconds:.4g}")
        self.blocks = [self.rows()[:0]]
        self.restart_clock()
        return values
