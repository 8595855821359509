"""The configuration of a run: frozen, strict, layered, with the source of each value."""

from gancli.config.layers import (
    Layer,
    differences,
    flatten,
    flatten_config,
    from_json,
    optimizer_settings,
    parse_assignment,
    parse_assignments,
    read_sweeping_toml,
    read_toml,
    to_json,
)
from gancli.config.settings import (
    LAST_STEP,
    MOST_UPDATES,
    AverageSettings,
    Config,
    OptimizerSettings,
    fields,
)
from gancli.config.sweeps import Sweep, build_sweep

__all__ = [
    "LAST_STEP",
    "MOST_UPDATES",
    "AverageSettings",
    "Config",
    "Layer",
    "OptimizerSettings",
    "Sweep",
    "build_sweep",
    "differences",
    "fields",
    "flatten",
    "flatten_config",
    "from_json",
    "optimizer_settings",
    "parse_assignment",
    "parse_assignments",
    "read_sweeping_toml",
    "read_toml",
    "to_json",
]
