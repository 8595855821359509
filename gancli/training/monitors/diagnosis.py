"""Diagnosis of a run from its lines of metrics: which pathology begins and ends at which step.

It reads nothing but the configuration and the lines, so that a run in progress, a resumed run and
`gan diagnose` come to the same verdicts at the same steps.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gancli.config import Config, flatten
from gancli.registry import Registry

PREFIX, EVALUATION = "monitors/", "evaluation/"
# A distance to the data below which samples are close to them, by `monitors/distance`.
CLOSE = 0.03
# What is shown of the measurements.
SHOWN = tuple(
    f"{PREFIX}{name}"
    for name in ("distance", "diversity", "spacing", "restlessness", "overfitting")
)


class Remedy(NamedTuple):
    """Something to change: configuration values by dotted key, and the reason in a few words."""

    changes: Mapping[str, Any]
    reason: str

    @property
    def options(self) -> list[str]:
        """The same as options of `gan train`."""
        words: list[str] = []
        for key, value in self.changes.items():
            if key == "loss":
                words += ["--loss", value]
            elif key == "penalties":
                words += [word for spec in value for word in ("--penalty", spec)]
            else:
                text = value if isinstance(value, str) else json.dumps(value)
                words += ["--set", f"{key}={text}"]
        return words


class History:
    """The lines of a run that hold measurements of a probe, and the newest figures of all lines.

    Args:
        config: configuration of the run.
    """

    def __init__(self, config: Config):
        self.config = config
        self.steps: list[int] = []
        self._columns: dict[str, array[float]] = {}
        self._first = 0
        # Evaluations are made at steps of their own.
        self._evaluation: dict[str, float] = {}
        self._line: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def begin_anew(self) -> None:
        """Leaves the lines so far out of `series`; they stay in `whole`."""
        self._first, self._evaluation = len(self), {}

    def append(self, step: int, values: Mapping[str, Any], is_measured: bool) -> None:
        """Takes in the numbers of a line; only those of a measured one join the series."""
        numbers = {name: float(one) for name, one in values.items() if isinstance(one, int | float)}
        self._evaluation |= {n: one for n, one in numbers.items() if n.startswith(EVALUATION)}
        if not is_measured:
            self._line |= numbers
            return
        self._line = numbers
        for name in numbers.keys() - self._columns.keys():
            self._columns[name] = array("d", [np.nan]) * len(self)
        for name, column in self._columns.items():
            column.append(numbers.get(name, np.nan))
        self.steps.append(step)

    def newest(self, name: str) -> float:
        """A figure of the newest line that has such figures; nan if it is not there."""
        return self._line.get(name, self._evaluation.get(name, np.nan))

    def series(self, name: str, most: int = 0) -> np.ndarray:
        """A figure of the newest `most` lines, or of all, since the history began anew."""
        count = len(self) - self._first
        return self._newest(name, min(most, count) if most else count)

    def whole(self, name: str) -> np.ndarray:
        """A figure of all lines, oldest first."""
        return self._newest(name, len(self))

    def _newest(self, name: str, count: int) -> np.ndarray:
        """A figure of so many lines; nan where it is not."""
        if name not in self._columns:
            return np.full(count, np.nan)
        return np.array(self._columns[name][len(self) - count :])


class Pathology(NamedTuple):
    """A known way to fail.

    `evidence(history)` returns the evidence in words where the newest line shows it, else None;
    it is said once `persists` lines in a row do. `verdict` says what is wrong, in one sentence.
    Where `on_every_line`, it may begin at lines without measurements of a probe, too.
    """

    verdict: str
    evidence: Callable[[History], str | None]
    persists: int
    remedies: tuple[Remedy, ...]
    on_every_line: bool = False


def in_words(name: str) -> str:
    """The name of a pathology in prose."""
    return name.replace("-", " ")


def remedies(config: Config, *candidates: Remedy) -> tuple[Remedy, ...]:
    """Those of the candidates that change something in a configuration."""
    held = flatten(config.model_dump(mode="json"))

    def changes(remedy: Remedy) -> bool:
        return any(value != held.get(key) for key, value in remedy.changes.items())

    return tuple(filter(changes, candidates))


class Change(NamedTuple):
    """A pathology that begins or ends at a step."""

    step: int
    name: str
    begins: bool
    evidence: str

    @property
    def sentence(self) -> str:
        """Both in words."""
        what = f"begins: {self.evidence}" if self.begins else "has ended"
        return f"step {self.step}: {in_words(self.name)} {what}"


PATHOLOGIES = Registry("pathology")


class Diagnosis:
    """The pathologies of a run, from line to line.

    Args:
        config: configuration of the run.
    """

    def __init__(self, config: Config):
        self.history = History(config)
        self.known = {name: PATHOLOGIES.build(name, config) for name in PATHOLOGIES.names()}
        self.present: dict[str, str] = {}
        self._count_anew()

    def begin_anew(self) -> None:
        """Judges later lines by themselves, because they are of a changed configuration."""
        self.history.begin_anew()
        self._count_anew()

    def _count_anew(self) -> None:
        """For each pathology: the steps of the lines in a row that show it, or how many do not."""
        self._shown: dict[str, list[int]] = {name: [] for name in self.known}
        self._missed = dict.fromkeys(self.known, 0)

    def add(self, step: int, values: Mapping[str, Any]) -> list[Change]:
        """Takes in a line of metrics.

        Args:
            step: its step.
            values: its figures; without measurements of a probe nothing ends, and only those
                pathologies begin that may at every line.

        Returns:
            What begins and what ends.
        """
        is_measured = any(name.startswith(PREFIX) for name in values)
        self.history.append(step, values, is_measured)
        changes = []
        for name, pathology in self.known.items():
            if not is_measured and (not pathology.on_every_line or name in self.present):
                continue
            evidence = pathology.evidence(self.history)
            self._shown[name] = [*self._shown[name], step] if evidence else []
            self._missed[name] = 0 if evidence else self._missed[name] + 1
            if evidence and name in self.present:
                self.present[name] = evidence
            elif evidence and len(self._shown[name]) >= pathology.persists:
                self.present[name] = evidence
                changes.append(Change(step, name, True, evidence))
            elif name in self.present and self._missed[name] >= pathology.persists:
                changes.append(Change(step, name, False, self.present.pop(name)))
        return changes

    @property
    def has_barely_begun(self) -> bool:
        """Whether there are too few measurements, or samples are far from the data as at first."""
        distances = self.history.whole(f"{PREFIX}distance")
        return len(distances) < 3 or bool(distances[-1] > max(CLOSE, 0.5 * distances[0]))

    def since(self, name: str) -> int:
        """The step of the first of the lines that show a pathology without a break."""
        return self._shown[name][0]

    def as_metrics(self) -> dict[str, list[str]]:
        """What is present, as a value of a line of metrics."""
        return {"pathologies": sorted(self.present)} if self.present else {}


def diagnose(
    config: Config,
    lines: Iterable[Mapping[str, Any]],
    rollbacks: Iterable[Mapping[str, Any]] = (),
) -> tuple[Diagnosis, list[Change]]:
    """Diagnoses a run from its lines of metrics.

    Args:
        config: the configuration that it computes with, which decides the remedies.
        lines: its lines.
        rollbacks: its rollbacks, in order; the history begins anew where one went back to.
    """
    anew: list[int] = []
    for back in (one["back_to"] for one in rollbacks):
        anew = [step for step in anew if step < back] + [back]
    diagnosis, changes = Diagnosis(config), []
    for line in lines:
        while anew and line["step"] > anew[0]:
            diagnosis.begin_anew()
            del anew[0]
        changes += diagnosis.add(line["step"], line)
    if anew:
        diagnosis.begin_anew()
    return diagnosis, changes
