"""The command `gan`, also as `python -m gancli`; it listens to signals before all else."""

import os

from gancli.interruption import StopNow, listen


def main() -> None:
    """Runs the command line; a signal outside of a command, during imports, ends it too."""
    try:
        listen()
        from gancli.cli import main as command_line

        command_line()
    except StopNow:
        os.write(2, b"Stopped before anything was done. The same command starts again.\n")
        raise SystemExit(75) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
