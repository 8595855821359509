"""The game of a run at its newest state: what leads its linearization, and its duality gap."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.duality_gap import DualityGap, duality_gap
from gancli.adversarial.dynamics import TrainState, Turn
from gancli.adversarial.jacobian import (
    TOLERANCE,
    Outlook,
    Spectrum,
    gradient_norms,
    leading_eigenvalues,
    linearized_step,
    outlook,
    working_bytes,
)
from gancli.adversarial.keys import Stream
from gancli.adversarial.penalties import PENALTIES
from gancli.config import Config
from gancli.data.batches import BatchSource, batch_source
from gancli.data.configured import load_data, located
from gancli.data.dataset import Dataset, DataSpec
from gancli.errors import UserError, shown
from gancli.registry import Registry, parse_spec
from gancli.runs.directory import DataIdentity, Run
from gancli.runs.restoring import restore_newest
from gancli.system.limits import memory_limit
from gancli.system.progress import reported
from gancli.tasks import TASKS
from gancli.tasks.program import Program, build_program, build_task, state_like
from gancli.training.memory import size_in_words
from gancli.training.planning import held_out_data, require_same_data
from gancli.training.rollback import changed

# Batches over whose losses the gradient field is a mean.
_FIELD_BATCHES = 4
# Updates of a best response, and the most batches on which its value is measured.
_UPDATES, _MEASURED = 100, 16


class GameAnalysis(NamedTuple):
    """The game of a run at a step.

    `rates` are the learning rates of the last step, `norms` the norms of the players' gradients,
    and `spectra` and `outlooks` those of `simultaneous` and of `alternating` gradient steps, with
    `updates` of each player in one of the latter. `held_out` says that the duality gap was
    measured on examples that the run did not see.
    """

    step: int
    parameters: int
    rates: Mapping[str, float]
    updates: Mapping[str, int]
    norms: Mapping[str, float]
    spectra: Mapping[str, Spectrum]
    outlooks: Mapping[str, Outlook | None]
    gap: DualityGap
    held_out: bool
    warnings: tuple[str, ...]

    @property
    def rate(self) -> float:
        """The largest learning rate, η."""
        return max(self.rates.values())

    @property
    def rates_differ(self) -> bool:
        """Whether players have different learning rates."""
        return len(set(self.rates.values())) > 1

    @property
    def responses(self) -> int:
        """Updates of a best response."""
        return _UPDATES

    def as_json(self) -> dict[str, Any]:
        """The analysis as a JSON object; infinite and missing numbers are null."""
        return {
            "step": self.step,
            "parameters": self.parameters,
            "learning_rates": dict(self.rates),
            "updates": dict(self.updates),
            "gradient_norms": dict(self.norms),
            "batches": _FIELD_BATCHES,
            "tolerance": TOLERANCE,
            "steps": {
                name: _spectrum_as_json(self.spectra[name]) | _outlook_as_json(self.outlooks[name])
                for name in self.spectra
            },
            "duality_gap": {
                "gap": self.gap.gap,
                "standard_error": self.gap.error,
                "value": float(self.gap.value.mean()),
                "best_discriminator": float(self.gap.maximised.mean()),
                "best_generator": float(self.gap.minimised.mean()),
                "updates": _UPDATES,
                "batches": len(self.gap.value),
                "held_out": self.held_out,
            },
        }


def analyse_game(path: Path, moved_to: str | None = None) -> GameAnalysis:
    """Analyses the game of a run at its newest sound state; nothing is written.

    Args:
        path: the run.
        moved_to: where its data are; None for where the configuration says.

    Returns:
        The analysis. Its gradient field is that of all losses, penalties included, on fixed
        batches and latents; lazy penalties enter by their mean over steps.

    Raises:
        UserError: if there is no game between a generator and a discriminator, its losses have
            no derivative, or the run has no sound checkpoint or other data.
    """
    if not Run(path).exists:
        raise UserError(
            f"{str(path)!r} is not a run, and --jacobian analyses one",
            "a directory made by gan train",
            "Name one run, of a comparison VARIANT/seed-N",
        )
    run = Run(path)
    config = located(run.config, path, moved_to)
    _require_a_game(config, DataIdentity.from_json(run.status["data"]).spec)
    dataset = load_data(config)
    require_same_data(run, dataset)
    newest = restore_newest(run.checkpoints(), state_like(config, dataset.spec)[1])
    if newest.state is None:
        raise UserError(
            f"{str(path)!r} holds no checkpoint",
            "a run with a state to analyse",
            f"Train it: gan resume {path}",
        )
    state, config = newest.state, changed(config, newest.resume_point.rollbacks)
    program = build_program(config, dataset)
    step = int(state.step)
    rates = {
        name: float(own.learning_rate(max(0, step - 1))) for name, own in program.optimizers.items()
    }
    repeats = [move.repeat for move in program.moves]
    players = program.task.game.players
    alternates = len(repeats) == len(players)
    updates = dict(zip(players, repeats if alternates else itertools.repeat(1), strict=False))
    norms, spectra, parameters = _linearize(config, dataset, program, state, rates, updates)
    outlooks = {name: outlook(found, max(rates.values())) for name, found in spectra.items()}
    gap, held_out = _measure_gap(config, dataset, program, state, rates)
    return GameAnalysis(
        step, parameters, rates, updates, norms, spectra, outlooks, gap, held_out,
        tuple(newest.warnings),
    )  # fmt: skip


def _require_a_game(config: Config, data: DataSpec) -> None:
    """Refuses a run whose players do not meet in losses that have a derivative."""
    task = shown(TASKS.entry(config.task).name)
    if not config.loss:
        given = f"task {task} has no game between players to analyse"
    elif data.kind == "tokens":
        given = f"task {task} generates tokens, through which the discriminator has no derivative"
    elif TASKS.options(config.task).get("pool"):
        given = f"task {task} with a pool, of whose images the discriminator has no derivative"
    else:
        return
    raise UserError(
        given,
        "a generator and a discriminator that see each other through examples of real numbers",
        "Leave out --jacobian",
    )


def _require_memory(parameters: int) -> None:
    needed, available = working_bytes(parameters), memory_limit()
    if needed > available:
        raise UserError(
            f"Arnoldi's iteration on {parameters:,} parameters needs {size_in_words(needed)} of "
            "memory",
            f"at most {size_in_words(available)}, the memory of this machine",
            "Leave out --jacobian, or diagnose the run on a larger machine",
        )


def _linearize(
    config: Config,
    dataset: Dataset,
    program: Program,
    state: TrainState,
    rates: Mapping[str, float],
    updates: Mapping[str, int],
) -> tuple[dict[str, float], dict[str, Spectrum], int]:
    """The norms of the gradients, the spectrum of both kinds of steps, and the parameters."""
    game = build_task(at_every_step(config), dataset.spec).game
    batches = list(_batches(program.source, 0, _FIELD_BATCHES))
    turns = Turn(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches),
        jax.random.key(config.train.seed),
        state.step,
        jnp.arange(_FIELD_BATCHES, dtype=jnp.int32),
    )

    norms = gradient_norms(game, state.players, turns)
    simultaneous, size = linearized_step(game, state.players, turns, rates)
    alternating, _ = linearized_step(game, state.players, turns, rates, updates)
    _require_memory(size)
    field = leading_eigenvalues(simultaneous, size)
    # Rotation is that of the field; what decides has a large real part or magnitude.
    of_alternating = leading_eigenvalues(
        alternating,
        size,
        ("largest real part",),
        what="eigenvalues of alternating steps",
    )
    spectra = {"simultaneous": field, "alternating": of_alternating}
    return norms, spectra, size


def _measure_gap(
    config: Config,
    dataset: Dataset,
    program: Program,
    state: TrainState,
    rates: Mapping[str, float],
) -> tuple[DualityGap, bool]:
    """The duality gap, and whether it was measured on examples that the run did not see."""
    seed, size = jax.random.key(config.train.seed), program.task.examples_per_update
    optimizers = {
        name: own._replace(learning_rate=lambda _, rate=rates[name]: jnp.float32(rate))
        for name, own in program.optimizers.items()
    }
    other = held_out_data(config, dataset)
    source, held_out = program.source, False
    if other is not None and len(other.examples) >= size:
        held_out = True
        source = batch_source(other, size, 0, config.data.resident_mib * 2**20)
    of_probe = jax.random.fold_in(seed, int(Stream.PROBE))
    count = min(_MEASURED, source.draws_per_epoch)
    measured = [
        Turn(batch, of_probe, state.step, jnp.int32(number))
        for number, batch in enumerate(_batches(source, 0, count))
    ]

    def updates(player: str) -> Iterator[Turn]:
        """The turns in which the player would go on, were it alone."""
        batches = _batches(program.source, int(state.step), _UPDATES)
        numbers = reported(f"best response of the {player}", range(_UPDATES))
        for number, batch in zip(numbers, batches, strict=True):
            yield Turn(batch, seed, state.step + number, jnp.int32(0))

    pair = {name: updates(name) for name in ("discriminator", "generator")}
    found = duality_gap(
        program.task.game, optimizers, dict(state.players), "discriminator", pair, measured
    )
    return found, held_out


def _batches(source: BatchSource, first: int, count: int) -> Iterator[Any]:
    """The batches of some draws, on the device."""
    resident, materialize = jax.device_put(source.resident), jax.jit(source.materialize)
    for argument in itertools.islice(source.arguments(first), count):
        yield materialize(resident, argument)


def at_every_step(config: Config) -> Config:
    """The configuration with lazy terms applied at every step, which is their mean over steps."""
    penalties = tuple(_with(PENALTIES, spec, "every") for spec in config.penalties)
    task = _with(TASKS, config.task, "path_every")
    return config.model_copy(update={"penalties": penalties, "task": task})


def _with(registry: Registry, spec: str, option: str) -> str:
    """A spec with an option set to 1, if its factory has it."""
    if option not in registry.options(spec):
        return spec
    parsed = parse_spec(spec)
    return parsed._replace(options={**parsed.options, option: "1"}).text


def _spectrum_as_json(spectrum: Spectrum) -> dict[str, Any]:
    rotation = spectrum.rotation
    return {
        "eigenvalues": {
            kind: [{"real": value.real, "imaginary": value.imag} for value in found.values]
            for kind, found in spectrum.leading.items()
        },
        "complete": spectrum.complete,
        "residual": spectrum.residual,
        "resolution": spectrum.resolution,
        "products": spectrum.products,
        "imaginary_to_real": rotation if rotation is None or math.isfinite(rotation) else None,
    }


def _outlook_as_json(found: Outlook | None) -> dict[str, Any]:
    """Without the eigenvalues that decide, which stand among all."""
    if found is None:
        return {"factor": None, "margin": None, "verdict": "undecided"}
    return {"factor": found.factor, "margin": found.margin, "verdict": found.verdict}
