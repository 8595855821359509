"""The networks of tokens: shapes, gradients, and what the discriminator sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameter_counts import count_parameters
from refusals import refused

from gancli.networks import MODELS, Interface

LENGTH, VOCABULARY = 6, 11
TOKENS = Interface((LENGTH,), 0, vocabulary=VOCABULARY)
SMALL = "sequence:hidden=5,embedding=3,width=4"


def built(spec=SMALL, interface=TOKENS):
    pair = MODELS.build(spec, interface)
    keys = jax.random.split(jax.random.key(0))
    return pair, pair.generator.initialize(keys[0])[0], pair.discriminator.initialize(keys[1])


def shares(count=5, seed=0):
    tokens = np.random.default_rng(seed).integers(VOCABULARY, size=(count, LENGTH))
    return jax.nn.one_hot(jnp.asarray(tokens), VOCABULARY)


def test_shapes():
    pair, params, (weights, stats) = built()
    tokens = jnp.zeros((5, LENGTH), jnp.int32)
    logits, after = pair.generator.apply(params, {}, tokens)
    assert logits.shape == (5, LENGTH, VOCABULARY)
    assert after == {}
    assert pair.discriminator.apply(weights, stats, shares())[0].shape == (5,)
    _, logits = pair.recurrence.step(params, pair.recurrence.start(params, 5), tokens[:, 0])
    assert logits.shape == (5, VOCABULARY)
    assert not pair.discriminator.normalizes_batch


def test_packed_sequences_several_outputs_and_features():
    packed = TOKENS._replace(seen=3 * VOCABULARY, outputs=2)
    pair, _, (weights, stats) = built(interface=packed)
    seen = jnp.concatenate([shares(seed=seed) for seed in range(3)], axis=-1)
    assert pair.discriminator.apply(weights, stats, seen)[0].shape == (5, 2)
    both, _, (weights, stats) = built(interface=TOKENS._replace(features=True))
    assert both.discriminator.apply(weights, stats, shares())[0].shape == (5, 1 + 5 * 4)


def test_parameter_counts_by_hand():
    pair, _, _ = built()
    embedding, gates, output = 11 * 3, (3 + 5) * 20 + 20, 5 * 11 + 11
    assert count_parameters(pair.generator) == embedding + gates + output
    # Kernels of 1 to 5 tokens of 4 values each, 4 features from each.
    kernels = sum(size * 4 * 4 + 4 for size in range(1, 6))
    assert count_parameters(pair.discriminator) == 11 * 4 + kernels + 5 * 4 + 1


def test_kernels_are_at_most_as_long_as_the_sequence():
    short = Interface((2,), 0, vocabulary=VOCABULARY)
    pair = MODELS.build("sequence:width=4,longest=9", short)
    assert count_parameters(pair.discriminator) == 11 * 4 + (16 + 4) + (32 + 4) + 2 * 4 + 1


@pytest.mark.parametrize("spectral", ["false", "true"])
def test_every_parameter_has_a_gradient(spectral):
    pair, params, (weights, stats) = built(f"{SMALL},spectral_norm={spectral}")
    weighing = jnp.asarray(np.random.default_rng(1).normal(size=20), jnp.float32)

    def total(both):
        logits, _ = pair.generator.apply(both[0], {}, shares(20).argmax(axis=2))
        verdict, _ = pair.discriminator.apply(both[1], stats, jax.nn.softmax(logits))
        return jnp.sum(weighing * verdict)

    gradients = jax.jit(jax.grad(total))((params, weights))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


def test_the_discriminator_equals_a_convolution_in_numpy():
    pair, _, (weights, stats) = built()
    layers = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)["layers"]
    embedded = np.asarray(shares(), np.float64) @ layers["0"]["kernel"]
    found = []
    for size in range(1, 6):
        own = layers["1"]["kernels"][str(size - 1)]
        kernel = own["kernel"].reshape(size, 4, 4)
        values = [
            sum(embedded[:, place + tap] @ kernel[tap] for tap in range(size)) + own["bias"]
            for place in range(LENGTH - size + 1)
        ]
        largest = np.max(values, axis=0)
        found.append(np.maximum(largest, 0.2 * largest))
    expected = np.concatenate(found, axis=1) @ layers["2"]["kernel"][:, 0] + layers["2"]["bias"]
    verdict = pair.discriminator.apply(weights, stats, shares())[0]
    np.testing.assert_allclose(verdict, expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_tokens_and_nothing_of_the_batch_matters():
    pair, _, (weights, stats) = built()
    x = shares(4)
    plain = pair.discriminator.apply(weights, stats, x)[0]
    alone = pair.discriminator.apply(weights, stats, x[:1])[0]
    np.testing.assert_allclose(plain[:1], alone, rtol=1e-5)
    turned = pair.discriminator.apply(weights, stats, x[:, ::-1])[0]
    assert float(jnp.abs(plain - turned).min()) > 0


@pytest.mark.parametrize("name", sorted({*MODELS.names()} - {"sequence"}))
def test_models_of_images_and_points_refuse_tokens(name):
    with refused(f"{LENGTH} tokens", allowed="sequence", remedy=("--model", "--dataset")):
        MODELS.build(name, TOKENS)


@pytest.mark.parametrize("shape", [(2,), (8, 8, 1)])
def test_images_and_points_are_refused(shape):
    with refused("'sequence'", str(shape), allowed="'sequence'", remedy="mlp"):
        MODELS.build("sequence", Interface(shape, 3))
