"""The account of a finished or running run: what went wrong in it, since when, and what to do."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gancli.config import Config, flatten
from gancli.config.layers import without_seed
from gancli.errors import UserError
from gancli.runs.directory import Run
from gancli.training.monitors import Change, Diagnosis, Remedy, diagnose
from gancli.training.monitors.diagnosis import PREFIX
from gancli.training.rollback import Record, changed, changes_of


class Account(NamedTuple):
    """The diagnosis of a run.

    `config` is the configuration with what `rollbacks` have changed in it. `verdict` says in a
    sentence how the run stands, `diagnosis` is that of its last line, `changes` are what began and
    ended before, and `newest` is the newest line of metrics.
    """

    path: Path
    config: Config
    status: str
    verdict: str
    diagnosis: Diagnosis
    changes: tuple[Change, ...]
    newest: Mapping[str, Any]
    rollbacks: tuple[Record, ...]

    @property
    def present(self) -> dict[str, str]:
        """The evidence of each pathology that the run has at its end."""
        return self.diagnosis.present

    @property
    def distance(self) -> float:
        """The newest distance of samples and data; nan if it was never measured."""
        return self.diagnosis.history.newest(f"{PREFIX}distance")

    @property
    def remedies(self) -> list[tuple[str, Remedy]]:
        """What to change, by pathology, without what the run already has; each once."""
        found: list[tuple[str, Remedy]] = []
        for name in self.present:
            for remedy in self.diagnosis.known[name].remedies:
                if all(remedy.changes != other.changes for _, other in found):
                    found.append((name, remedy))
        return found

    def command(self, remedy: Remedy) -> str:
        """The command that trains the run anew with a remedy and what rollbacks have changed."""
        whole = remedy._replace(changes=changes_of(self.rollbacks) | dict(remedy.changes))
        return shlex.join(["gan", "train", str(self.path / "config.json"), *whole.options])

    def as_json(self) -> dict[str, Any]:
        """The account as a JSON object."""
        return {
            "path": str(self.path),
            "status": self.status,
            "verdict": self.verdict,
            "present": self.present,
            "changes": [change._asdict() for change in self.changes],
            "rollbacks": list(self.rollbacks),
            "remedies": [
                {"pathology": name, "reason": remedy.reason, "command": self.command(remedy)}
                for name, remedy in self.remedies
            ],
        }


def accounts_of(path: Path) -> list[Account]:
    """The accounts of a run, or of every run in a directory.

    Raises:
        UserError: if there is none, or a run cannot be read.
    """
    if Run(path).exists:
        return [account_of(path)]
    runs = sorted(found.parent for found in path.glob("*/seed-*/config.json"))
    if not runs:
        raise UserError(
            f"{str(path)!r} is neither a run nor a comparison",
            "a directory of gan train or of gan compare",
            "Check the path",
        )
    return [account_of(run) for run in runs]


def in_common(accounts: Sequence[Account], name: str) -> dict[str, Any]:
    """The settings, seeds aside, that all runs which end with a pathology have, and no other has.

    Args:
        accounts: the runs.
        name: the pathology, which one of them has.

    Returns:
        Values by dotted key; none if all runs have the pathology.
    """
    settings = [
        flatten(without_seed(account.config).model_dump(mode="json")) for account in accounts
    ]
    sick = [own for own, one in zip(settings, accounts, strict=True) if name in one.present]
    sound = [own for own, one in zip(settings, accounts, strict=True) if name not in one.present]
    return {
        key: value
        for key, value in sick[0].items()
        if sound
        and all(own.get(key) == value for own in sick)
        and all(own.get(key) != value for own in sound)
    }


def account_of(path: Path) -> Account:
    """The account of one run.

    Raises:
        UserError: if it cannot be read.
    """
    run = Run(path)
    status = run.status
    rollbacks = tuple(status.get("rollbacks", ()))
    config = changed(run.config, rollbacks)
    lines = list(run.metrics.lines())
    diagnosis, changes = diagnose(config, lines, rollbacks)
    state = str(status["status"])
    verdict = _verdict(state, status, diagnosis, changes)
    newest = lines[-1] if lines else {}
    return Account(path, config, state, verdict, diagnosis, tuple(changes), newest, rollbacks)


def _verdict(state: str, status: Any, diagnosis: Diagnosis, changes: list[Change]) -> str:
    if state == "diverged":
        return str(status["reason"])
    if not len(diagnosis.history):
        return "Nothing is known: no measurement was made yet (monitors.every steps apart)."
    if diagnosis.present:
        return " ".join(diagnosis.known[name].verdict for name in diagnosis.present)
    if diagnosis.has_barely_begun:
        return "It has barely begun: samples are still far from the data."
    if changes:
        return "Nothing is wrong now; what was has ended."
    return "Nothing is wrong that the monitors know of."
