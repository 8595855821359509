"""Data sets by name or path, as arrays of bytes, points or tokens; batches by step."""

from gancli.data.catalogue import load
from gancli.data.dataset import DATASETS, DataRequest, Dataset, DataSpec, Modes
from gancli.data.facts import describe, fingerprint
from gancli.data.formats.preparation import prepare
from gancli.data.transform import to_float, to_uint8

__all__ = [
    "DATASETS",
    "DataRequest",
    "DataSpec",
    "Dataset",
    "Modes",
    "describe",
    "fingerprint",
    "load",
    "prepare",
    "to_float",
    "to_uint8",
]
