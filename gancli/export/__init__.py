"""Exports of trained networks that are used without their run, and most of them without gan."""

from gancli.export.exporting import FORMATS, export, require_format
from gancli.export.hub import Repository
from gancli.export.loading import load
from gancli.export.part import TrainedPart, load_part

__all__ = [
    "FORMATS",
    "Repository",
    "TrainedPart",
    "export",
    "load",
    "load_part",
    "require_format",
]
