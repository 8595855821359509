"""Writing and reading small files of a run so that none is ever half-written or half-believed."""

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gancli.data.files import OTHER_KINDS
from gancli.errors import UserError

# No document that a run writes comes near it.
MOST_BYTES = 64 * 2**20
_SUFFIX = ".partial"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to, moved to `path` once it is written whole.

    Args:
        path: where the file shall be; what is there stays until the new file is complete.

    Yields:
        The path to write to, of a name that no other writer has and `is_partial` knows; its
        suffix says nothing of the file's format.

    Raises:
        UserError: if the file system refuses.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Whether a file's name is one of `replacing`, whose writer was killed if none writes."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one step, durably: a reader sees the old text or the new, no part.

    Raises:
        UserError: if the file system refuses.
    """
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None


def write_json(path: Path, value: Any) -> None:
    """Replaces a file by a value as indented JSON, in one step."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """A value as the indented JSON of every document of a run.

    Raises:
        ValueError: if a number in it is not finite.
    """
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Reads a text of bounded size, from a regular file alone: a pipe would never end.

    Args:
        path: the file.
        most_bytes: how large it may be.

    Returns:
        Its text.

    Raises:
        UserError: if it is missing, larger, not a file or not UTF-8.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = OTHER_KINDS.get(stat.S_IFMT(mode), "device")
                raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(most_bytes + 1)
        finally:
            os.close(descriptor)
        if len(content) > most_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise _cannot_read(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise _cannot_read(path, f"byte {error.start} is not UTF-8") from None


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """Reads a JSON file of bounded size, whose numbers are finite.

    Raises:
        UserError: if it is missing, larger, or is not such JSON.
    """
    text = read_text(path, most_bytes)
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
        if "\\u" in text:  # Half of a surrogate pair is no text, and could not be printed.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise _cannot_read(path, str(error)) from None


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


def shown(name: str) -> str:
    """A name that a stranger may have chosen, as it is printed: short, on one line."""
    return name[:200] if name.isprintable() else ascii(name[:200])


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, durable.

    Raises:
        OSError: if the file system refuses.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have durable names and no way to ask for them.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _cannot_read(path: Path, reason: str) -> UserError:
    return UserError(f"cannot read {str(path)!r}: {reason}", "a file that gan wrote")
