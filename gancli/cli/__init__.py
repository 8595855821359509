"""The command line. Commands import their libraries when they run, so that help is instant."""

from gancli.cli import (  # noqa: F401
    compare,
    data,
    diagnose,
    doctor,
    evaluate,
    export,
    game,
    listing,
    project,
    report,
    sample,
    status,
    submit,
    training,
    verify,
)
from gancli.cli.application import main

__all__ = ["main"]
