"""The command `gan`, also as `python -m gancli`; it listens to signals before all else."""

import os
from contextlib import suppress

from gancli.system.interruption import StopNow, ignore_signals, listen
from gancli.system.streams import write_to_anybody


def main() -> None:
    """Runs the command line; a signal outside of a command, during imports, ends it too."""
    try:
        listen()
        write_to_anybody()
        from gancli.cli import main as command_line

        try:
            command_line()
        finally:
            # While Python ends there is nothing left to stop, and the status is known.
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
