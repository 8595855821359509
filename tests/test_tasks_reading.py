"""What is read from examples, and how two readings of the same examples agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import LABELLED, RING, SMALL_LOGITS, config, play

from gancli.adversarial.dynamics import Turn
from gancli.data import load
from gancli.tasks.program import build_task
from gancli.tasks.reading import mutual_information

AGREEING = "infogan:latent=2,categories=4,continuous=1,agreement=2,spare=6"


# In nats. Of two values, one right in three quarters of all cases: the joint shares are 3/8 and
# 1/8, and ln 2 - (1/4 ln 4 + 3/4 ln (4/3)) is 0.693147 - 0.562335.
@pytest.mark.parametrize(
    ("first", "second", "nats"),
    [
        (np.eye(4), np.eye(4), np.log(4)),
        (np.eye(4)[[0, 0, 1, 1]], np.eye(4)[[0, 0, 1, 1]], np.log(2)),
        (np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[0, 1, 0, 1]], 0.0),
        (np.eye(2)[[0] * 4 + [1] * 4], np.eye(2)[[0, 0, 0, 1, 1, 1, 1, 0]], 0.130812),
        (np.full((3, 5), 0.2), np.full((3, 5), 0.2), 0.0),
        (np.eye(3)[[1, 1]], np.eye(3)[[1, 1]], 0.0),
    ],
    ids=["all alike", "two of four", "independent", "three quarters", "undecided", "always one"],
)
def test_mutual_information_by_hand(first, second, nats):
    found = mutual_information(jnp.float32(first), jnp.float32(second))
    assert float(found) == pytest.approx(nats, abs=3e-6)


def test_mutual_information_has_a_finite_slope_where_a_value_never_occurs():
    shares = jnp.float32(np.eye(3)[[0, 1, 0, 1]])
    assert np.isfinite(jax.grad(lambda x: mutual_information(x, x))(shares)).all()


@pytest.mark.slow
def test_a_reader_of_its_own_reads_the_codes():
    """Its agreement is that of softmaxes of nearly equal logits at first: nothing."""
    nearly = SMALL_LOGITS | {"model": "dcgan:width=4"}
    configuration = config("image", task=AGREEING, loss="hinge", **nearly)
    before, after, metrics = play(configuration, steps=2, data="digits")
    players = build_task(configuration, LABELLED).game.players
    assert players == ("discriminator", "reader", "generator")
    for player in ("reader", "generator"):
        assert metrics[f"{player}/code_loss/category"][0] == pytest.approx(np.log(4), rel=0.25)
    assert not any(name.startswith("discriminator/code_loss") for name in metrics)
    of_reader = {name for name in metrics if name.startswith("reader/agreement/")}
    assert of_reader == {"reader/agreement/category", "reader/agreement/spare"}
    assert -2 * np.log(4) < metrics["reader/agreement/category"][0] <= 1e-6
    moved = jax.tree.map(
        lambda a, b: bool((a != b).any()),
        before.players["reader"].params,
        after.players["reader"].params,
    )
    # A bias before batch normalization has no effect, so none is there to stay.
    assert all(jax.tree.leaves(moved))
    assert after.players["reader"].average is None


@pytest.mark.slow
def test_the_generator_learns_its_codes_from_the_reader_and_not_from_its_agreement():
    """Another weight of the agreement changes the reader's loss alone, and that in proportion."""

    def losses(weight):
        spec = AGREEING.replace("agreement=2", f"agreement={weight}")
        task = build_task(config("image", task=spec, loss="hinge", **SMALL_LOGITS), LABELLED)
        weights = task.initialize(jax.random.key(0))
        params, stats = ({n: getattr(own, part) for n, own in weights.items()} for part in
                         ("params", "stats"))  # fmt: skip
        batch = {"examples": jax.random.uniform(jax.random.key(2), (8, 8, 8, 1), minval=-1)}
        turn = Turn(batch, jax.random.key(1), jnp.int32(0))
        loss = jax.jit(task.game.loss, static_argnums=0)
        return {player: loss(player, params, stats, turn) for player in ("reader", "generator")}

    once, often = losses(1), losses(50)
    assert once["generator"][0] == often["generator"][0]
    for name in ("agreement/category", "agreement/spare"):
        ratio = often["reader"][1].metrics[name] / once["reader"][1].metrics[name]
        assert float(ratio) == pytest.approx(50, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "given", "allowed", "remedy"),
    [
        (
            {"task": "infogan:agreement=1,categories=1"},
            *(("'infogan'", "agreement=1", "categories=1"), ("2", "agreement=0"), ()),
        ),
        ({"task": "infogan:agreement=1,views=affin"}, ("'affin'",), "affine", "'affine'"),
    ],
)
def test_what_cannot_agree_is_refused(options, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        build_task(config("image", **options), LABELLED)


def test_points_have_no_views():
    with refused("'affine'", "points", "(2,)", remedy="inputs.augment"):
        build_task(config("points", task="infogan:agreement=1"), load(RING).spec)
