"""Generators and discriminators by name, as pure functions over plain dicts of arrays."""

from gancli.networks import (  # noqa: F401 - these fill the registry
    cyclegan,
    dcgan,
    maxout,
    mlp,
    r3gan,
    resnet,
    sequence,
    stylegan2,
    unet,
)
from gancli.networks.network import (
    MODELS,
    Architecture,
    Interface,
    Network,
    Recurrence,
    carrying,
    count_parameters,
)

__all__ = [
    "MODELS",
    "Architecture",
    "Interface",
    "Network",
    "Recurrence",
    "carrying",
    "count_parameters",
]
