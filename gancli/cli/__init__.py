"""The command line. Each command imports what it needs when it runs, so that help is instant."""

from gancli.cli import (  # noqa: F401
    compare,
    data,
    evaluate,
    game,
    listing,
    report,
    sample,
    training,
    verify,
)
from gancli.cli.application import main

__all__ = ["main"]
