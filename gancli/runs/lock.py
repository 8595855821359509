"""One writer a run: a lock that the death of its holder releases, wherever the disk can do it."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gancli.errors import UserError
from gancli.files import cannot_write

NAME = ".lock"
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing to a folder.

    The lock is flock(2)'s, which ends with its holder, on NFS on every node that mounts it.
    A file system without it gets a file that only one process can make; left behind by a
    process that died on this host it is taken over, and on another host it is explained.

    Args:
        folder: the folder, made if it is missing.

    Yields:
        While the lock is held.

    Raises:
        UserError: if another process holds it, naming that, or the disk refuses.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise cannot_write(folder, error) from None
    # Unbuffered: what a full disk refuses is not written again when the file is closed.
    with open(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _WITHOUT_LOCKS:
                with _exclusive_file(folder):
                    yield
                return
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise _held(folder, _read_holder(path), "Wait for it") from None
            raise cannot_write(path, error) from None
        try:
            file.truncate()
            file.write(_this_process())
        except OSError as error:
            # On a full disk the name of the holder is missing; the lock itself holds.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise cannot_write(path, error) from None
        yield


@contextmanager
def _exclusive_file(folder: Path) -> Iterator[None]:
    """The lock of a file system without locks."""
    path = folder / ".lock.held"
    try:
        if path.exists():
            holder = _read_holder(path)
            if holder.get("host") != socket.gethostname() or _is_alive(holder.get("process")):
                raise _held(folder, holder, f"If it is gone for sure, remove {path}")
            path.unlink()
        with path.open("xb") as file:
            file.write(_this_process())
    except FileExistsError:
        raise _held(folder, _read_holder(path), "Wait for it") from None
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _this_process() -> bytes:
    """Who holds the lock, as the next one is told: a JSON object."""
    job = {"job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    holder = {"host": socket.gethostname(), "process": os.getpid(), "since": since, **job}
    return json.dumps(holder).encode() + b"\n"


def _read_holder(path: Path) -> dict[str, Any]:
    """What the holder wrote; empty where it could not, or is writing."""
    with contextlib.suppress(OSError, ValueError, RecursionError), path.open("rb") as file:
        holder = json.loads(file.read(4096))
        return holder if isinstance(holder, dict) else {}
    return {}


def _is_alive(process: Any) -> bool:
    if not isinstance(process, int):
        return True  # Nothing is known of it, so it is not taken over.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _held(folder: Path, holder: dict[str, Any], remedy: str) -> UserError:
    who = ", ".join(f"{key} {str(value)[:80]}" for key, value in holder.items())
    return UserError(
        f"another process is writing to {str(folder)!r}" + (f" ({who})" if who else ""),
        "one process at a time",
        f"{remedy}, or choose another --out",
    )
