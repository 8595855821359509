"""Data sets that come with the program: digits, photographs, drawn points, an oracle's tokens."""

from gancli.registry import import_all

import_all(__name__, __path__)
