"""Dispatch: the same game however many steps a call makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.dynamics import DYNAMICS, Aux, Game, Weights, initial_state
from gancli.adversarial.keys import Stream
from gancli.adversarial.optimizers import build_optimizer
from gancli.config import OptimizerSettings
from gancli.data.batches import batch_source
from gancli.data.dataset import Dataset, DataSpec
from gancli.training.execution import build_execution


def game_of_sums(player, params, stats, turn):
    """Each player's gradient is the batch's sum, so weights tell which batches were seen."""
    noise = jax.random.uniform(turn.key(Stream.LATENT))
    seen = turn.batch["examples"].sum()
    return params[player] * seen, Aux(stats[player], {"seen": seen, "noise": noise})


@pytest.fixture
def parts():
    examples = np.arange(8, dtype=np.float32).reshape(8, 1)
    dataset = Dataset(DataSpec("numbers", "points", (1,), ()), examples, None, "f")
    source = batch_source(dataset, 2, 0, 2**20)
    sgd = build_optimizer(OptimizerSettings(name="sgd", learning_rate=1.0))
    optimizers = {"critic": sgd, "maker": sgd}
    game = Game(("critic", "maker"), game_of_sums)
    moves = DYNAMICS.build("alternating", game, optimizers, {"critic": 3, "maker": 1})

    def start():
        weights = {name: Weights(jnp.zeros(()), {}) for name in optimizers}
        return initial_state(weights, optimizers)

    return moves, source, start


def run(parts, chunks, state=None, seed=5):
    moves, source, start = parts
    state = start() if state is None else state
    execution = build_execution(moves, source, seed, state, 16)
    play = execution.compile()
    rows = []
    for chunk in chunks:
        progress = play(state, execution.draw(chunk))
        assert progress.steps == chunk
        state = progress.state
        rows.append(progress.rows())
    return state, np.concatenate(rows), execution.names


def test_each_player_walks_through_the_data_by_its_own_count(parts):
    state, rows, names = run(parts, [4])
    column = {name: rows[:, index] for index, name in enumerate(names)}
    plan = [float(parts[1].resident["examples"][i].sum()) for i in _draws(parts[1], 12)]
    np.testing.assert_allclose(column["critic/seen"], np.mean(np.reshape(plan, (4, 3)), axis=1))
    np.testing.assert_allclose(column["maker/seen"], plan[:4])
    assert float(state.players["critic"].params) == -sum(plan)
    assert float(state.players["maker"].params) == -sum(plan[:4])
    assert int(state.step) == 4


def _draws(source, count):
    feed = source.arguments(0)
    return [next(feed) for _ in range(count)]


@pytest.mark.parametrize("chunks", [[1] * 12, [5, 7], [11, 1]])
def test_chunks_do_not_matter(parts, chunks):
    whole, rows, _ = run(parts, [12])
    state, chunked, _ = run(parts, chunks)
    np.testing.assert_array_equal(chunked, rows)
    jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_going_on_from_a_state_equals_not_stopping(parts):
    whole, rows, _ = run(parts, [12])
    middle, before, _ = run(parts, [5])
    state, after, _ = run(parts, [7], middle)
    np.testing.assert_array_equal(np.concatenate([before, after]), rows)
    jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_a_step_of_streamed_data_travels_with_little_padding(parts):
    """Steps of 128 KiB each, of which a call may make 1,000."""
    moves, _, start = parts
    examples = np.zeros((8, 2**14), np.float32)
    dataset = Dataset(DataSpec("rows", "points", (2**14,), ()), examples, None, "f")
    source = batch_source(dataset, 2, 0, resident_bytes=0)
    execution = build_execution(moves[1:], source, 5, start(), 1000)
    travels = jax.tree.leaves(execution.draw(1).arguments)
    assert 2**17 <= sum(leaf.nbytes for leaf in travels) <= 2**22


def test_keys_differ_by_step_player_and_seed(parts):
    _, rows, names = run(parts, [12])
    critic, maker = (rows[:, names.index(f"{name}/noise")] for name in ("critic", "maker"))
    assert len(set(critic.tolist() + maker.tolist())) == 24
    _, other, _ = run(parts, [12], seed=6)
    assert (other[:, names.index("maker/noise")] != maker).all()
