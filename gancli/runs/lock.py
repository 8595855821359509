"""One writer per run: a lock that ends with its holder, and a note that names the holder."""

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
    """Prevents other processes from writing to a folder.

    The lock is flock(2)'s, which ends with its holder, on NFS for every node that mounts it. On a
    file system without it, the lock is a file that only one process can create.

    Args:
        folder: the folder, created if it is missing.

    Raises:
        UserError: if another process holds it, naming the process, or the disk refuses.
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
    """The note about this process as the holder."""
    job = {"job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return {"host": socket.gethostname(), "process": os.getpid(), "since": since, **job}


def _held(folder: Path) -> UserError:
    """The error for a locked folder, which names the holder if it has left its note."""
    holder: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        holder = dict(load_json(folder / NOTE, 4096))
    who = ", ".join(f"{key} {str(value)[:80]}" for key, value in holder.items())
    here = holder.get("host") == socket.gethostname()
    remedy = "Wait for it" if here else f"If it has certainly ended, remove {folder / NAME}"
    return UserError(
        f"another process is writing to {str(folder)!r}" + (f" ({who})" if who else ""),
        "one process at a time",
        f"{remedy}, or choose another --out",
    )
