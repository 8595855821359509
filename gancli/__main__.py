"""The command `gan`, also as `python -m gancli`; it handles signals from the very start."""

import os
from contextlib import suppress

from gancli.system.interruption import StopNow, ignore_signals, listen
from gancli.system.streams import write_to_anybody

# Settings of JAX with which the same seed would draw other numbers.
_OTHER_NUMBERS = ("JAX_ENABLE_X64", "JAX_DEFAULT_PRNG_IMPL", "JAX_THREEFRY_PARTITIONABLE")


def main() -> None:
    """Runs the command line; a signal during imports, before any command, ends it too."""
    try:
        listen()
        write_to_anybody()
        for name in _OTHER_NUMBERS:
            os.environ.pop(name, None)  # Processes that are started inherit it, too.
        from gancli.cli import main as command_line

        try:
            command_line()
        finally:
            # Nothing is left to stop while Python exits, and the exit status is decided.
            ignore_signals()
    except StopNow:
        ignore_signals()
        with suppress(OSError):  # Nobody may be there to read it.
            os.write(2, b"Stopped. The same command starts again.\n")
        raise SystemExit(75) from None
    except KeyboardInterrupt:
        ignore_signals()
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
