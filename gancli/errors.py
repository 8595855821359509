"""Errors that end a command, each with the exit status that scripts rely on."""

import difflib
from collections.abc import Iterable
from typing import Any

LONGEST_QUOTED = 200  # characters


class GanError(Exception):
    """An error that ends the command with `exit_status` and a message, never a traceback."""

    exit_status = 1


class UserError(GanError):
    """Input that cannot be used: says what was given, what is allowed and what to do.

    Args:
        given: what was found, naming the offending value and where it came from.
        allowed: what would have been accepted.
        remedy: what to do about it.
    """

    exit_status = 2

    def __init__(self, given: str, allowed: str = "", remedy: str = ""):
        self.given, self.allowed, self.remedy = given, allowed, remedy
        parts = [given, f"Allowed: {allowed}" if allowed else "", remedy]
        sentences = (part if part.endswith((".", "?")) else f"{part}." for part in parts if part)
        super().__init__(" ".join(sentences))


class DivergedError(GanError):
    """Training produced a value that is not finite, or a loss exploded.

    Args:
        message: names the quantity and the steps, and says what to do.
        finding: what was found, a `gancli.divergence.Finding`.
    """

    exit_status = 3

    def __init__(self, message: str, finding: Any = None):
        super().__init__(message)
        self.finding = finding


class RunInterruptedError(GanError):
    """The run was asked to stop, has saved everything, and goes on when it is started again."""

    exit_status = 75


def cut(text: str) -> str:
    """A text that a message can quote: what is beyond 200 characters is left out of its middle."""
    if len(text) <= LONGEST_QUOTED:
        return text
    half = LONGEST_QUOTED // 2
    return f"{text[:half]}…{text[-half:]}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a catalogue, with the closest known name.

    Args:
        kind: what is named, for example `loss`.
        name: the name that was given; the message quotes it cut.
        known: every name that would have been accepted.

    Returns:
        The error, to be raised by the caller.
    """
    names, name = sorted(known), cut(name)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"Did you mean {close[0]!r}?" if close else ""
    return UserError(f"unknown {kind} {name!r}", ", ".join(names), remedy)
