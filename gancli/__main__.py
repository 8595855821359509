"""The command `gan`, also as `python -m gancli`; it listens to signals before all else."""

from gancli.interruption import listen


def main() -> None:
    """Runs the command line."""
    listen()
    from gancli.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
