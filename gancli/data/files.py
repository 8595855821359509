"""Opening the files of strangers: regular ones alone, never waiting, never without a bound."""

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

LONGEST_EXCERPT = 200
LARGEST_EXPANSION = 200
ALWAYS_ALLOWED_BYTES = 1 << 28
LEAST_BYTES_EACH = 64
OTHER_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a file that has bytes and an end: a pipe would wait, a device would never stop.

    Args:
        path: the file, perhaps through links.

    Returns:
        The file, for reading.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty.
    """
    # Looked at before it is opened, for opening alone makes some devices act; and after, for
    # another file may have taken its name. Without O_NONBLOCK that one could be a pipe.
    _require_regular(os.stat(path), path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def may_expand(size: int, count: int, each: int) -> bool:
    """Whether a file may hold so much once it is decompressed.

    An example counts as many bytes as it has, and at least those of an 8x8 image: each costs
    time, however small it is.

    Args:
        size: of the file, in bytes.
        count: how many examples it declares.
        each: bytes in each of them.

    Returns:
        Whether they are at most 256 MiB, or 200 times the file.
    """
    limit = max(ALWAYS_ALLOWED_BYTES, LARGEST_EXPANSION * size)
    return count * max(LEAST_BYTES_EACH, each) <= limit


def read_bytes(path: Path, most: int) -> bytes:
    """Reads a whole file of bounded size.

    Args:
        path: the file.
        most: how many bytes it may have.

    Returns:
        Its bytes.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty or larger.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


def read_json(path: Path, most: int) -> Any:
    """Reads a JSON file of bounded size.

    Args:
        path: the file.
        most: how many bytes it may have.

    Returns:
        The value in it, of any kind.

    Raises:
        OSError: if it cannot be opened, is not a regular file, or is empty or larger.
        ValueError: if it is not JSON, or nested too deeply.
    """
    content = read_bytes(path, most)
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def excerpt(error: BaseException) -> str:
    """What an error says, short and on one line: it may quote a stranger's bytes."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lines = said.strip().splitlines() or [type(error).__name__]
    return printable(lines[0][:LONGEST_EXCERPT])


def printable(text: str) -> str:
    """A text whose line breaks, control characters and stray bytes are written as escapes."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


def _require_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = OTHER_KINDS.get(stat.S_IFMT(status.st_mode), "device")
        raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))
    if status.st_size == 0:
        # So says many a file of the kernel, whose reading can wait for ever.
        raise OSError(errno.EINVAL, "it has 0 bytes", str(path))
