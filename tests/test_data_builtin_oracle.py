"""The random network: likelihood as in NumPy, sequences as often as likely, and refusals."""

import itertools

import jax
import numpy as np
import pytest
from refusals import refused

from gancli.data import DataRequest, load

SMALL = "oracle:length=3,vocabulary=4,count=4000,hidden=2"


def of_network(vocabulary, hidden, seed):
    """Its weights, drawn as they are written down: five arrays of N(0, 1) in float64."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 0), 5)
        shapes = [
            (vocabulary, hidden), (2 * hidden, 4 * hidden), (4 * hidden,),
            (hidden, vocabulary), (vocabulary,),
        ]  # fmt: skip
        return [
            np.asarray(jax.random.normal(key, shape, "float64"))
            for key, shape in zip(keys, shapes, strict=True)
        ]


def log_likelihood(weights, tokens):
    """Log p of one sequence, in NumPy alone."""
    embedding, kernel, bias, output_kernel, output_bias = weights
    output = cell = np.zeros(len(output_kernel))
    before, total = 0, 0.0
    for token in tokens:
        gates = np.concatenate([embedding[before], output]) @ kernel + bias
        enter, keep, candidate, show = np.split(gates, 4)
        sigmoid = 1 / (1 + np.exp(-np.array([enter, keep, show])))
        cell = sigmoid[1] * cell + sigmoid[0] * np.tanh(candidate)
        output = sigmoid[2] * np.tanh(cell)
        logits = output @ output_kernel + output_bias
        total += logits[token] - np.log(np.exp(logits).sum())
        before = token
    return total


@pytest.mark.slow
def test_the_likelihood_equals_a_memory_in_numpy():
    dataset = load(SMALL)
    weights = of_network(4, 2, 0)
    expected = [log_likelihood(weights, tokens) for tokens in dataset.examples[:20]]
    np.testing.assert_allclose(dataset.log_likelihood(dataset.examples[:20]), expected, rtol=1e-9)


def test_sequences_come_as_often_as_they_are_likely():
    """All 64 that there are: their probabilities add up to 1, and counts are theirs."""
    dataset = load(SMALL)
    every = np.array(list(itertools.product(range(4), repeat=3)))
    likely = np.exp(dataset.log_likelihood(every))
    assert likely.sum() == pytest.approx(1, abs=1e-12)
    counts = np.bincount(dataset.examples @ [16, 4, 1], minlength=64)
    expected = 4000 * likely
    # Binomial counts lie within five deviations of what is expected.
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected * (1 - likely)) + 1).all()


def test_what_it_is():
    dataset = load("oracle:length=5,vocabulary=50,count=30")
    assert dataset.examples.shape == (30, 5)
    assert dataset.examples.dtype == np.int32
    assert 0 <= dataset.examples.min() <= dataset.examples.max() < 50
    spec = dataset.spec
    assert (spec.kind, spec.shape, spec.vocabulary, spec.characters) == ("tokens", (5,), 50, "")
    assert spec.seen_shape == (5, 50)
    assert dataset.labels is None


def test_options_decide_everything():
    def examples(text, split="train"):
        return load(f"oracle:length=5,vocabulary=50,{text}", DataRequest(split=split)).examples

    first = examples("count=40")
    np.testing.assert_array_equal(first, examples("count=40,seed=0"))
    np.testing.assert_array_equal(first, examples("count=1100")[:40])
    assert (first != examples("count=40,seed=1")).any()
    assert (first != examples("count=40", "test")).any()
    # Another draw of the same network: as likely by it, to within five standard errors.
    train, test = (
        load("oracle:length=5,vocabulary=50,count=2000", DataRequest(split=split))
        for split in ("train", "test")
    )
    own, other = (train.log_likelihood(one.examples) for one in (train, test))
    error = (own.var() / 2000 + other.var() / 2000) ** 0.5
    assert abs(own.mean() - other.mean()) < 5 * error


def test_sequences_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        load(SMALL).examples[0] = 0


@pytest.mark.parametrize(
    ("name", "request_", "given", "allowed", "remedy"),
    [
        ("oracle:count=10000001", {}, ("count", "'10000001'"), "10,000,000", ()),
        ("oracle:count=20000", {}, ("20,000 sequences",), "40,000,000,000", "count"),
        (
            "oracle:length=1024,vocabulary=2,count=10000",
            {},
            ("10,000 sequences", "1,024 tokens"),
            "40,000,000,000",
            "count",
        ),
        (
            "oracle:vocabulary=65536,hidden=1024,count=1",
            {},
            ("vocabulary of 65,536", "1,024 hidden"),
            "10,000,000",
            "vocabulary",
        ),
        ("oracle:vocabulary=1", {}, ("vocabulary", "'1'"), ("2", "65,536"), ()),
        ("oracle:length=1", {}, ("length", "'1'"), ("2", "1,024"), ()),
        ("oracle", {"split": "validation"}, ("split", "'validation'"), "test, train", ()),
        ("oracle", {"size": 8}, ("data.size", " 8 ", "tokens"), (), "data.size"),
    ],
)
def test_what_does_not_apply_is_refused(name, request_, given, allowed, remedy):
    with refused("oracle", *given, allowed=allowed, remedy=remedy):
        load(name, DataRequest(**request_))
