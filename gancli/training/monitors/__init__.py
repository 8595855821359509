"""What watches a run while it trains: one function a monitor, all of them in `MONITORS`."""

from gancli.registry import import_all
from gancli.training.monitors.monitor import MONITORS, Finding, Monitor, Window

__all__ = ["MONITORS", "Finding", "Monitor", "Window"]

import_all(__name__, __path__)
