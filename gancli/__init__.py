"""A laboratory for adversarial training on the command line."""

__version__ = "0.1.0"
