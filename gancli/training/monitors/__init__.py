"""Monitors, which watch a run while it trains: one function each, registered in `MONITORS`."""

from gancli.registry import import_all
from gancli.training.monitors.diagnosis import (
    PATHOLOGIES,
    Change,
    Diagnosis,
    Remedy,
    diagnose,
)
from gancli.training.monitors.monitor import MONITORS, Finding, Monitor, Window

__all__ = [
    "MONITORS",
    "PATHOLOGIES",
    "Change",
    "Diagnosis",
    "Finding",
    "Monitor",
    "Remedy",
    "Window",
    "diagnose",
]

import_all(__name__, __path__)
