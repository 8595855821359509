"""CycleGAN: its losses by hand, the pool of images, and both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import NARROW, config

from gancli.adversarial.dynamics import Turn
from gancli.data import load
from gancli.data.dataset import DataSpec, towards
from gancli.tasks.cyclegan import Pool, with_channels
from gancli.tasks.program import build_program, build_task

BLACK_AND_WHITE = DataSpec("x", "image", (8, 8, 1), target=DataSpec("y", "image", (8, 8, 1)))


def levels(pool_or_images):
    return sorted(np.asarray(pool_or_images)[:, 0, 0, 0].tolist())


def images(*values):
    return jnp.array(values, jnp.float32)[:, None, None, None]


def test_a_pool_is_filled_and_then_exchanges_half():
    pool = Pool(jnp.zeros((4, 1, 1, 1)), jnp.int32(0))
    for start in (1.0, 3.0):
        made = images(start, start + 1)
        shown, pool = pool.exchange(made, jax.random.key(0))
        np.testing.assert_array_equal(shown, made)  # Nothing older is there to show.
    assert levels(pool.images) == [1, 2, 3, 4]
    older = 0
    for step in range(200):
        made = images(10 + 2 * step, 11 + 2 * step)
        before = levels(pool.images)
        shown, pool = pool.exchange(made, jax.random.key(step))
        # Whatever is shown or held was shown or held before: nothing is lost or doubled.
        assert sorted([*before, *levels(made)]) == sorted([*levels(pool.images), *levels(shown)])
        older += int((shown != made).sum())
    assert 160 < older < 240  # 400 coins.


@pytest.mark.slow
def test_losses_of_generators_that_make_grey():
    """With weights of 0 all that is made is tanh 0 = 0, and what comes back, too."""
    model = f"cyclegan:{NARROW},blocks=1"
    configuration = config("image", task="cyclegan:cycle=10,identity=4", model=model)
    task = build_task(configuration, BLACK_AND_WHITE)
    weights = task.initialize(jax.random.key(0))
    params = {name: jax.tree.map(jnp.zeros_like, own.params) for name, own in weights.items()}
    stats = {name: own.stats for name, own in weights.items()}
    batch = {"examples": jnp.full((2, 8, 8, 1), 0.5), "target": jnp.full((2, 8, 8, 1), -0.25)}
    turn = Turn(batch, jax.random.key(1), jnp.int32(0))
    loss, aux = task.game.loss("generator", params, stats, turn)
    terms = {name: float(value) for name, value in aux.metrics.items()}
    assert terms == {
        "cycle/forward": 5.0,
        "cycle/back": 2.5,
        "identity/forward": 1.0,
        "identity/back": 2.0,
    }
    # Logits of 0 want to be 1, of each way's patches: the authors' (0 - 1)² for the generators, and
    # ½ (0 - 1)² + ½ 0² for the discriminators (backward_G and backward_D_basic of
    # cycle_gan_model.py in github.com/junyanz/pytorch-CycleGAN-and-pix2pix).
    assert float(loss) == pytest.approx(10.5 + 2 * 1.0)
    own = float(task.game.loss("discriminator", params, stats, turn)[0])
    assert own == pytest.approx(2 * 0.5)


@pytest.mark.slow
def test_a_cycle_comes_back_by_the_other_way():
    """Forward makes the grey 0.2 of everything, and back the grey -0.4."""
    model = f"cyclegan:{NARROW},blocks=1"
    task = build_task(config("image", task="cyclegan:cycle=10", model=model), BLACK_AND_WHITE)
    weights = task.initialize(jax.random.key(0))
    params = {name: jax.tree.map(jnp.zeros_like, own.params) for name, own in weights.items()}
    for way, grey in (("forward", 0.2), ("back", -0.4)):
        params["generator"][way] = jax.tree.map_with_path(
            lambda path, leaf, grey=grey: (
                jnp.full_like(leaf, np.arctanh(grey))
                if path[-1].key == "bias" and leaf.shape == (1,)
                else leaf
            ),
            params["generator"][way],
        )
    stats = {name: own.stats for name, own in weights.items()}
    batch = {"examples": jnp.full((2, 8, 8, 1), 0.5), "target": jnp.full((2, 8, 8, 1), -0.25)}
    turn = Turn(batch, jax.random.key(1), jnp.int32(0))
    _, aux = task.game.loss("generator", params, stats, turn)
    assert aux.metrics["cycle/forward"] == pytest.approx(10 * 0.9, rel=1e-5)  # |-0.4 - 0.5|
    assert aux.metrics["cycle/back"] == pytest.approx(10 * 0.45, rel=1e-5)  # |0.2 + 0.25|


def test_the_two_ways_are_each_others_way_back():
    spec = DataSpec("x", "image", (8, 8, 1), target=DataSpec("y", "image", (8, 8, 3)))
    model = f"cyclegan:{NARROW},blocks=1"
    task = build_task(config("image", task="cyclegan:identity=0", model=model), spec)
    weights = task.initialize(jax.random.key(0))["generator"]
    back = task.turned()
    for own, given, made in ((task, 1, 3), (back, 3, 1)):
        images = jax.ShapeDtypeStruct((1, 9, 6, given), jnp.float32)
        shape = jax.eval_shape(own.sampler.translate, weights, images).shape
        assert shape == (1, 9, 6, made)
    assert back.turned().sampler is task.sampler
    assert task.sampler.plain(jnp.ones((1, 2, 2, 1))).shape == (1, 2, 2, 3)


def test_channels_are_repeated_or_averaged():
    grey = jnp.ones((1, 1, 1, 1))
    np.testing.assert_array_equal(with_channels(grey, 3), np.ones((1, 1, 1, 3)))
    colour = jnp.array([[[[0.0, 0.5, 1.0]]]])
    np.testing.assert_array_equal(with_channels(colour, 1), [[[[0.5]]]])


def test_sets_of_one_size_come_in_different_orders():
    digits = load("digits")
    model = f"cyclegan:{NARROW},blocks=1"
    configuration = config("image", task="cyclegan", model=model, train__batch=50)
    source = build_program(configuration, towards(digits, digits)).source
    batch = source.materialize(source.resident, next(source.arguments(0)))
    assert batch["examples"].shape == batch["target"].shape == (50, 8, 8, 1)
    same = (batch["examples"] == batch["target"]).all(axis=(1, 2, 3))
    assert int(same.sum()) < 5
    streamed = build_program(
        configuration.model_copy(
            update={"data": configuration.data.model_copy(update={"resident_mib": 0})}
        ),
        towards(digits, digits),
    ).source
    again = streamed.materialize(streamed.resident, next(iter(streamed.arguments(0))))
    np.testing.assert_array_equal(batch["target"], again["target"])


def test_other_channels_have_no_identity():
    spec = DataSpec("x", "image", (8, 8, 1), target=DataSpec("y", "image", (8, 8, 3)))
    with refused(
        *("identity=5", "(8, 8, 1)", "(8, 8, 3)"),
        allowed="identity=0",
        remedy="--task cyclegan:identity=0",
    ):
        build_task(config("image", task="cyclegan"), spec)


def test_a_target_is_refused_where_it_has_no_use():
    with refused(*("'x'", "'y'", "'generation"), remedy=("--task cyclegan", "paired")):
        build_task(config("image", data__target="mnist"), BLACK_AND_WHITE)


def test_sets_of_two_sizes_are_refused():
    ring = load("ring8:count=10")
    with refused("'digits'", "(8, 8, 1)", "'ring8:count=10'", "(2,)", remedy="data.size"):
        towards(load("digits"), ring)
