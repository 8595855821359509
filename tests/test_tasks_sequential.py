"""Tasks of tokens: draws against likelihoods, gradients against exact ones, pre-training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused
from test_tasks import config, play

from gancli.adversarial.dynamics import Turn
from gancli.data.dataset import DataSpec
from gancli.tasks.program import build_task
from gancli.tasks.sequential import (
    draw_sequences,
    relaxed_sequences,
    sequence_networks,
    token_log_likelihoods,
)

DATA = "oracle:length=4,vocabulary=6,count=200"
TINY = "sequence:hidden=4,embedding=3,width=4,longest=2"
SMALL = {"kind": "tokens", "model": TINY, "train__batch": 8, "loss": "non-saturating"}
BINARY = DataSpec("x", "tokens", (3,), vocabulary=2)
EVERY = np.array(list(itertools.product(range(2), repeat=3)))


def tokens(**values):
    return config(**{**SMALL, **values})


@pytest.fixture(scope="module")
def binary():
    """A generator of three tokens of two kinds, with large weights, and all it can write."""
    networks = sequence_networks(tokens(), BINARY)
    params, _ = networks.generator.initialize(jax.random.key(5))
    return networks, jax.tree.map(lambda leaf: 20 * leaf, params)


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def frequencies(sequences):
    return np.bincount(np.asarray(sequences) @ [4, 2, 1], minlength=8) / len(sequences)


def probabilities(networks, params):
    return np.exp(token_log_likelihoods(networks.generator, params, EVERY).sum(axis=1))


def test_likelihoods_of_all_sequences_add_up_to_one(binary):
    found = probabilities(*binary)
    assert found.sum() == pytest.approx(1, rel=1e-5)
    assert found.max() > 2 * found.min()


def test_sequences_are_drawn_as_often_as_they_are_likely(binary):
    networks, params = binary
    drawn = draw_sequences(networks.recurrence, params, keys(50_000), 3)
    assert drawn.dtype == jnp.int32
    np.testing.assert_allclose(frequencies(drawn), probabilities(*binary), atol=0.01)


def test_a_sequence_depends_on_its_key_alone(binary):
    networks, params = binary
    many = draw_sequences(networks.recurrence, params, keys(64), 3)
    few = draw_sequences(networks.recurrence, params, keys(64)[5:9], 3)
    np.testing.assert_array_equal(many[5:9], few)


def test_a_beginning_is_kept_and_finished_as_is_likely(binary):
    """Of those that begin with (1, 0), the last token as often as it is likely after them."""
    networks, params = binary
    prefix = jnp.tile(jnp.array([[1, 0, 1]]), (50_000, 1))
    drawn = np.asarray(
        draw_sequences(networks.recurrence, params, keys(50_000), 3, prefix, jnp.int32(2))
    )
    np.testing.assert_array_equal(drawn[:, :2], prefix[:, :2])
    either = probabilities(*binary)[[4, 5]]
    assert drawn[:, 2].mean() == pytest.approx(either[1] / either.sum(), abs=0.01)


def test_relaxed_tokens_are_gumbel_softmax_in_numpy(binary):
    networks, params = binary
    own = keys(5)
    found = relaxed_sequences(networks.recurrence, params, own, 3, 2, jnp.float32(0.7), False)
    state, before = networks.recurrence.start(params, 5), jax.nn.one_hot(jnp.zeros(5, int), 2)
    for place in range(3):
        state, logits = networks.recurrence.step(params, state, before)
        noise = [jax.random.gumbel(jax.random.fold_in(key, place), (2,)) for key in own]
        powers = np.exp((np.asarray(logits) + np.asarray(noise)) / 0.7)
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-4, atol=1e-6)
        before = found[:, place]


def test_cold_relaxed_tokens_are_whole_and_as_often_as_they_are_likely(binary):
    networks, params = binary
    cold = jnp.float32(1e-3)
    found = relaxed_sequences(networks.recurrence, params, keys(50_000), 3, 2, cold, False)
    assert float((found.max(axis=2) > 0.99).mean()) > 0.99
    np.testing.assert_allclose(frequencies(found.argmax(axis=2)), probabilities(*binary), atol=0.01)


def test_straight_through_tokens_are_whole_with_the_relaxed_gradient(binary):
    """Of one token and a linear function, whose slope is the same everywhere."""
    networks, params = binary

    def value(params, straight_through):
        found = relaxed_sequences(
            networks.recurrence, params, keys(6), 1, 2, jnp.float32(2.0), straight_through
        )
        return (found @ jnp.array([1.0, -3.0])).sum(), found

    relaxed, soft = jax.grad(value, has_aux=True)(params, False)
    straight, whole = jax.grad(value, has_aux=True)(params, True)
    assert set(np.unique(whole)) == {0, 1}
    np.testing.assert_array_equal(whole.argmax(axis=2), soft.argmax(axis=2))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), relaxed, straight
    )
    assert float(jnp.abs(relaxed["output_bias"]).max()) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    ["baseline=running", "baseline=batch"]
    + [
        pytest.param(of, marks=pytest.mark.slow)
        for of in ("baseline=none", "baseline=none,rollouts=2")
    ],
)
def test_the_policy_gradient_is_that_of_the_expected_reward(binary, options):
    """Against the derivative of Σ p(y) R(y) over all eight sequences, by 40,000 draws."""
    networks, params = binary
    count = 40_000
    configuration = tokens(task=f"policy-gradient:{options}", train__batch=count)
    task = build_task(configuration, BINARY)
    weights = task.initialize(jax.random.key(7))
    critic = jax.tree.map(lambda leaf: 3 * leaf, weights["discriminator"].params)
    stats = {name: own.stats for name, own in weights.items()}
    if stats["generator"]:
        stats["generator"] = {"baseline": jnp.array([0.3, 0.5, 0.4])}
    turn = Turn({"examples": jnp.zeros((count, 3), jnp.int32)}, jax.random.key(2), jnp.int32(0))

    @jax.jit
    def surrogate(params):
        return task.game.loss(
            "generator", {"generator": params, "discriminator": critic}, stats, turn
        )

    found, aux = jax.grad(surrogate, has_aux=True)(params)
    seen = jax.nn.one_hot(EVERY, 2)
    logits, _ = networks.discriminator.apply(critic, stats["discriminator"], seen)
    rewards = np.asarray(jax.nn.sigmoid(logits))
    assert np.ptp(rewards) > 0.2

    def expected_reward(params):
        return (
            jnp.exp(token_log_likelihoods(networks.generator, params, EVERY).sum(axis=1)) * rewards
        ).sum()

    exact = jax.tree.map(lambda leaf: -leaf / 3, jax.grad(expected_reward)(params))
    assert float(jnp.abs(exact["output_bias"]).max()) > 0.005
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.003), found, exact)
    one, other = (
        np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(g)]) for g in (found, exact)
    )
    assert one @ other > 0.99 * np.linalg.norm(one) * np.linalg.norm(other)
    assert aux.metrics["reward"] == pytest.approx(float(expected_reward(params)), abs=0.005)


def test_the_running_baseline_takes_in_a_tenth_of_each_reward():
    _, state, metrics = play(tokens(task="policy-gradient"), steps=1, data=DATA)
    np.testing.assert_allclose(
        state.players["generator"].stats["baseline"],
        0.1 * metrics["generator/reward"][0],
        rtol=1e-5,
    )


def test_the_temperature_falls_geometrically():
    task = "gumbel:temperature=1,last_temperature=0.01,cooling=2"
    _, _, metrics = play(tokens(task=task), steps=4, data=DATA)
    np.testing.assert_allclose(metrics["generator/temperature"], [1, 0.1, 0.01, 0.01], rtol=1e-5)


@pytest.mark.slow
def test_pretraining_is_maximum_likelihood_and_the_discriminator_waits():
    """Four steps by likelihood, in the last of which the discriminator learns; then two others."""
    optimizer = {"optimizer__generator__learning_rate": 0.01}
    both = tokens(task="gumbel:pretrain=4,pretrain_discriminator=1", **optimizer)
    before, _, metrics = play(both, steps=6, data=DATA)
    alone = tokens(task="maximum-likelihood", loss="", **optimizer)
    at_first, _, likelihood = play(alone, steps=4, data=DATA)
    jax.tree.map(
        np.testing.assert_array_equal,
        before.players["generator"].params,
        at_first.players["generator"].params,
    )
    np.testing.assert_allclose(
        metrics["generator/loss"][:4], likelihood["generator/loss"], rtol=1e-5
    )
    assert (metrics["discriminator/loss"] > 0).tolist() == [False] * 3 + [True] * 3
    assert (metrics["generator/temperature"] > 0).tolist() == [False] * 4 + [True] * 2
    _, waiting, _ = play(both, steps=3, data=DATA)
    jax.tree.map(
        np.testing.assert_array_equal,
        waiting.players["discriminator"].params,
        before.players["discriminator"].params,
    )


def test_likelihood_falls_below_that_of_guessing():
    values = {"optimizer__generator__learning_rate": 0.03, "train__batch": 50}
    _, _, metrics = play(tokens(task="maximum-likelihood", loss="", **values), 150, DATA)
    assert metrics["generator/loss"][0] == pytest.approx(np.log(6), rel=0.05)
    assert metrics["generator/loss"][-10:].mean() < np.log(6) - 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"task": "gumbel:straight_through=false", "loss": "wasserstein"},
        {"task": "gumbel", "loss": "hinge", "inputs__packing": 2, "inputs__noise": 0.1},
        {"task": "policy-gradient:reward=loss", "loss": "relativistic"},
        {"task": "gumbel", "train__dynamics": "extragradient"},
    ],
)
def test_variations_play(values):
    _, _, metrics = play(tokens(**values), data=DATA)
    assert all(np.isfinite(value).all() for value in metrics.values())


@pytest.mark.parametrize(
    ("values", "given", "allowed"),
    [
        ({"task": "generation"}, ("'generation'", "'x'"), "gumbel"),
        ({"task": "conditional"}, ("'conditional'", "'x'"), ("digits", "mnist")),
        ({"task": "vae", "loss": ""}, ("'vae'", "'x'"), "gumbel"),
        ({"task": "vae-gan"}, ("'vae-gan'", "'x'"), "gumbel"),
        ({"task": "infogan"}, ("'infogan'", "'x'"), "gumbel"),
        ({"model": "mlp"}, ("3 tokens",), "sequence"),
        ({"model": "dcgan"}, ("3 tokens",), "sequence"),
        ({"task": "maximum-likelihood"}, ("'maximum-likelihood'", "loss='non-saturating'"), ()),
        (
            {"task": "policy-gradient", "inputs__packing": 2},
            *(("inputs.packing", "2", "'policy-gradient'"), "1"),
        ),
        ({"inputs__augment": ["color"]}, ("'color'", "tokens", "(3, 2)"), "images"),
        (
            {"task": "gumbel:pretrain=3,pretrain_discriminator=4"},
            *(("pretrain_discriminator", "4", " pretrain", "3"), "3"),
        ),
        ({"task": "gumbel:temperature=0"}, ("temperature", "'gumbel'", "'0'"), ()),
    ],
)
def test_what_does_not_fit_is_refused(values, given, allowed):
    with refused(*given, allowed=allowed):
        build_task(tokens(**values), BINARY)


@pytest.mark.parametrize("task", ["gumbel", "policy-gradient", "maximum-likelihood"])
def test_images_and_points_are_refused(task):
    for kind, shape in (("image", (8, 8, 1)), ("points", (2,))):
        with refused(f"'{task}'", "'x'", allowed="oracle", remedy="--dataset"):
            build_task(config(kind, task=task), DataSpec("x", kind, shape))
