"""Errors that end a command, each with the exit status that scripts rely on."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

LONGEST_QUOTED = 200  # characters
_LONGEST_LIST = 300
NO_OTHER_NAMES: Mapping[str, str] = MappingProxyType({})


class GanError(Exception):
    """An error that ends the command with `exit_status` and a message, never a traceback."""

    exit_status = 1


class UserError(GanError):
    """Input that cannot be used: says what was given, what is allowed and what to do.

    Args:
        given: what was found, naming the offending value and where it came from.
        allowed: what would have been accepted.
        remedy: what the user can do about it.
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
        finding: what was found, a `gancli.training.monitors.Finding`.
    """

    exit_status = 3

    def __init__(self, message: str, finding: Any = None):
        super().__init__(message)
        self.finding = finding


class RunInterruptedError(GanError):
    """The run was asked to stop and has saved everything; the same command resumes it."""

    exit_status = 75


def cut(text: str) -> str:
    """Shortens a text to 200 characters, eliding the middle."""
    if len(text) <= LONGEST_QUOTED:
        return text
    half = LONGEST_QUOTED // 2
    return f"{text[:half]}…{text[-half:]}"


def shown(value: object) -> str:
    """Quotes a value for a message: its `repr`, on one line, at most 200 characters."""
    return cut(_QUOTING.repr(value))


def printable(text: str) -> str:
    """Escapes line breaks, control characters and stray bytes in a text."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


def excerpt(error: BaseException) -> str:
    """The first line of an error's message, escaped and shortened: it may quote a file's bytes."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lines = said.strip().splitlines() or [type(error).__name__]
    return cut(printable(lines[0]))


def unknown_name(
    kind: str, name: str, known: Iterable[str], also: Mapping[str, str] = NO_OTHER_NAMES
) -> UserError:
    """The error for a name that is not in a catalogue, with the closest known name.

    Args:
        kind: what the name stands for, for example `loss`.
        name: the name that was given; the message quotes it shortened.
        known: every accepted name.
        also: known names by what else they are called, in lower case; of a key, its last part.
    """
    names, name = sorted(known), cut(name)
    last = name.lower().rpartition(".")[2]
    spellings = (last, last.replace("_", "-"))
    usual = [one for one in map(also.get, spellings) if one in names]
    # A key may be in another section, or of both players.
    same = sorted((one for one in names if one.rpartition(".")[2] == last), key=len)
    close = [*usual, *same, *difflib.get_close_matches(name, names, n=5, cutoff=0.5)]
    remedy = f"Did you mean {close[0]!r}?" if close else ""
    allowed = ", ".join(names)
    if len(allowed) > _LONGEST_LIST:
        few = list(dict.fromkeys(close or names))[:5]
        allowed = f"{', '.join(few)}, … ({len(names):,} in all)"
    return UserError(f"unknown {kind} {name!r}", allowed, remedy)


class _Quoting(reprlib.Repr):
    """`repr` that reads only as much of a value as it shows."""

    def __init__(self):
        super().__init__()
        self.maxlevel, self.fillvalue = 3, "…"
        self.maxstring = self.maxother = LONGEST_QUOTED

    def repr_int(self, x: int, level: int) -> str:
        """A whole number; Python refuses to write very long ones, and nobody would read them."""
        bits = x.bit_length()
        return repr(x) if bits < 4 * LONGEST_QUOTED else f"a whole number of {bits:,} bits"


_QUOTING = _Quoting()
