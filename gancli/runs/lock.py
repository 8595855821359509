"""One writer a run: a lock that the death of its holder releases, and a note of who that is."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gancli.errors import UserError
from gancli.files import cannot_write, load_json, write_json

NAME = ".lock"
NOTE = ".lock.held"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing to a folder.

    The lock is flock(2)'s, which ends with its holder, on NFS on every node that mounts it;
    where a file system has none, it is a file that only one process can make.

    Args:
        folder: the folder, made if it is missing.

    Yields:
        While the lock is held.

    Raises:
        UserError: if another process holds it, naming that, or the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / NAME).acquire(blocking=False)
    except Timeout:
        raise _held(folder) from None
    except OSError as error:
        raise cannot_write(folder, error) from None
    with lock:
        try:
            write_json(folder / NOTE, _this_process())
            yield
        finally:
            with suppress(OSError):
                (folder / NOTE).unlink()


def _this_process() -> dict[str, Any]:
    """Who holds the lock, as the next one is told."""
    job = {"job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return {"host": socket.gethostname(), "process": os.getpid(), "since": since, **job}


def _held(folder: Path) -> UserError:
    """The error for a folder that is locked, naming the holder where that has left its note."""
    holder: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        holder = dict(load_json(folder / NOTE, 4096))
    who = ", ".join(f"{key} {str(value)[:80]}" for key, value in holder.items())
    here = holder.get("host") == socket.gethostname()
    remedy = "Wait for it" if here else f"If it is gone for sure, remove {folder / NAME}"
    return UserError(
        f"another process is writing to {str(folder)!r}" + (f" ({who})" if who else ""),
        "one process at a time",
        f"{remedy}, or choose another --out",
    )
