"""Generators and discriminators by name, as pure functions over plain dicts of arrays."""

from gancli.networks.network import (
    MODELS,
    Architecture,
    Interface,
    Network,
    Recurrence,
    Styles,
    carrying,
    networks_of,
)
from gancli.registry import import_all

__all__ = [
    "MODELS",
    "Architecture",
    "Interface",
    "Network",
    "Recurrence",
    "Styles",
    "carrying",
    "networks_of",
]

import_all(__name__, __path__)
