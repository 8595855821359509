"""The runs of a comparison: one ordinary run in its own folder for each variant and seed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gancli.comparison.budgets import kept_steps, steps_of_examples, steps_of_seconds
from gancli.config import Config, Layer, differences
from gancli.config.layers import without_seed
from gancli.errors import UserError, unknown_name
from gancli.runs.directory import Run
from gancli.tasks.recipes import canonical
from gancli.training.finetuning import records_of_source
from gancli.training.planning import Plan, plan


class Variant(NamedTuple):
    """One configuration of a comparison, with the name of its folder."""

    name: str
    layers: tuple[Layer, ...]


class Cell(NamedTuple):
    """One run of a comparison: a variant with a seed, and what it is to compute.

    `dataset` says where the data are of a run that was there before, None for where they were.
    `records` are what the status of a run that is not there yet says of its source.
    """

    variant: str
    seed: int
    run: Run
    planned: Plan | None
    dataset: str | None = None
    records: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        """Its variant and seed, which are also its place in the comparison's directory."""
        return f"{self.variant}/seed-{self.seed}"


class Budget(NamedTuple):
    """The equal budget of all variants: examples or seconds; by default each one's own steps."""

    examples: int | None = None
    seconds: float | None = None


def make_cells(
    variants: Sequence[Variant],
    seeds: int,
    out: Path,
    budget: Budget = Budget(),  # noqa: B008 - it is immutable
    recipes: bool = True,
) -> list[Cell]:
    """Plans every run of a comparison; all are checked before any is created.

    Args:
        variants: the variants to compare.
        seeds: number of seeds of each variant, counted up from its `train.seed`.
        out: directory of the comparison; its runs are `VARIANT/seed-N`.
        budget: the equal budget.
        recipes: whether losses come with their published recipes.

    Returns:
        The runs, seed by seed, so that an early look can compare all variants.

    Raises:
        UserError: if a variant is invalid or cannot start from its source, or two have the same
            name.
    """
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"variant {sorted(twice)[0]!r} is given twice", "each variant once")
    if budget.examples or budget.seconds:
        kept = kept_steps(out, budget.seconds) if budget.seconds else {}
        variants = [_within(variant, budget, kept, recipes) for variant in variants]
    firsts = [plan(variant.layers, recipes) for variant in variants]
    cells = []
    for number in range(seeds):
        for variant, first in zip(variants, firsts, strict=True):
            seed = first.config.train.seed + number
            layer = Layer("the comparison", {"train.seed": seed})
            planned = plan((*variant.layers, layer), recipes) if number else first
            run = Run(out / variant.name / f"seed-{seed}")
            records = records_of_source(run, planned.config, planned.dataset.spec)
            cells.append(Cell(variant.name, seed, run, planned, records=records))
    return cells


def _within(variant: Variant, budget: Budget, kept: Mapping[str, int], recipes: bool) -> Variant:
    """The variant with as many steps as its budget is good for, or as it began with."""
    if (steps := kept.get(variant.name)) is None:
        planned = plan(variant.layers, recipes)
        if budget.examples:
            steps = steps_of_examples(planned, budget.examples)
        else:
            steps = steps_of_seconds(planned, budget.seconds or 0.0)
    return variant._replace(layers=(*variant.layers, Layer("the budget", {"train.steps": steps})))


def existing_cells(paths: Sequence[Path], dataset: str | None = None) -> list[Cell]:
    """Runs that are there already, as parts of a comparison.

    Args:
        paths: run directories; those of one configuration, on the same data, count as seeds of one
            variant.
        dataset: where their data are now; None for where they were.

    Returns:
        A cell for each run, without a plan.

    Raises:
        UserError: if one is not a run.
    """
    cells: list[Cell] = []
    variants: dict[str, Config] = {}
    for path in paths:
        run = Run(path)
        config = run.config
        fingerprint = str(run.status["data"]["fingerprint"])
        same_data = config.data.model_copy(update={"name": fingerprint, "target": ""})
        but_seed = without_seed(canonical(config)).model_copy(update={"data": same_data})
        own = path.parent.name if re.fullmatch(r"seed-\d+", path.name) else path.name
        name = next((known for known, held in variants.items() if held == but_seed), own)
        if variants.setdefault(name, but_seed) != but_seed:
            what = "; ".join(differences(variants[name], but_seed)) or "other data, or other steps"
            raise UserError(
                f"two configurations are called {name!r} ({what})",
                "one configuration under one name",
                "Rename a directory",
            )
        cells.append(Cell(name, config.train.seed, run, None, dataset))
    require_distinct(cells)
    return cells


def require_distinct(cells: Sequence[Cell]) -> None:
    """Refuses a variant's seed that would count twice.

    Raises:
        UserError: naming both runs.
    """
    seen: dict[tuple[str, int], Path] = {}
    for cell in cells:
        first = seen.setdefault((cell.variant, cell.seed), cell.run.path)
        if first is not cell.run.path:
            raise UserError(
                f"seed {cell.seed} of {cell.variant!r} is given twice: {first} and {cell.run.path}",
                "each seed of a variant once",
                "Leave one of them out",
            )


def require_same_data(cells: Sequence[Cell], split: str) -> None:
    """Refuses runs of other data than the first's: no figure of one says anything of the other.

    Args:
        cells: the runs.
        split: of the data that all are measured on; empty for that which each was trained on.

    Raises:
        UserError: naming two runs, and the data and split of each.
    """
    first = None
    for cell in cells:
        if cell.planned is not None:
            config, fingerprint = cell.planned.config, cell.planned.dataset.fingerprint
        else:
            config, fingerprint = cell.run.config, str(cell.run.status["data"]["fingerprint"])
        own = (fingerprint, split or config.data.split)
        said = f"{cell.variant!r} is of {config.data.name!r}, split {own[1]!r}"
        said += f" (SHA-256 {fingerprint[:12]}…)"
        first = first or (own, said)
        if own != first[0]:
            raise UserError(
                f"runs of different data cannot be compared: {first[1]}, and {said}",
                "one data set, size and split for all",
                "Compare them apart, or measure each with gan evaluate",
            )


def chosen_cells(cells: Sequence[Cell], names: Sequence[str]) -> list[Cell]:
    """The runs with these names, of those that a comparison trains; all where there are no names.

    Raises:
        UserError: naming one that is not among them.
    """
    known = {cell.name: cell for cell in cells if cell.planned is not None}
    for name in names:
        if name not in known:
            raise unknown_name("run for --only:", name, known)
    return [known[name] for name in names] if names else list(cells)


def has_result(cell: Cell) -> bool:
    """Whether a run has ended according to its plan, finished or diverged."""
    run = cell.run
    if not run.exists:
        return False
    status = run.status
    planned = cell.planned
    as_planned = planned is None or canonical(run.config) == canonical(planned.config)
    return as_planned and status["status"] in ("finished", "diverged")


def require_baseline(name: str, variants: Iterable[str]) -> None:
    """Refuses a baseline that is not a variant; empty means no baseline.

    Raises:
        UserError: naming the variants.
    """
    if name and name not in (names := dict.fromkeys(variants)):
        raise unknown_name("baseline", name, names)


def default_folder(variants: Sequence[Variant], runs: Sequence[Cell] = ()) -> Path:
    """The default directory of a comparison, the same for the same variants."""

    def data_of(variant: Variant) -> str:
        name = Config().data.name
        for layer in variant.layers:
            name = layer.values.get("data.name", name)
        return str(name)

    data = [data_of(variant) for variant in variants]
    data += [cell.run.config.data.name for cell in runs]
    parts = [*(variant_name(Path(name).name) for name in data), *(one.name for one in variants)]
    names = dict.fromkeys([*parts, *(cell.variant for cell in runs)])
    return Path("comparisons") / "-".join(names)[:120]


def variant_name(spec: str) -> str:
    """Turns a spec into the name of a folder."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", spec).strip("-.") or "variant"
