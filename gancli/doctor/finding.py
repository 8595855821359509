"""What a check looks at, and what it finds."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Severity(StrEnum):
    """How harmful a finding is, the worst first.

    A fault makes a run fail, or compute with other resources than were asked for. A warning makes
    it slower or less safe. A note says what there is.
    """

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """What a check found on a subject, and the command or the setting that mends it."""

    severity: Severity
    subject: str
    found: str
    remedy: str = ""


class Machine(NamedTuple):
    """What is looked at: the environment, the file system's root, and the folder of the runs."""

    environment: Mapping[str, str] = os.environ
    root: Path = Path("/")
    folder: Path = Path()

    def number(self, name: str) -> int | None:
        """A whole number in the environment; None where there is none."""
        text = self.environment.get(name, "")
        return int(text) if text.isdecimal() else None


def fault(subject: str, found: str, remedy: str) -> Finding:
    """What makes a run fail, or compute with other resources than were asked for."""
    return Finding(Severity.FAULT, subject, found, remedy)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """What makes a run slower or less safe."""
    return Finding(Severity.WARNING, subject, found, remedy)


def note(subject: str, found: str) -> Finding:
    """What there is."""
    return Finding(Severity.NOTE, subject, found)
