"""Monitors, which watch a run while it trains: one function each, registered in `MONITORS`."""

from gancli.registry import import_all
from gancli.training.monitors.monitor import MONITORS, Finding, Monitor, Window

__all__ = ["MONITORS", "Finding", "Monitor", "Window"]

import_all(__name__, __path__)
