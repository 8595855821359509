"""The long short-term memory against one that is written in NumPy, and the draw by inversion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.networks.recurrent import (
    draw_tokens,
    forced_logits,
    log_likelihoods,
    normal_weights,
    read,
    start,
    step,
)

VOCABULARY, EMBEDDING, HIDDEN = 7, 3, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference_logits(weights, tokens):
    """The logits of each token of one sequence, token by token and gate by gate."""
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    output, cell, before, found = np.zeros(HIDDEN), np.zeros(HIDDEN), 0, []
    for token in tokens:
        x = weights["embedding"][before]
        enter, keep, candidate, show = (
            x @ weights["kernel"][:EMBEDDING, columns]
            + output @ weights["kernel"][EMBEDDING:, columns]
            + weights["bias"][columns]
            for columns in np.split(np.arange(4 * HIDDEN), 4)
        )
        cell = sigmoid(keep) * cell + sigmoid(enter) * np.tanh(candidate)
        output = sigmoid(show) * np.tanh(cell)
        found.append(output @ weights["output_kernel"] + weights["output_bias"])
        before = token
    return np.array(found)


@pytest.fixture(scope="module")
def weights():
    return normal_weights(jax.random.key(3), VOCABULARY, EMBEDDING, HIDDEN, 1.0)


TOKENS = np.array([[2, 6, 0, 5, 5], [1, 1, 3, 0, 4]])


def test_teacher_forcing_equals_a_memory_in_numpy(weights):
    logits = forced_logits(weights, jnp.asarray(TOKENS))
    expected = [reference_logits(weights, row) for row in TOKENS]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_token_by_token_equals_teacher_forcing(weights):
    state, before = start(weights, 2), jnp.zeros(2, jnp.int32)
    forced = forced_logits(weights, jnp.asarray(TOKENS))
    for place in range(5):
        # Shares of 1 and 0 are a token.
        shares = jax.nn.one_hot(before, VOCABULARY)
        np.testing.assert_allclose(
            step(weights, state, shares)[1], forced[:, place], rtol=1e-4, atol=1e-5
        )
        state, logits = step(weights, state, before)
        np.testing.assert_allclose(logits, forced[:, place], rtol=1e-4, atol=1e-5)
        before = jnp.asarray(TOKENS[:, place])


def test_a_token_is_not_seen_before_it_is_there(weights):
    changed = np.array(TOKENS)
    changed[:, 3] = 6
    before = forced_logits(weights, jnp.asarray(TOKENS))
    after = forced_logits(weights, jnp.asarray(changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4] != after[:, 4]).all()


def test_gates_by_hand():
    """All weights 0: every gate is 1/2 and the candidate 0, so that half of the cell is left."""
    zeros = jax.tree.map(jnp.zeros_like, normal_weights(jax.random.key(0), 5, 2, 3, 1.0))
    output, cell = read(zeros, (jnp.ones((1, 3)), jnp.full((1, 3), 0.8)), jnp.ones((1, 2)))
    np.testing.assert_allclose(cell, np.full((1, 3), 0.4), rtol=1e-6)
    np.testing.assert_allclose(output, np.full((1, 3), 0.5 * np.tanh(0.4)), rtol=1e-6)


def test_first_weights_have_the_deviation_asked_for():
    weights = normal_weights(jax.random.key(1), 2000, 16, 32, 0.1)
    assert {name: value.shape for name, value in weights.items()} == {
        "embedding": (2000, 16), "kernel": (48, 128), "bias": (128,),
        "output_kernel": (32, 2000), "output_bias": (2000,),
    }  # fmt: skip
    for name, value in weights.items():
        assert float(value.std()) == pytest.approx(0.1, rel=5 / (2 * value.size) ** 0.5), name


def test_likelihoods_by_hand():
    # Softmax (1/4, 3/4) and (1/2, 1/2): ln 3/4 and ln 1/2.
    logits = jnp.array([[[0.0, jnp.log(3.0)], [2.0, 2.0]]])
    found = log_likelihoods(logits, jnp.array([[1, 0]]))
    np.testing.assert_allclose(found, [[-0.287682, -0.693147]], rtol=1e-5)


def test_tokens_are_drawn_where_the_probabilities_pass_a_share():
    """Probabilities 1/8, 1/2, 1/4, 1/8 add up to 1/8, 5/8, 7/8 and 1."""
    logits = jnp.log(jnp.array([[1.0, 4.0, 2.0, 1.0]]))
    shares = jnp.array([0.0, 0.12, 0.13, 0.62, 0.63, 0.87, 0.88, 0.999])
    drawn = draw_tokens(jnp.broadcast_to(logits, (8, 4)), shares)
    assert drawn.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert drawn.dtype == jnp.int32


@pytest.mark.parametrize("vocabulary", [2, 127, 128, 129, 300])
def test_tokens_come_as_often_as_they_are_likely(vocabulary):
    """At 20,000 evenly spaced shares, every count is right to within one."""
    logits = 2 * jax.random.normal(jax.random.key(vocabulary), (1, vocabulary))
    count = 20_000
    shares = (jnp.arange(count, dtype=jnp.float32) + 0.5) / count
    drawn = draw_tokens(jnp.broadcast_to(logits, (count, vocabulary)), shares)
    expected = np.asarray(jax.nn.softmax(logits[0]), np.float64) * count
    counts = np.bincount(drawn, minlength=vocabulary)
    assert np.abs(counts - expected).max() < 1.5
