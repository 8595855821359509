"""Reading ArrayRecord files by a process of their own, which hostile ones may bring down.

Their reader is a library in C++ that believes what a file says of its sizes: of a file of
128 kB it makes a record of a gigabyte, with three times the memory. Here that process has a
bounded memory and bounded time, and its end is an error and not ours.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from gancli.data.formats.record_process import FAILED, RECORD
from gancli.files import may_expand, open_regular

PROGRAM = Path(__file__).with_name("record_process.py")
LARGEST_RECORD = 1 << 26
PATIENCE_SECONDS = 60.0


class Shard(NamedTuple):
    """A file of `length` records, of which those from `first` up to `stop` are wanted."""

    path: Path
    length: int
    first: int
    stop: int


def read(shards: Sequence[Shard]) -> Iterator[bytes]:
    """Reads records in order.

    Args:
        shards: the files, and what is wanted of each.

    Returns:
        The records, at most 64 MiB each.

    Raises:
        OSError: if a file is not a regular one, or cannot be read.
        ValueError: if a file is damaged, holds another number of records, or expands absurdly.
    """
    size = 0
    for shard in shards:
        with open_regular(shard.path) as file:
            size += file.seek(0, 2)
    read_count, read_bytes = 0, 0
    wanted = sum(shard.stop - shard.first for shard in shards)
    with _reader(shards) as (process, pipe):
        while read_count < wanted:
            record = _next(process, pipe)
            read_count, read_bytes = read_count + 1, read_bytes + len(record)
            if not may_expand(size, 1, read_bytes):
                raise ValueError(f"{size:,} bytes expand to more than {read_bytes:,}")
            yield record


def _next(process: subprocess.Popen[bytes], pipe: Connection) -> bytes:
    if not pipe.poll(PATIENCE_SECONDS):
        raise ValueError(f"no record in {PATIENCE_SECONDS:.0f} seconds")
    try:
        message = pipe.recv_bytes(LARGEST_RECORD)
    except EOFError as error:
        raise ValueError(f"its reader ended with status {process.wait()}") from error
    except OSError as error:
        raise ValueError(f"a record of more than {LARGEST_RECORD:,} bytes") from error
    if message.startswith(FAILED):
        raise ValueError(message.removeprefix(FAILED).decode("utf-8", "replace"))
    return message.removeprefix(RECORD)


@contextlib.contextmanager
def _reader(shards: Sequence[Shard]) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """Starts the process, and ends it whatever it does."""
    receiving, sending = Pipe(duplex=False)
    with receiving, sending:
        # -P: it imports nothing from the folder that it is in.
        process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), str(sending.fileno())],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[sending.fileno()],
        )
        try:
            sending.close()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps([[str(s[0]), *s[1:]] for s in shards]).encode())
            yield process, receiving
        finally:
            process.kill()
            process.wait()
