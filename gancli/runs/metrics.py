"""The metrics of a run: one JSON object a line, in steps of the run, append-only."""

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

    @classmethod
    def from_json(cls, value: Any) -> "Mark":
        """Restores a mark that was kept as a JSON list.

        Raises:
            UserError: if it is none.
        """
        match value:
            case [int(size), str(digest)] if size >= 0:
                return cls(size, digest)
        raise UserError(f"the metrics of a checkpoint end at {value!r}", "what gan train wrote")


BEGINNING = Mark(0, hashlib.sha256().hexdigest())


class MetricsFile:
    """The file `metrics.jsonl` of one run.

    Args:
        path: the file, made when the first line is written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._size = 0
        self._digest = hashlib.sha256()

    def append(self, step: int, values: Mapping[str, Any], last: bool = False) -> None:
        """Adds the line of a step, in one write.

        Args:
            step: the step.
            values: finite numbers by name.
            last: the line is there only because the run ends; one that goes on to more
                steps begins again before it, so the mark stays there.

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
        """The end of the file, made durable: what a checkpoint remembers of it."""
        if self.path.exists():
            try:
                with self.path.open("rb") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise cannot_write(self.path, error) from None
        return Mark(self._size, self._digest.hexdigest())

    def rewind(self, mark: Mark) -> bool:
        """Drops what follows a mark, which a resumed run will write again.

        Returns:
            Whether what was there at the mark is there still; not if the file was removed.

        Raises:
            UserError: if the file does not begin with what was there at the mark.
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
            f"the first {mark.size} bytes of {str(self.path)!r} are not what they were when the "
            "checkpoint was written",
            "the lines that gan train wrote",
            "Bring the file back, or remove it to go on without the earlier lines",
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every whole line, in order; a torn last line is left out.

        Raises:
            UserError: if a line is no metrics, or the file cannot be read.
        """
        if not self.path.exists():
            return
        try:
            with self.path.open("rb") as file:
                while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
                    held = json.loads(line)
                    if not isinstance(held, dict) or not isinstance(held.get("step"), int):
                        raise ValueError(f"{line[:80]!r}")
                    yield held
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{str(self.path)!r} has a line that is no metrics: {str(error)[:200]}",
                "lines that gan train wrote",
                "Bring the file back, or remove it to go on without the earlier lines",
            ) from error

    def last_step(self) -> int:
        """The step of the last whole line, 0 where there is none or the file is spoilt."""
        step = 0
        try:
            for line in self.lines():
                step = line["step"]
        except UserError:
            return 0  # Whether it can be gone on with is for `rewind` to tell.
        return step
