"""Generators and discriminators by name, as pure functions over plain dicts of arrays."""

from gancli.networks import (  # noqa: F401 - these fill the registry
    cyclegan,
    dcgan,
    maxout,
    mlp,
    resnet,
    unet,
)
from gancli.networks.network import MODELS, Architecture, Interface, Network, count_parameters

__all__ = ["MODELS", "Architecture", "Interface", "Network", "count_parameters"]
