"""Generators and discriminators by name, as pure functions over plain dicts of arrays."""

from gancli.networks.network import (
    MODELS,
    Architecture,
    Interface,
    Network,
    Recurrence,
    carrying,
)
from gancli.registry import import_all

__all__ = [
    "MODELS",
    "Architecture",
    "Interface",
    "Network",
    "Recurrence",
    "carrying",
]

import_all(__name__, __path__)
