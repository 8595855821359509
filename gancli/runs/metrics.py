"""The metrics of a run: one JSON object a line, in steps of the run, append-only."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gancli.errors import UserError
from gancli.runs.files import cannot_write


class MetricsFile:
    """The file `metrics.jsonl` of one run.

    Args:
        path: the file, made when the first line is written.
    """

    def __init__(self, path: Path):
        self.path = path

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds the line of a step, in one write."""
        line = json.dumps({"step": step, **values}, allow_nan=False) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every whole line, in order; a torn last line is left out."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def truncate_after(self, step: int) -> None:
        """Drops the lines after a step, which a resumed run will write again."""
        if not self.path.exists():
            return
        keep = 0
        with self.path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n") or self._step(line) > step:
                    break
                keep += len(line)
            file.truncate(keep)

    def _step(self, line: bytes) -> int:
        try:
            return json.loads(line)["step"]
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"{str(self.path)!r} has a line that is no metrics: {line[:80]!r}",
                "lines that gan train wrote",
                "Repair or remove the file",
            ) from None
