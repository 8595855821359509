"""Checks of the file systems: of caches, of runs, and of prepared data sets."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gancli.data.cache import prepared_root
from gancli.doctor.finding import Finding, Machine, fault, note, warning
from gancli.errors import UserError, excerpt
from gancli.files import cache_root
from gancli.runs.lock import NAME as LOCK

_FEW_BYTES, _TOO_FEW_BYTES = 2 * 2**30, 100 * 2**20
# A checkpoint has some twenty files.
_TOO_FEW_FILES = 100


def cache(machine: Machine) -> Iterator[Finding]:
    """A cache in which nothing can be kept."""
    try:
        folder = cache_root()
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder)
    except UserError as error:
        yield warning("cache", error.given, "export GAN_CACHE=DIR")
    except OSError as error:
        yield warning(
            "cache",
            f"{error.filename}: {excerpt(error)}; every command compiles its programs anew",
            "export GAN_CACHE=DIR",
        )
    else:
        yield note("cache", str(folder))


def disk(machine: Machine) -> Iterator[Finding]:
    """A folder for runs that cannot be written, or is nearly full."""
    folder = machine.folder.absolute()
    try:
        _write(folder)
    except OSError as error:
        yield fault("disk", f"{folder}: {excerpt(error)}", "gan train --out DIR …, elsewhere")
        return
    there = os.statvfs(folder)
    free, files = there.f_bavail * there.f_frsize, there.f_favail
    said = f"{folder}: {free / 2**30:.1f} GiB free"
    mended = "gan train --out DIR …, elsewhere, or --set checkpoint.keep=1"
    if there.f_files and files < _TOO_FEW_FILES:
        yield fault("disk", f"{folder}: room for {files} more files (inodes)", mended)
    elif free < _TOO_FEW_BYTES:
        yield fault("disk", said, mended)
    elif free < _FEW_BYTES:
        yield warning("disk", said, mended)
    else:
        yield note("disk", said)


def locks(machine: Machine) -> Iterator[Finding]:
    """A file system without locks, on which a killed run must be unlocked by hand."""
    try:
        with tempfile.TemporaryFile(dir=machine.folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            yield warning(
                "locks",
                f"{machine.folder.absolute()}: {excerpt(error)}; after a process was killed, its "
                f"run's {LOCK} must be removed by hand",
                "gan train --out DIR …, on another file system",
            )


def prepared(machine: Machine) -> Iterator[Finding]:
    """The sets of TensorFlow Datasets that can be read."""
    root = prepared_root()
    known = sorted(path.name for path in root.glob("*/") if any(path.rglob("dataset_info.json")))
    yield note(
        "data sets",
        f"prepared in {root}: {', '.join(known) or 'none'}; those of gan list datasets need no "
        "preparation",
    )


def _write(folder: Path) -> None:
    """Writes a file that is gone at once.

    Raises:
        OSError: if the file system refuses.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(b"\0" * 2**16)
        file.flush()
