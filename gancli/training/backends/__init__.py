"""How the steps of a run are computed: alone, or together with other runs."""

from gancli.training.backends.backend import Backend
from gancli.training.backends.devices import Devices

__all__ = ["Backend", "Devices"]
