"""Tokens by maximum likelihood: the baseline without a discriminator."""

import jax

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.tasks.sequential import (
    likelihood_loss,
    log_likelihood_with,
    sequence_networks,
    sequence_sampler,
)
from gancli.tasks.task import TASKS, Task, refuse_discriminator


@TASKS.register(
    "maximum-likelihood",
    reference="Williams and Zipser, 1989 (teacher forcing); protocol arXiv:1609.05473",
    recipe={
        "loss": "",
        "penalties": [],
        "optimizer.generator.learning_rate": 1e-2,
        "optimizer.generator.beta1": 0.9,
        "optimizer.generator.beta2": 0.999,
        "optimizer.generator.clip_norm": 5.0,
    },
)
def maximum_likelihood(config: Config, data: DataSpec) -> Task:
    """Tokens by maximum likelihood of each token given the real tokens before it.

    Minimises the mean of -log p(x_t | x_<t) over sequences and positions. The settings of the
    discriminator's optimizer and number of steps do not apply.

    Returns:
        The task, with the one player `generator`.

    Raises:
        UserError: if the parts do not fit each other or the data.
    """
    networks = sequence_networks(config, data)
    refuse_discriminator(config)

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        loss = likelihood_loss(networks.generator, params["generator"], turn.batch["examples"])
        return loss, Aux(stats["generator"], {})

    def initialize(key: jax.Array) -> dict[str, Weights]:
        # The same initial weights as in tasks with a discriminator.
        own = jax.random.split(key)[1]
        return {"generator": Weights(*networks.generator.initialize(own))}

    return Task(
        game=Game(("generator",), play),
        roles={"generator": "generator"},
        networks={"generator": {"": networks.generator}},
        initialize=initialize,
        sampler=sequence_sampler(networks.recurrence, data),
        examples_per_update=config.train.batch,
        log_likelihood=log_likelihood_with(networks.generator),
    )
