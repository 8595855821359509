"""How many parameters a network has."""

import math

import jax

from gancli.networks import Network


def count_parameters(network: Network) -> int:
    """The number of trainable parameters, found without allocating them."""
    params, _ = jax.eval_shape(lambda: network.initialize(jax.random.key(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
