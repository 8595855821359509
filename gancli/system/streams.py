"""Standard output and error that cannot end a command: its product depends on no reader."""

import errno
import io
import os
import select
import sys
from typing import Any

# What a reader that has gone away leaves behind: a pipe without an end, a terminal that is closed.
_WITHOUT_READER = {errno.EPIPE, errno.EIO}

_refused: set[int] = set()


def write_to_anybody() -> None:
    """Lets standard output and error take everything, whoever reads them and in which encoding.

    What their device refuses is dropped, see `refused_output`, and characters that their encoding
    has not are written as escapes. One that is closed becomes the null device, so that no file
    that is opened later takes its number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
            stream = io.TextIOWrapper(io.FileIO(number, "wb", closefd=False), "utf-8")
        stream.flush()
        raw = _Dropping(stream.fileno(), "wb", closefd=False)
        buffer: Any = raw if stream.write_through else io.BufferedWriter(raw)
        kept = io.TextIOWrapper(
            buffer,
            stream.encoding,
            "backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, kept)


def refused_output() -> str:
    """Why output is lost that somebody waits for, as on a full disk; empty if none is."""
    return ", ".join(map(os.strerror, sorted(_refused - _WITHOUT_READER)))


class _Dropping(io.FileIO):
    """A file that drops what its device refuses, and waits for one that does not block."""

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left:
                written = super().write(left)
                if written is None:
                    select.select([], [self], [])
                left = left[written or 0 :]
        except OSError as error:
            _refused.add(error.errno or errno.EIO)
        return size
