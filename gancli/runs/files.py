"""Writing and reading small files of a run so that none is ever half-written."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gancli.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader sees the old text or the new, never a part.

    Raises:
        UserError: if the file system refuses.
    """
    beside = path.with_name(f".{path.name}.partial")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def write_json(path: Path, value: Any) -> None:
    """Replaces a file by a value as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: if it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {str(path)!r}: {error}", "a file that gan wrote") from None


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a place that cannot be written, naming it and the reason."""
    return UserError(
        f"cannot write {str(path)!r}: {error.strerror or error}",
        "a place with write permission and free space",
        "Choose another --out, or make room and run the same command again",
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal (FIPS 180-4)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
