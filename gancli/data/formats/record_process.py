"""A process of its own that reads ArrayRecord files: run by `data.formats.records`.

What it takes on its command line is the number of an open pipe; on its input, a JSON list of
[path, records in the file, first, stop]. Into the pipe go the records, in order, or one message
that begins with `FAILED`. It imports nothing of gancli, so that it starts in 50 ms.
"""

import importlib
import json
import os
import resource
import sys
from multiprocessing.connection import Connection

FAILED = b"failed: "
RECORD = b"record: "
TOGETHER = 16
MEMORY = 1 << 32


def main() -> None:
    """Reads what it is told to, as long as its memory lasts."""
    # A decoder that is refused memory aborts. That is an answer, and leaves no image of itself.
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, MEMORY)
    reader_type = importlib.import_module("array_record.python.array_record_module")
    with Connection(int(sys.argv[1]), readable=False) as pipe:
        try:
            for path, count, first, stop in json.load(sys.stdin):
                reader = reader_type.ArrayRecordReader(
                    os.fsencode(path), "readahead_buffer_size:0", file_reader_buffer_size=1 << 15
                )
                if reader.num_records() != count:
                    raise ValueError(f"{path} has {reader.num_records():,} records, not {count:,}")
                for start in range(first, stop, TOGETHER):
                    for record in reader.read(range(start, min(start + TOGETHER, stop))):
                        pipe.send_bytes(RECORD + record)
                reader.close()
        except Exception as error:
            pipe.send_bytes(FAILED + str(error).encode("utf-8", "backslashreplace"))


def _limit(kind: int, most: int) -> None:
    """Lowers a limit of this process, unless it is lower already."""
    _, hard = resource.getrlimit(kind)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (allowed, allowed))


if __name__ == "__main__":
    main()
