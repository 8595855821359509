"""Generators and discriminators by name, as pure functions over plain dicts of arrays."""

from gancli.networks import dcgan, maxout, mlp, resnet, sequence  # noqa: F401 - these fill the registry
from gancli.networks.network import (
    MODELS,
    Architecture,
    Interface,
    Network,
    Recurrence,
    count_parameters,
)

__all__ = ["MODELS", "Architecture", "Interface", "Network", "Recurrence", "count_parameters"]
