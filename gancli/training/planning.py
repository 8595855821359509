"""From the user's request to a run that can start: nothing is written before all is checked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gancli.adversarial.losses import LOSSES
from gancli.adversarial.schedules import end_of
from gancli.config import Config, Layer, differences
from gancli.config.layers import validate
from gancli.data import Dataset
from gancli.data.configured import load_data, load_split, located
from gancli.data.dataset import MissingSplitError
from gancli.errors import UserError, shown
from gancli.evaluation import Evaluator, evaluator_of
from gancli.runs.directory import DataIdentity, Run
from gancli.system import processes
from gancli.system.interruption import StopRequest
from gancli.tasks import TASKS
from gancli.tasks.program import Program, build_program
from gancli.tasks.recipes import canonical, resolve, schedules_of
from gancli.training.finetuning import records_of_source
from gancli.training.memory import require_memory
from gancli.training.monitors import Diagnosis


class Plan(NamedTuple):
    """Everything that a run needs to start.

    `sources` says where each value of the configuration came from; `evaluator` measures the run
    while it trains, and is None where its configuration does not ask for that; `held_out` holds
    examples that it does not see, for its monitors, None where there are none; `warnings` are what
    the user should know before it starts.
    """

    config: Config
    sources: Mapping[str, str]
    dataset: Dataset
    program: Program
    evaluator: Evaluator | None
    held_out: Dataset | None
    warnings: tuple[str, ...] = ()


def plan(layers: Sequence[Layer], recipes: bool = True) -> Plan:
    """Resolves the user's layers, loads the data and builds every part.

    Args:
        layers: the user's values; later layers win.
        recipes: whether the loss's published recipe applies where the user set nothing.

    Raises:
        UserError: if any part is unknown, the parts do not fit each other, or the run does not
            fit into memory.
    """
    # The kind of data decides some defaults, and the configuration decides the data.
    resolved = resolve(layers, "image", recipes)
    dataset = load_data(resolved.config)
    if dataset.spec.kind != "image":
        resolved = resolve(layers, dataset.spec.kind, recipes)
    planned = plan_of(resolved.config, dataset, resolved.sources)
    require_memory(planned.config, planned.dataset, planned.program)
    return planned


def plan_of(
    config: Config,
    dataset: Dataset,
    sources: Mapping[str, str] | None = None,
    steps_at_first: int | None = None,
) -> Plan:
    """The plan of a resolved configuration and its data set.

    Args:
        config: the configuration.
        dataset: the data that it names.
        sources: where each of its values came from, by dotted key.
        steps_at_first: of a run that is made longer; None for as many as now.

    Raises:
        UserError: if its parts do not fit each other or the data.
    """
    program = build_program(config, dataset)
    _require_way_back(config)
    evaluator = evaluator_of(config, dataset, program.task)
    warnings = tuple(ended_schedules(config, steps_at_first or config.train.steps))
    watched = 0 < config.monitors.every <= config.train.steps
    held_out = held_out_data(config, dataset) if watched else None
    return Plan(config, sources or {}, dataset, program, evaluator, held_out, warnings)


def _require_way_back(config: Config) -> None:
    """Refuses remedies where no checkpoint from before a pathology's first evidence may be kept."""
    if config.monitors.policy != "remedy":
        return
    pathologies = Diagnosis(config).known.values()
    late = config.monitors.every * (max(one.persists for one in pathologies) - 1)
    keep, every = config.checkpoint.keep, config.checkpoint.every
    if (keep - 1) * every <= late:
        raise UserError(
            f"checkpoint.keep was {keep} with checkpoint.every={every} and monitors.policy=remedy: "
            f"a pathology is recognized up to {late} steps after its first evidence, when no "
            "checkpoint from before may be left",
            f"checkpoint.keep of at least {late // every + 2}",
        )


def held_out_data(config: Config, dataset: Dataset) -> Dataset | None:
    """The examples of the split `test`, which a run does not see; None where there are none."""
    if config.data.split == "test" or dataset.target:
        return None
    try:
        return load_split(config, "test")
    except MissingSplitError:
        return None


def ended_schedules(config: Config, planned: int) -> Iterator[str]:
    """Says which schedules end before a run does, where that is not what was meant.

    Those that were made for as many steps as were planned at first, and learning rates of 0.

    Args:
        config: the run's.
        planned: its last step, at first.

    Yields:
        A sentence for each.
    """
    for key, spec in schedules_of(config):
        end, final = end_of(spec)
        still = final == 0 and key.endswith(".learning_rate")
        if end < config.train.steps and (still or end == planned):
            stands = ", so that its player stands still" if still else ""
            yield (
                f"{key} is {final:g} from step {end} of {config.train.steps} on, where its "
                f"schedule ends{stands}. Steps do not stretch it: one over more steps is another "
                "run"
            )


@contextmanager
def opened(out: Path, planned: Plan, stop: StopRequest | None = None) -> Iterator[Run]:
    """Creates a run, or opens the existing one if it is the same, and holds its lock.

    In a job of several processes the first one does so, and the others wait for it.

    Args:
        out: the directory.
        planned: the plan.
        stop: a request to stop that reaches one of several processes ends all of them.

    Yields:
        The run, with the plan's number of steps, while this process holds its lock.

    Raises:
        UserError: if the directory holds something else, naming the differences, or if another
            process holds the lock.
    """
    run, config, dataset = Run(out), planned.config, planned.dataset
    if not processes.is_first():
        with processes.alike(stop):
            pass  # The first one opens the run.
        with processes.alike(stop):
            require_same_data(run, dataset)  # Each process has read its own.
        yield run
        return
    with ExitStack() as held:
        with processes.alike(stop):
            records = _confirm(run, planned)  # Before the lock, because that writes a file.
            held.enter_context(run.lock())
            if not run.exists:
                run.create(config, DataIdentity(dataset.spec, dataset.fingerprint), records)
            else:
                _confirm(run, planned)  # Another process may have made it meanwhile.
                if run.config != config:
                    run.update_config(config)
        with processes.alike(stop):
            pass  # The others look at their data.
        yield run


@contextmanager
def reopened(
    path: Path, steps: int | None, dataset: str | None = None, stop: StopRequest | None = None
) -> Iterator[tuple[Run, Plan]]:
    """Opens a run as it is, to train it up to its last step or another one.

    Args:
        path: the run.
        steps: another last step; None for its own.
        dataset: where its data are now; None for where they were.
        stop: see `opened`.

    Yields:
        The run and its plan, while this process holds its lock.

    Raises:
        UserError: if there is no such run, its data are missing, it is already past that step,
            or another process holds it.
    """
    with processes.alike(stop):
        run = Run(path)
        before = run.config
        config = located(with_steps(before, steps), path, dataset)
        planned = plan_of(config, load_data(config), steps_at_first=before.train.steps)
    with opened(path, planned, stop) as run:
        yield run, planned


def _confirm(run: Run, planned: Plan) -> dict[str, Any]:
    """Refuses a directory that holds another run, or anything that is not a run.

    Returns:
        What the status of a run that is not there yet says from the beginning.

    Raises:
        UserError: naming the differences, or what a new run cannot start from.
    """
    config, dataset = planned.config, planned.dataset
    if not run.exists:
        run.require_free()
        return records_of_source(run, config, dataset.spec)
    if found := differences(canonical(run.config), canonical(config)):
        raise UserError(
            f"{str(run.path)!r} holds a run with another configuration ({'; '.join(found)})",
            "the same configuration, or another --out",
        )
    require_same_data(run, dataset)
    require_steps_ahead(run, config.train.steps)
    return records_of_source(run, config, dataset.spec)


def require_same_data(run: Run, dataset: Dataset) -> None:
    """Refuses data that differ from the data that the run began with.

    Raises:
        UserError: naming both.
    """
    before, now = DataIdentity.from_json(run.status["data"]).fingerprint, dataset.fingerprint
    if before != now:
        raise UserError(
            f"the data set {dataset.spec.name!r} is not the one that {str(run.path)!r} began "
            f"with (SHA-256 {now[:12]}… against {before[:12]}…)",
            f"the same data, {shown(run.config.data.name)} as it was then",
            "Bring it back, name where it is with --dataset, or start another run",
        )


def require_steps_ahead(run: Run, steps: int) -> None:
    """Refuses a number of steps below the one that a run has already made.

    Raises:
        UserError: naming both.
    """
    reached = max(run.checkpoints().steps(), default=0)
    if steps < reached:
        raise UserError(
            f"{steps} steps were requested, but {str(run.path)!r} has already made {reached}",
            f"at least {reached}",
            "Choose more steps, or another --out",
        )


def choose_path(out: Path | None, planned: Plan) -> Path:
    """The directory that was asked for, or one under `runs/`, named by what it trains.

    That is an unfinished run of the same configuration and data which nobody is training; else a
    new one.

    Raises:
        UserError: if --out is missing in a job of several processes, which could not agree on one.
    """
    if out is not None:
        return out
    if processes.are_several():
        raise UserError("--out is missing in a job of several processes", "--out DIR, for all")
    config = planned.config
    name = Path(config.data.name).name.partition(":")[0].partition(".")[0]
    data = re.sub(r"[^\w-]+", "-", name)[:40].strip("-") or "data"
    task = TASKS.entry(config.task).name
    parts = [data, *([task] if task != "generation" else [])]
    stem = "-".join([*parts, *([LOSSES.entry(config.loss).name] if config.loss else [])])
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        if is_left_off(Run(path), planned):
            break
        number += 1
    return path


def is_left_off(run: Run, planned: Plan) -> bool:
    """Whether a directory holds the unfinished run of a plan, and no process trains it."""
    try:
        if not run.exists or run.config.train.steps != planned.config.train.steps:
            return False
        _confirm(run, planned)
        with run.lock():
            return run.status["status"] not in ("finished", "diverged")
    except UserError:
        return False  # What cannot be gone on with is left alone.


def with_steps(config: Config, steps: int | None) -> Config:
    """The configuration with another total number of steps.

    Raises:
        UserError: if the number of steps is out of range.
    """
    if steps is None:
        return config
    validate({"train.steps": (steps, "--steps")})
    train = config.train.model_copy(update={"steps": steps})
    return config.model_copy(update={"train": train})
