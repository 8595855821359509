"""The metrics of a run: one JSON object per line, ordered by step, append-only."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gancli.errors import UserError
from gancli.files import cannot_write

_LONGEST_LINE = 2**20


class Mark(NamedTuple):
    """A place in the file: its first `size` bytes, and their SHA-256 in hexadecimal."""

    size: int
    sha256: str


BEGINNING = Mark(0, hashlib.sha256().hexdigest())


class MetricsFile:
    """The file `metrics.jsonl` of one run.

    Args:
        path: the file, created with the first line.
    """

    def __init__(self, path: Path):
        self.path = path
        self._size = 0
        self._digest = hashlib.sha256()

    def append(self, step: int, values: Mapping[str, Any], last: bool = False) -> None:
        """Appends the line of a step in one write.

        Args:
            step: the step.
            values: finite numbers by name.
            last: whether the line exists only because the run ends; a run with more steps
                resumes before it, so the mark does not move.

        Raises:
            UserError: if the file system refuses.
        """
        line = (json.dumps({"step": step, **values}, allow_nan=False) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise cannot_write(self.path, error) from None
        if not last:
            self._size += len(line)
            self._digest.update(line)

    def mark(self) -> Mark:
        """The end of the file, flushed to disk; checkpoints store it."""
        if self.path.exists():
            try:
                with self.path.open("rb") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise cannot_write(self.path, error) from None
        return Mark(self._size, self._digest.hexdigest())

    def rewind(self, mark: Mark) -> bool:
        """Drops the lines after a mark, which a resumed run will write again.

        Returns:
            Whether the lines before the mark still exist; false if the file was removed.

        Raises:
            UserError: if the file does not begin with the content at the mark.
        """
        if not self.path.exists():
            self._size, self._digest = 0, hashlib.sha256()
            return mark.size == 0
        try:
            with self.path.open("rb+") as file:
                held = file.read(mark.size)
                digest = hashlib.sha256(held)
                if len(held) == mark.size and digest.hexdigest() == mark.sha256:
                    file.truncate(mark.size)
                    self._size, self._digest = mark.size, digest
                    return True
        except OSError as error:
            raise cannot_write(self.path, error) from None
        raise UserError(
            f"the first {mark.size} bytes of {str(self.path)!r} have changed since the checkpoint "
            "was written",
            "the lines that gan train wrote",
            "Restore the file, or remove it to resume without the earlier lines",
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yields every complete line in order; an incomplete last line is left out.

        Raises:
            UserError: if a line is not a line of metrics, or the file cannot be read.
        """
        if not self.path.exists():
            return
        number = 1
        try:
            with self.path.open("rb") as file:
                while line := file.readline(_LONGEST_LINE):
                    if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                        return
                    held = json.loads(line)
                    if not isinstance(held, dict) or not isinstance(held.get("step"), int):
                        raise ValueError(f"{line[:80]!r}")
                    yield held
                    number += 1
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"line {number} of {str(self.path)!r} is not metrics: {str(error)[:200]}",
                "lines that gan train wrote",
                "Restore the file, or remove it to resume without the earlier lines",
            ) from error

    def last_step(self) -> int:
        """The step of the last complete line, 0 if there is none or the file is damaged."""
        step = 0
        try:
            for line in self.lines():
                step = line["step"]
        except UserError:
            return 0  # `rewind` decides whether the run can resume.
        return step
