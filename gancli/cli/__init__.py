"""The command line. Each command imports what it needs when it runs, so that help is instant."""

from gancli.cli import compare, data, evaluate, game, listing, sample, training  # noqa: F401
from gancli.cli.application import main

__all__ = ["main"]
