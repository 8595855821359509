"""The question and the results of a comparison on disk: `results.json` in its directory.

Nothing in it depends on when or how often a run was stopped, so a comparison that was killed and
run again has the same file, byte for byte.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from gancli.comparison.measurements import Outcome
from gancli.comparison.runs import Cell
from gancli.comparison.verdicts import Answer, answer
from gancli.config import Config, from_json
from gancli.config.layers import without_seed
from gancli.errors import UserError, shown
from gancli.evaluation import Question
from gancli.files import (
    MOST_BYTES,
    already_there,
    as_json,
    cannot_write,
    load_json,
    read_json,
    require_writable,
    write_json,
)
from gancli.runs.directory import DataIdentity, Run
from gancli.runs.versions import versions

RESULTS = "results.json"
ASKED = ("command", "samples", "metrics", "split", "figure", "baseline", "equal")

_PARTS = {"asked", "data", "configurations", "versions", "runs", "answer"}
_TEXTS = ("command", "split", "figure", "baseline")
_OF_DATA = ("name", "kind", "fingerprint")
_RUNS = TypeAdapter(list[Outcome])


class Results(NamedTuple):
    """The question of a comparison, the configurations of its variants, the outcomes of its runs.

    `asked` holds the options of `gan compare` that `ASKED` names, and `data` the name, kind and
    fingerprint of each data set. Configurations have the seed 0.
    """

    asked: Mapping[str, Any]
    data: Sequence[Mapping[str, str]]
    configurations: Mapping[str, Config]
    versions: Mapping[str, str]
    outcomes: Sequence[Outcome]

    def answer(self, figure: str = "", baseline: str = "") -> Answer:
        """The answer, optionally by another figure or against another baseline."""
        return answer(
            self.outcomes,
            self.data[0]["kind"],
            figure or self.asked["figure"],
            baseline or self.asked["baseline"],
        )


def gather(
    cells: Sequence[Cell],
    outcomes: Sequence[Outcome],
    question: Question,
    command: str,
    figure: str = "",
    baseline: str = "",
    equal: bool = False,
) -> Results:
    """Gathers the results of a comparison once its runs have ended.

    Args:
        cells: the runs.
        outcomes: their outcomes.
        question: the metrics and the number of samples.
        command: the command that repeats the comparison.
        figure: the figure for ranking; empty for the default of the kind of data.
        baseline: the variant to compare the others with; empty to compare all pairs.
        equal: whether the recipes of losses were disabled.
    """
    asked = {
        "command": command,
        "samples": question.samples,
        "metrics": question.metrics,
        "split": question.split,
        "figure": figure,
        "baseline": baseline,
        "equal": equal,
    }
    configurations: dict[str, Config] = {}
    data: dict[str, dict[str, str]] = {}
    for cell in cells:
        config, identity = _of_run(cell)
        configurations.setdefault(cell.variant, without_seed(config))
        kept = {name: str(identity[name]) for name in _OF_DATA}
        data.setdefault(kept["fingerprint"], kept)
    return Results(asked, tuple(data.values()), configurations, versions(), outcomes)


def _of_run(cell: Cell) -> tuple[Config, Mapping[str, Any]]:
    """The configuration and the data of a run, as planned where it has never begun."""
    if cell.planned is None or cell.run.exists:
        return cell.run.config, cell.run.status["data"]
    dataset = cell.planned.dataset
    return cell.planned.config, DataIdentity(dataset.spec, dataset.fingerprint).as_json()


def results_as_json(folder: Path, results: Results) -> dict[str, Any]:
    """The results and their answer as a JSON object, with run paths relative to a folder."""

    def place(run: Path) -> str:
        return str(run.relative_to(folder) if run.is_relative_to(folder) else run.absolute())

    return {
        "asked": dict(results.asked),
        "data": list(results.data),
        "configurations": {
            name: config.model_dump(mode="json") for name, config in results.configurations.items()
        },
        "versions": dict(results.versions),
        "runs": [one._asdict() | {"run": place(one.run)} for one in results.outcomes],
        "answer": results.answer().as_json(),
    }


def require_folder(folder: Path) -> None:
    """Refuses a folder that is a run, or where results would replace another file.

    Raises:
        UserError: naming it.
    """
    if Run(folder).exists:
        raise UserError(
            f"--out {shown(str(folder))} is a run", "a directory of its own", "Choose another --out"
        )
    _require_own(folder / RESULTS)


def open_folder(folder: Path) -> None:
    """Makes the folder of a comparison, before anything is trained or measured for it.

    Raises:
        UserError: as `require_folder`, or if its results could not be written there.
    """
    require_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None
    require_writable(folder / RESULTS, "--out")


def write_results(folder: Path, results: Results) -> None:
    """Writes the results and what they say; `open_folder` has made the folder.

    Raises:
        UserError: if the file system refuses, or another file has taken their name.
    """
    _require_own(folder / RESULTS)
    write_json(folder / RESULTS, results_as_json(folder, results))


def _require_own(path: Path) -> None:
    """Refuses a file that holds anything but the results of a comparison."""
    if not os.path.lexists(path) or path.is_dir():
        return
    try:
        held = load_json(path, MOST_BYTES)
    except (OSError, ValueError):
        held = None
    if not isinstance(held, dict) or not held.keys() >= _PARTS:
        raise already_there(path)


def read_results(folder: Path) -> Results:
    """Reads the file of `write_results`.

    Raises:
        UserError: if it is missing or damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(
            f"{str(folder)!r} holds no results of a comparison",
            "a directory made by gan compare, or a run",
            "Run gan compare to its end first",
        )
    held = read_json(path)
    try:
        runs = _RUNS.validate_python(held["runs"])
        outcomes = tuple(one._replace(run=folder / one.run) for one in runs)
        configurations = {
            str(name): from_json(as_json(config), f"{name!r} in {str(path)!r}")
            for name, config in held["configurations"].items()
        }
        asked = {name: held["asked"][name] for name in ASKED}
        if wrong := [name for name in _TEXTS if not isinstance(asked[name], str)]:
            raise ValueError(f"{wrong[0]!r} of its question is not text")
        data = tuple({name: str(one[name]) for name in _OF_DATA} for one in held["data"])
        if not outcomes or not data or {o.variant for o in outcomes} - configurations.keys():
            raise ValueError("a part of it is missing")
        return Results(
            asked, data, configurations, {k: str(v) for k, v in held["versions"].items()}, outcomes
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"{str(path)!r} is not the results of a comparison: {str(error)[:200]}",
            "a results file that gan compare wrote",
            "Run gan compare again",
        ) from None
