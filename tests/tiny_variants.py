"""Variants of a comparison that train in no time, shared by the tests that compare."""

from gancli.comparison import Variant
from gancli.config import Layer

TINY = {
    "data.name": "ring8:count=500",
    "loss": "non-saturating",
    "model": "mlp:width=16,depth=2",
    "train.batch": 20,
    "train.steps": 6,
    "sample.count": 4,
    "checkpoint.every": 3,
}
# Diverges with its first steps.
WILD = {
    "loss": "least-squares",
    "optimizer.discriminator.name": "sgd",
    "optimizer.discriminator.learning_rate": 1e30,
}


def variant(name: str, **values: object) -> Variant:
    """A variant of the tiny one; keys with __ for each dot."""
    changed = {key.replace("__", "."): value for key, value in values.items()}
    return Variant(name, (Layer("test", TINY | changed),))
