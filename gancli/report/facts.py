"""Shared parts of the pages of comparisons and runs: figures, configurations, time."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomli_w

from gancli.comparison.statistics import Spread
from gancli.config import Config, flatten
from gancli.data.configured import load_data
from gancli.display.comparison import cell
from gancli.display.evaluation import number
from gancli.errors import UserError, printable
from gancli.report.page import Table, Text
from gancli.report.records import Record, number_of
from gancli.report.slides import Background, behind_points
from gancli.runs.directory import DataIdentity
from gancli.runs.goodput import Goodput


def figure_text(value: float) -> str:
    """Formats a figure; empty if there is none."""
    return number(value) if math.isfinite(value) else ""


def spread_text(spread: Spread | None) -> str:
    """Formats a mean ± its deviation; empty if it cannot be computed."""
    if spread is None or math.isinf(spread.mean.estimate) or math.isinf(spread.deviation):
        return ""
    return cell(spread.mean.estimate, spread.deviation)


def interval_text(low: float, high: float) -> str:
    """Formats an interval; empty if there is none."""
    return f"{number(low)} to {number(high)}" if math.isfinite(low + high) else ""


def place_of(run: Path, folder: Path) -> str:
    """A run's path relative to a folder; the full path if it lies elsewhere."""
    return printable(str(run.relative_to(folder) if run.is_relative_to(folder) else run))


def as_toml(config: Config) -> str:
    """A configuration as a file for `gan train`, without unset values.

    Returns:
        The text, sections last.
    """
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)).rstrip()


def differing(configurations: Mapping[str, Config]) -> dict[str, list[str]]:
    """The values of each dotted key that differs between configurations.

    Args:
        configurations: the configurations by variant.

    Returns:
        By key, a value for each variant in order.
    """
    flat = [flatten(config.model_dump(mode="json")) for config in configurations.values()]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = {}
    for key in keys:
        values = [one.get(key) for one in flat]
        if any(value != values[0] for value in values):
            found[key] = [_value(value) for value in values]
    return found


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def goodput_table(records: Sequence[tuple[str, Record]]) -> Table:
    """The steps, restarts and times of each run as a table."""
    rows = []
    for name, record in records:
        status = record.status
        goodput = Goodput(status.get("goodput"))
        taken = {phase: seconds for phase, seconds in goodput.seconds.items() if seconds >= 0.05}
        rows.append(
            [
                name,
                printable(str(status.get("status", "unknown"))),
                ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in taken.items()),
                figure_text(number_of(status.get("step"))),
                figure_text(number_of(status.get("restarts"))),
                str(len(record.rollbacks)),
                f"{goodput.share:.0%}" if taken else "",
                f"{sum(taken.values()):.1f}" if taken else "",
            ]
        )
    head = [
        "run",
        "status",
        "seconds by phase",
        "step",
        "restarts",
        "rollbacks",
        "goodput",
        "seconds",
    ]
    return Table(head, rows, 3)


def devices_of(records: Sequence[Record]) -> list[str]:
    """The different devices that computed runs."""
    named = [record.status.get("device") for record in records]
    return list(dict.fromkeys(printable(one) for one in named if isinstance(one, str)))


def facts_table(facts: Mapping[str, str]) -> Table:
    """Named facts as a table."""
    return Table(["what", "which"], [[name, value] for name, value in facts.items()], 2)


def versions_text(versions: Mapping[str, Any]) -> str:
    """Versions in one line."""
    return printable(", ".join(f"{name} {version}" for name, version in versions.items()))


def behind_samples(
    config: Config | None, kind: str, fingerprints: Sequence[str], records: Sequence[Record]
) -> tuple[Background, list[Text]]:
    """The background of samples, and notes about missing parts of it.

    Args:
        config: a configuration, which names the data.
        kind: kind of the data.
        fingerprints: fingerprints of the training data.
        records: the runs, whose status describes tokens.
    """
    if kind == "tokens":
        for record in records:
            with suppress(UserError):  # A damaged description is ignored.
                return Background(tokens=DataIdentity.from_json(record.status.get("data")).spec), []
        return Background(), []
    if kind != "points" or config is None:
        return Background(), []
    try:
        dataset = load_data(config)
    except UserError as error:
        return Background(), [Text(f"Real points are not shown: {error.given}.", note=True)]
    if dataset.fingerprint not in fingerprints or dataset.spec.kind != "points":
        said = "Real points are not shown: the data differ from the training data."
        return Background(), [Text(said, note=True)]
    return behind_points(dataset), []
