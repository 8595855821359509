"""Every task: two steps move every player, sampling depends on seed and index alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from gancli.adversarial.dynamics import Turn
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.penalties import PENALTIES
from gancli.config import Layer
from gancli.data import DataRequest, Dataset, load
from gancli.data.dataset import DataSpec, towards
from gancli.tasks import TASKS
from gancli.tasks.adversarial import cross_entropy, with_planes
from gancli.tasks.conditional import projected
from gancli.tasks.opponent import logit_metrics, middle
from gancli.tasks.program import build_program, build_task
from gancli.tasks.recipes import resolve
from gancli.tasks.variational import Posterior
from gancli.training.execution import build_execution

RING = "ring8:count=500"


def config(kind="points", **values):
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return resolve([Layer("test", flat)], kind).config


def play(configuration, steps=2, data=RING):
    program = build_program(configuration, load(data) if isinstance(data, str) else data)
    state = program.initial_state(0)
    before = jax.tree.map(np.array, state)
    execution = build_execution(program.moves, program.source, 0, state, steps)
    advance, rows = execution.compile(), []
    while int(state.step) < steps:
        progress = advance(state, execution.draw(steps - int(state.step)))
        state = progress.state
        rows.append(progress.rows())
    return before, state, dict(zip(execution.names, np.concatenate(rows).T, strict=True))


def colours(count=40):
    """Digits in the colours of a drawn palette."""
    grey = load("digits").examples[:count]
    palette = np.random.default_rng(0).integers(1, 256, (count, 1, 1, 3))
    examples = (grey * palette // 255).astype(np.uint8)
    return Dataset(DataSpec("colours", "image", (8, 8, 3)), examples, None, "colours")


SMALL = {"loss": "non-saturating", "model": "mlp:width=16,depth=2", "train__batch": 20}


# Data and metrics of each task, beside its players' losses; one that is not here has the ring's.
# A task has the options of its name, where it is followed by some.
ON_DIGITS = {"model": "mlp:width=8,depth=2", "train__batch": 8}
NARROW = "width=4,discriminator_width=4"
OF_IMAGES = {"model": f"unet:{NARROW},depth=1", "train__batch": 8, "loss": "minimax"}
TO_COLOURS = {"model": f"cyclegan:{NARROW},blocks=1", "train__batch": 8}
SEQUENCES = "oracle:length=4,vocabulary=6,count=200"
ON_TOKENS = {"model": "sequence:hidden=4,embedding=3,width=4,longest=2", "train__batch": 8}
SMALL_LOGITS = {"model": "maxout-mlp:width=8,pieces=2", "train__batch": 8}  # Near 0 at first.
OF_TASK = {
    "conditional": ("digits", "image", {**ON_DIGITS, "loss": "minimax"}, "accuracy/real"),
    "infogan": ("digits", "image", {**ON_DIGITS, "loss": "minimax"}, "code_loss/category"),
    "super-resolution": ("digits", "image", OF_IMAGES, "pixel"),
    "colorization": (colours(), "image", OF_IMAGES, "pixel"),
    "paired": (towards(colours(), colours()), "image", OF_IMAGES, "pixel"),
    "cyclegan": (towards(load("digits"), colours()), "image", TO_COLOURS, "cycle/back"),
    "vae": ("digits", "image", ON_DIGITS, "elbo"),
    "vae-gan": ("digits", "image", {**ON_DIGITS, "loss": "minimax"}, "similarity"),
    "gumbel": (SEQUENCES, "tokens", {**ON_TOKENS, "loss": "minimax"}, "temperature"),
    "policy-gradient": (SEQUENCES, "tokens", ON_TOKENS, "reward"),
    "maximum-likelihood": (SEQUENCES, "tokens", ON_TOKENS, "loss"),
}


OPTIONS = {
    "super-resolution": "factor=2",
    "colorization": "feature=1",
    "paired": "feature=1",
    "cyclegan": "identity=0,pool=10",
}
TO_COMPILE_LONGEST = ("cyclegan", "gumbel", "colorization", "super-resolution", "vae-gan")


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in TO_COMPILE_LONGEST else [])
        for name in TASKS.names()
    ],
)
def test_two_steps_move_every_player_what_it_carries_and_its_average(task):
    data, kind, values, metric = OF_TASK.get(task, (RING, "points", SMALL, "accuracy/real"))
    default = "latent=2" if "latent" in TASKS.options(task) else ""
    spec = f"{task}:{OPTIONS.get(task, default)}"
    before, after, metrics = play(config(kind, task=spec, **values), data=data)
    for name, player in after.players.items():
        moved = jax.tree.map(
            lambda a, b: bool((a != b).any()), before.players[name].weights, player.weights
        )
        still = [path for path, one in jax.tree.leaves_with_path(moved) if not one]
        assert not still, (name, still)
        assert (player.average is None) == (name == "discriminator")
    assert all(np.isfinite(values).all() for values in metrics.values())
    assert {f"{name}/loss" for name in after.players} <= set(metrics)
    assert any(name.endswith(f"/{metric}") for name in metrics)


OF_PARTS = {
    "generation": {"penalties": ["gradient-penalty"], "loss": "relativistic-average"},
    "infogan": {"inputs__augment": ["flip"], "inputs__augment_target": 0.5},
    "gumbel": {},
    "policy-gradient": {"task": "policy-gradient:rollouts=1,baseline=batch"},
}


@pytest.mark.slow
@pytest.mark.parametrize("task", OF_PARTS)
def test_steps_with_parts_of_batches_equal_those_with_whole_ones(task):
    data, kind, values, _ = OF_TASK.get(task, (RING, "points", SMALL, ""))
    # Adam divides by gradients: where they are next to nothing it makes rounding visible.
    plain = {"optimizer__generator__name": "sgd", "optimizer__discriminator__name": "sgd"}
    chosen = {"task": task} | values | plain | OF_PARTS[task]
    before, whole, of_whole = play(config(kind, **chosen), data=data)
    parts = config(kind, train__microbatch=chosen["train__batch"] // 4, **chosen)
    _, ours, of_parts = play(parts, data=data)
    assert of_whole.keys() == of_parts.keys()
    for name, values in of_whole.items():
        np.testing.assert_allclose(of_parts[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for name, player in whole.players.items():
        moved = jax.tree.map(np.subtract, player.params, before.players[name].params)
        largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(moved))
        assert largest > 0
        for one, other in zip(
            jax.tree.leaves(ours.players[name]), jax.tree.leaves(player), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES.names())
def test_every_loss_plays_with_its_recipe_and_has_an_accuracy_unless_it_compares_logits(loss):
    _, _, metrics = play(config(**{**SMALL, "loss": loss}))
    assert all(np.isfinite(values).all() for values in metrics.values())
    compares = loss in ("wasserstein", "relativistic", "relativistic-average")
    assert ("discriminator/accuracy/real" in metrics) is not compares
    assert ("discriminator/accuracy/fake" in metrics) is not compares
    of_odds = loss in ("minimax", "non-saturating")
    assert ("discriminator/overconfidence" in metrics) is of_odds
    assert {"discriminator/logit/real", "discriminator/logit/fake"} <= set(metrics)


@pytest.mark.parametrize("penalty", sorted(set(PENALTIES.names()) - {"consistency"}))
def test_every_penalty_is_logged_and_added(penalty):
    """The first step's loss with the penalty is that without it, plus the penalty."""
    _, _, plain = play(config(**SMALL), steps=1)
    _, _, metrics = play(config(penalties=[penalty], **SMALL), steps=1)
    added = metrics[f"discriminator/penalty/{penalty}"]
    assert (added > 0).all()
    np.testing.assert_allclose(
        metrics["discriminator/loss"] - plain["discriminator/loss"], added, rtol=1e-3, atol=1e-6
    )


def test_a_penalty_given_twice_counts_twice():
    _, _, once = play(config(penalties=["r1:weight=2"], **SMALL), steps=1)
    _, _, twice = play(config(penalties=["r1:weight=2", "r1:weight=6"], **SMALL), steps=1)
    np.testing.assert_allclose(
        twice["discriminator/penalty/r1"], 4 * once["discriminator/penalty/r1"], rtol=1e-5
    )
    np.testing.assert_allclose(
        twice["discriminator/loss"] - once["discriminator/loss"],
        3 * once["discriminator/penalty/r1"],
        rtol=1e-3,
        atol=1e-6,
    )


def test_lazy_penalty_is_applied_at_its_steps_and_weighted():
    _, _, metrics = play(config(penalties=["drift:weight=1,every=3"], **SMALL), steps=7)
    assert (metrics["discriminator/penalty/drift"] > 0).tolist() == [
        True, False, False, True, False, False, True,
    ]  # fmt: skip
    _, _, each = play(config(penalties=["drift:weight=1"], **SMALL), steps=1)
    np.testing.assert_allclose(
        metrics["discriminator/penalty/drift"][0],
        3 * each["discriminator/penalty/drift"][0],
        rtol=1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"inputs__packing": 3},
        {"inputs__noise": "linear:initial=0.1,steps=10"},
        {"optimizer__discriminator__clip_weights": 0.01},
        {"train__dynamics": "extragradient"},
        {"train__dynamics": "consensus:weight=0.1"},
        {"train__discriminator_steps": "1 epoch"},
        {"train__generator_steps": 2},
        {"task": "generation:latent=3,distribution=uniform"},
        {"average__decay": 0.0},
    ],
)
def test_variations_play(values):
    _, after, metrics = play(config(**{**SMALL, **values}))
    assert all(np.isfinite(value).all() for value in metrics.values())
    if values.get("optimizer__discriminator__clip_weights"):
        largest = max(
            float(abs(w).max()) for w in jax.tree.leaves(after.players["discriminator"].params)
        )
        assert largest == pytest.approx(0.01)
    if "average__decay" in values:
        assert after.players["generator"].average is None


@pytest.mark.slow
def test_augmented_images_play():
    augmented = {**ON_DIGITS, "inputs__augment": ["color", "cutout"]}
    _, _, metrics = play(config("image", penalties=["consistency"], **augmented), data="digits")
    assert (metrics["discriminator/penalty/consistency"] > 0).all()


def test_a_discriminator_that_is_surer_than_right_is_overconfident():
    """Odds of 9 to 1 in all cases, of which three in four are right: 0.9 - 0.75."""
    nine = float(np.log(9))
    logits = jnp.float32([nine, nine]), jnp.float32([-nine, nine])
    found = logit_metrics(*logits, LOSSES.build("minimax"))
    assert float(found["overconfidence"]) == pytest.approx(0.15)
    assert "overconfidence" not in logit_metrics(*logits, LOSSES.build("hinge"))


def test_the_middle_of_logits_that_are_only_compared_lies_between_their_means():
    real, fake = jnp.float32([1, 3]), jnp.float32([-1, -5])
    assert float(middle(real, fake, None)) == -0.5
    assert float(middle(real, fake, 0.5)) == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("task", ["generation:latent=2", "vae-gan:latent=2"])
def test_the_probability_of_augmentation_is_carried_and_follows_what_the_discriminator_knows(task):
    """At every fourth update p moves by 4 · 8 / 64, up where more real images than asked for are
    on the right side of the threshold."""
    values = {
        **ON_DIGITS,
        "task": task,
        "loss": "hinge",
        "penalties": [],
        "inputs__augment": ["flip"],
    }
    values |= {"inputs__augment_target": 0.2, "inputs__augment_images": 64}
    before, after, metrics = play(config("image", **values), 9, "digits")
    assert float(before.players["discriminator"].stats["augment"]["p"]) == 0
    accuracy, p, expected = metrics["discriminator/accuracy/real"], 0.0, []
    for step in range(9):
        if step % 4 == 3:
            right = accuracy[step - 3 : step + 1].mean()
            p = np.clip(p + np.sign(2 * right - 1 - 0.2) * 0.5, 0, 1)
        expected.append(p)
    np.testing.assert_allclose(metrics["discriminator/augment/p"], expected)
    assert float(after.players["discriminator"].stats["augment"]["p"]) == expected[-1]


@pytest.mark.slow
def test_images_are_augmented_as_often_as_the_probability_says():
    """At p = 0, where a run begins, the discriminator sees what it would see without them."""
    values = {**ON_DIGITS, "loss": "minimax", "task": "generation:latent=2"}
    _, _, plain = play(config("image", **values), 1, "digits")
    always = values | {"inputs__augment": ["brightness:deviation=4"]}
    _, _, augmented = play(config("image", **always), 1, "digits")
    adaptive = config("image", **always, inputs__augment_target=0.5)
    _, _, metrics = play(adaptive, 1, "digits")
    assert metrics["discriminator/loss"] == pytest.approx(plain["discriminator/loss"], rel=1e-5)
    assert augmented["discriminator/loss"] != pytest.approx(plain["discriminator/loss"], rel=1e-3)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_latents_depend_on_seed_and_index_alone(distribution):
    task = build_task(
        config(task=f"generation:latent=3,distribution={distribution}"),
        DataSpec("x", "points", (2,)),
    )

    def latents(seed, indices):
        return task.sampler.latents(jax.random.key(seed), indices, task.sampler.labels(indices))

    many = latents(1, np.arange(1000))
    np.testing.assert_array_equal(many[17:19], latents(1, np.array([17, 18])))
    assert (latents(2, np.arange(1000)) != many).all()
    deviation = 1.0 if distribution == "normal" else 3**-0.5
    assert float(many.std()) == pytest.approx(deviation, rel=0.05)
    assert float(many.mean()) == pytest.approx(0, abs=0.05)


def test_interpolation_goes_from_start_to_end_and_keeps_the_norm():
    task = build_task(config(), DataSpec("x", "points", (2,)))
    start, end = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    between = task.sampler.space.interpolate
    np.testing.assert_allclose(between(start, end, 0.0), start, atol=1e-6)
    np.testing.assert_allclose(between(start, end, 1.0), end, atol=1e-6)
    np.testing.assert_allclose(between(start, end, 0.5), [0.707107, 0.707107], atol=1e-5)


# Labels and codes

LABELLED = DataSpec("x", "image", (8, 8, 1), ("zero", "one", "two"))


def conditional(kind, **values):
    chosen = {"task": f"conditional:latent=2,discriminator={kind}", **ON_DIGITS, "loss": "minimax"}
    return config("image", **(chosen | values))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["concatenation", "projection", "auxiliary"])
@pytest.mark.parametrize("norm", ["batch", "conditional"])
def test_labels_reach_generator_and_discriminator(kind, norm):
    configuration = conditional(kind, model=f"mlp:width=8,depth=2,generator_norm={norm}")
    _, state, _ = play(configuration, steps=3, data="digits")
    sampler = build_program(configuration, load("digits")).task.sampler
    index = np.zeros(10, np.int32)
    latents = sampler.latents(jax.random.key(0), index, np.arange(10))
    np.testing.assert_array_equal(latents[:, :2], np.tile(latents[:1, :2], (10, 1)))
    np.testing.assert_array_equal(latents[:, 2:], np.eye(10))
    made = sampler.generate(state.players["generator"].weights, latents)
    assert float(jnp.abs(made[1:] - made[:1]).max(axis=(1, 2, 3)).min()) > 0


def test_real_and_generated_examples_have_noise_of_their_own():
    """Both are 0 but for their noise, so that the same noise would make the loss 0."""
    values = SMALL | {"loss": "wasserstein", "penalties": [], "inputs__noise": 0.5}
    task = build_task(config(**values), DataSpec("x", "points", (2,)))
    weights = task.initialize(jax.random.key(0))
    params = {name: own.params for name, own in weights.items()}
    params["generator"] = jax.tree.map(jnp.zeros_like, params["generator"])
    stats = {name: own.stats for name, own in weights.items()}
    turn = Turn({"examples": jnp.zeros((20, 2))}, jax.random.key(1), jnp.int32(0))
    loss, _ = task.game.loss("discriminator", params, stats, turn)
    assert abs(float(loss)) > 1e-4


def test_the_projection_by_hand():
    """o + c_y: 1 + 3 for the second of two labels, and 4 + 5 for the first."""
    kinds = {"codes": jnp.eye(2)[::-1], "outputs": jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    np.testing.assert_array_equal(projected(**kinds), [4.0, 9.0])


def test_labels_are_told_as_constant_channels():
    seen = with_planes(jnp.zeros((2, 3, 3, 1)), jnp.array([[0.0, 1.0], [1.0, 0.0]]))
    assert seen.shape == (2, 3, 3, 3)
    np.testing.assert_array_equal(seen[0, 1, 2], [0, 0, 1])
    np.testing.assert_array_equal(seen[1, 2, 0], [0, 1, 0])
    np.testing.assert_array_equal(
        with_planes(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])), [[0.0, 0.0, 1.0, 0.0]]
    )


@pytest.mark.slow
def test_the_auxiliary_classifier_costs_both_players():
    """At the first step its logits are near 0, so that a cross-entropy is near ln 10 = 2.302585."""
    _, _, metrics = play(conditional("auxiliary", **SMALL_LOGITS), steps=1, data="digits")
    for name in ("discriminator/label_loss/real", "discriminator/label_loss/fake"):
        assert metrics[name] == pytest.approx(2.302585, rel=0.02)
    assert metrics["generator/label_loss/fake"] == pytest.approx(2.302585, rel=0.02)
    assert "generator/label_loss/real" not in metrics
    # Minimax with logits near 0: 2 ln 2 + 2 ln 10, and -ln 2 + ln 10.
    assert metrics["discriminator/loss"] == pytest.approx(5.991465, rel=0.02)
    assert metrics["generator/loss"] == pytest.approx(1.609438, rel=0.02)
    spec = "conditional:latent=2,discriminator=auxiliary,weight=3"
    heavier = conditional("auxiliary", task=spec, **SMALL_LOGITS)
    _, _, metrics = play(heavier, steps=1, data="digits")
    assert metrics["generator/label_loss/fake"] == pytest.approx(6.907755, rel=0.02)


def test_cross_entropy_of_classes_by_hand():
    # softmax (1/4, 3/4): -ln 1/4 = 1.386294 and -ln 3/4 = 0.287682, of which the mean.
    logits = jnp.array([[0.0, jnp.log(3.0)]] * 2)
    assert cross_entropy(logits, jnp.eye(2)) == pytest.approx(0.836988, rel=1e-5)


def test_labels_come_in_turn_or_as_asked():
    sampler = build_task(conditional("projection"), LABELLED).sampler
    assert sampler.classes == ("zero", "one", "two")
    assert sampler.labels(np.arange(5)).tolist() == [0, 1, 2, 0, 1]
    assert sampler.labels(np.arange(4, 8), [2, 1]).tolist() == [2, 1, 2, 1]
    assert sampler.names(np.arange(3), [2, 0]) == ["two", "zero", "two"]
    unlabelled = build_task(config("image"), LABELLED).sampler
    assert unlabelled.labels(np.arange(3)).tolist() == [0, 0, 0]
    assert unlabelled.names(np.arange(3)) == []


def test_packed_examples_are_told_all_their_labels():
    _, _, metrics = play(conditional("concatenation", inputs__packing=2), data="digits")
    assert all(np.isfinite(value).all() for value in metrics.values())
    with refused(
        *("inputs.packing", "2", "discriminator=projection"),
        allowed=("1", "discriminator=concatenation"),
        remedy="inputs.packing",
    ):
        build_task(conditional("projection", inputs__packing=2), LABELLED)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["concatenation", "projection", "auxiliary"])
def test_penalties_play_with_labels(kind):
    configuration = conditional(kind, penalties=["gradient-penalty", "r1", "consistency"])
    _, _, metrics = play(configuration, data="digits")
    assert all(np.isfinite(value).all() for value in metrics.values())
    assert (metrics["discriminator/penalty/r1"] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "present"),
    [
        ("categories=10,continuous=2", {"category", "continuous"}),
        ("categories=0,continuous=1", {"continuous"}),
        ("categories=5,continuous=0", {"category"}),
    ],
)
def test_codes_are_read_again(options, present):
    spec = f"infogan:latent=2,{options}"
    configuration = config("image", task=spec, loss="hinge", **SMALL_LOGITS)
    _, _, metrics = play(configuration, steps=1, data="digits")
    for player in ("discriminator", "generator"):
        prefix = f"{player}/code_loss/"
        named = {name for name in metrics if name.startswith(prefix)}
        assert named == {prefix + name for name in present}
        if "category" in present:  # Of logits near 0: ln 10, or ln 5.
            of_all = np.log(int(options.split(",")[0].removeprefix("categories=")))
            assert metrics[f"{prefix}category"] == pytest.approx(of_all, rel=0.02)
        if "continuous" in present:  # Half the variance of 1/3 of each, times 0.1.
            count = int(options.split("=")[-1])
            expected = pytest.approx(0.1 * count / 6, rel=0.7)
            assert metrics[f"{prefix}continuous"] == expected
    sampler = build_task(configuration, LABELLED).sampler
    assert sampler.learned
    indices = np.arange(200)
    latents = sampler.latents(jax.random.key(0), indices, sampler.labels(indices))
    if sampler.continuous:
        codes = np.asarray(latents[:, -sampler.continuous :])
        assert np.abs(codes).max() <= 1
        assert codes.std() == pytest.approx(3**-0.5, rel=0.1)
    if sampler.classes:
        one_hot = np.asarray(latents[:, 2 : 2 + len(sampler.classes)])
        np.testing.assert_array_equal(one_hot.argmax(1), indices % len(sampler.classes))


# Autoencoders


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["features", "pixels"])
def test_only_the_decoder_plays_against_the_discriminator(similarity):
    """The encoder's gradient does not depend on the weight of the adversarial loss."""

    def gradient(weight):
        spec = f"vae-gan:latent=3,similarity={similarity},adversarial={weight}"
        values = {"model": "mlp:width=8,depth=1", "loss": "minimax"}
        task = build_task(config("image", task=spec, **values), LABELLED)
        weights = task.initialize(jax.random.key(0))
        stats = {name: own.stats for name, own in weights.items()}
        params = {name: own.params for name, own in weights.items()}
        batch = {"examples": jnp.linspace(-1, 1, 4 * 64).reshape(4, 8, 8, 1)}
        turn = Turn(batch, jax.random.key(1), jnp.int32(0))

        def loss(own):
            return task.game.loss("generator", params | {"generator": own}, stats, turn)[0]

        return jax.grad(loss)(params["generator"])

    light, heavy = gradient(0), gradient(100)
    for one, other in zip(*(jax.tree.leaves(g["encoder"]) for g in (light, heavy)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
        assert float(jnp.abs(one).max()) > 0
    changed = jax.tree.map(
        lambda one, other: float(jnp.abs(one - other).max()), light["decoder"], heavy["decoder"]
    )
    assert min(jax.tree.leaves(changed)) > 1e-3


def autoencoder(options, values):
    """The metrics of a first step with parameters that are all one value."""
    configuration = config("image", task=f"vae:latent=3,{options}", **values)
    task = build_task(configuration, LABELLED)
    weights = task.initialize(jax.random.key(0))["generator"]
    params = jax.tree.map(jnp.zeros_like, weights.params)
    batch = {"examples": -jnp.ones((4, 8, 8, 1))}
    turn = Turn(batch, jax.random.key(1), jnp.int32(0))
    loss, aux = task.game.loss(
        "generator", {"generator": params}, {"generator": weights.stats}, turn
    )
    return float(loss), {name: float(value) for name, value in aux.metrics.items()}


def test_the_bound_of_an_autoencoder_that_knows_nothing():
    """Black images, q = N(0, I), pixels of probability 1/2: 64 ln 2 = 44.361419 nats, KL 0."""
    loss, metrics = autoencoder("beta=4", {"model": "mlp:width=4,depth=1"})
    assert loss == pytest.approx(44.361419, rel=1e-5)
    assert metrics["elbo"] == pytest.approx(-44.361419, rel=1e-5)
    assert metrics["kl"] == 0


def test_a_posterior_by_hand():
    """½ (1 + 1 - 1 - 0) + ½ (4 + 4 - 1 - ln 4) = 0.5 + 2.806853."""
    posterior = Posterior(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, np.log(4.0)]]))
    assert float(posterior.divergence()[0]) == pytest.approx(3.306853, rel=1e-6)
    np.testing.assert_allclose(posterior.draw(jnp.array([[10.0, -1.0]])), [[11.0, 0.0]], atol=1e-6)


def test_draws_of_the_bound_average_to_likelihood_less_divergence():
    """q = N(1, 4) for all x: the mean of log p(z) / q(z) is -½ (1 + 4 - 1 - ln 4) = -1.306853."""
    task = build_task(config("image", task="vae:latent=1", model="mlp:width=4,depth=1"), LABELLED)
    weights = task.initialize(jax.random.key(0))["generator"]
    params = jax.tree.map(jnp.zeros_like, weights.params)
    last = max(params["encoder"]["layers"], key=int)
    params["encoder"]["layers"][last]["bias"] = jnp.array([1.0, np.log(4.0)])
    examples = jnp.zeros((4000, 8, 8, 1))
    bounds = task.bound(weights._replace(params=params), examples, jax.random.key(1), 0)
    assert float(bounds.mean()) + 44.361419 == pytest.approx(-1.306853, abs=0.1)
    others = task.bound(weights._replace(params=params), examples, jax.random.key(1), 1)
    assert (bounds != others).all()


@pytest.mark.parametrize("draw", [0, 7])
def test_a_draw_of_the_bound_by_hand(draw):
    """Parameters of 0: z is the noise itself, p(z) / q(z | x) = 1, and pixels have 1/2."""
    task = build_task(config("image", task="vae:latent=3", model="mlp:width=4"), LABELLED)
    weights = task.initialize(jax.random.key(0))["generator"]
    weights = weights._replace(params=jax.tree.map(jnp.zeros_like, weights.params))
    examples = jnp.linspace(-1, 1, 2 * 64).reshape(2, 8, 8, 1)
    bounds = task.bound(weights, examples, jax.random.key(1), draw)
    np.testing.assert_allclose(bounds, [-44.361419] * 2, rtol=1e-5)
    np.testing.assert_array_equal(task.reconstruct(weights, examples), jnp.zeros((2, 8, 8, 1)))


def test_binarized_pixels_are_black_or_white():
    """White with probability 3/4, so 16 of 64 are black, and cost a decoder of white ln 1e-6."""
    task = build_task(
        config("image", task="vae:latent=3,binarize=true", model="mlp:width=4"), LABELLED
    )
    weights = task.initialize(jax.random.key(0))["generator"]
    params = jax.tree.map(jnp.zeros_like, weights.params)
    params["decoder"]["layers"]["6"]["bias"] += 100.0  # tanh is 1: white, for sure.
    grey = jnp.full((500, 8, 8, 1), 0.5)
    bounds = task.bound(weights._replace(params=params), grey, jax.random.key(1), 0)
    black = np.asarray(bounds) / np.log(1e-6)  # Each black pixel costs ln 1e-6.
    np.testing.assert_allclose(black, np.round(black), atol=1e-3)
    assert black.mean() == pytest.approx(16, abs=0.5)


def test_the_gaussian_likelihood_by_hand():
    """Errors of 1 and deviation 2: 64 (ln(2 pi 4) / 2 + 1/8) = 64 (1.612086 + 0.125)."""
    model = {"model": "mlp:width=4,depth=1"}
    loss, metrics = autoencoder("likelihood=gaussian,deviation=2", model)
    assert loss == pytest.approx(111.173486, rel=1e-5)
    assert metrics["log_likelihood"] == pytest.approx(-111.173486, rel=1e-5)


def test_beta_weighs_the_divergence():
    values = {"loss": "", **ON_DIGITS}
    _, _, metrics = play(config("image", task="vae:latent=2,beta=3", **values), 1, "digits")
    assert metrics["generator/kl"] > 0
    np.testing.assert_allclose(
        metrics["generator/loss"],
        3 * metrics["generator/kl"] - metrics["generator/log_likelihood"],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        metrics["generator/elbo"],
        metrics["generator/log_likelihood"] - metrics["generator/kl"],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("kind", "values", "given", "allowed", "remedy"),
    [
        (
            *("image", {"model": "mlp:norm=batch", "task": "generation:latent=0"}),
            *(("latent", "'generation'", "'0'"), ("1", "65,536"), ()),
        ),
        (
            *("points", {"inputs__augment": ["color"]}),
            *(("'color'", "points", "(2,)"), "images", "inputs.augment"),
        ),
        (
            *("points", {"model": "dcgan"}),
            *(("'dcgan'", "points", "(2,)"), "(height, width, channels)", ("mlp", "maxout-mlp")),
        ),
        (
            *("image", {"model": "dcgan:norm=batch", "penalties": ["r1"]}),
            *(("'r1'", "'dcgan:norm=batch"), (), ("norm=batch", "norm=none")),
        ),
        (
            *("image", {"inputs__augment_target": 0.6}),
            *(("inputs.augment_target", "0.6"), "inputs.augment_target=0", "inputs.augment"),
        ),
        (
            *("points", {"task": "conditional"}),
            *(("'conditional'", "'x'"), ("digits", "mnist"), "--dataset"),
        ),
        (
            *("image", {"model": "dcgan:generator_norm=conditional"}),
            *(("generator_norm=conditional",), (), ("--task conditional", "infogan")),
        ),
        (
            *("image", {"task": "infogan:categories=0,continuous=0"}),
            *(("'infogan'", "categories=0", "continuous=0"), (), ()),
        ),
        (
            *("image", {"task": "infogan", "inputs__packing": 2}),
            *(("inputs.packing", "2", "'infogan'"), "1", "inputs.packing"),
        ),
        ("image", {"task": "vae", "loss": "hinge"}, ("'vae'", "loss='hinge'"), (), "--task"),
        (
            *("image", {"task": "vae", "penalties": ["r1"]}),
            *(("'vae'", "penalties=", "'r1'"), (), "--task"),
        ),
        ("image", {"task": "vae", "inputs__noise": 0.1}, ("'vae'", "inputs.noise=0.1"), (), ()),
        (
            *("image", {"task": "vae-gan", "inputs__packing": 2}),
            *(("inputs.packing", "2", "'vae-gan'"), "1", "inputs.packing"),
        ),
        (
            *("image", {"task": "vae", "model": "dcgan:minibatch=stddev"}),
            *(("'vae'", "minibatch", "'dcgan:minibatch=stddev'"), (), ()),
        ),
        ("image", {"task": "cyclegan"}, ("'cyclegan'", "'x'"), (), "--target"),
        ("image", {"task": "colorization"}, ("'colorization'", "'x'", "(8, 8, 1)"), (), "cifar10"),
        (
            *("points", {"task": "colorization", "model": "unet"}),
            *(("'colorization'", "'x'", "points", "(2,)"), (), "cifar10"),
        ),
        (
            *("image", {"task": "super-resolution:factor=3"}),
            *(("'super-resolution'", "factor=3", "'x'", "8x8 pixels"), "3", "data.size"),
        ),
        (
            *("points", {"task": "super-resolution", "model": "unet"}),
            *(("'super-resolution'", "factor=4", "'x'", "points"), "4", ()),
        ),
        (
            *("image", {"task": "super-resolution", "model": "dcgan"}),
            *((), ("unet", "cyclegan"), ("--model", "--task generation")),
        ),
        (
            *("image", {"model": "unet"}),
            *((), (), ("--task super-resolution", "colorization", "cyclegan", "--model")),
        ),
        (
            *("image", {"task": "super-resolution:pixel=0,adversarial=0"}),
            *(("pixel=0", "feature=0", "adversarial=0"), "0", ()),
        ),
        (
            *("image", {"task": "super-resolution", "inputs__packing": 2}),
            *(("inputs.packing", "2", "'super-resolution'"), "1", "inputs.packing"),
        ),
        (
            *("points", {"task": "vae"}),
            *(("'vae'", "likelihood=bernoulli", "points", "(2,)"), "likelihood=gaussian", ()),
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(kind, values, given, allowed, remedy):
    shape = (8, 8, 1) if kind == "image" else (2,)
    with refused(*given, allowed=allowed, remedy=remedy):
        build_task(config(kind, **values), DataSpec("x", kind, shape))


@pytest.mark.parametrize("setting", ["0 epochs", "many", "epoch of two", 0])
def test_bad_periods_are_refused(setting):
    with refused("train.discriminator_steps", f" {setting!r} "):
        play(config(train__discriminator_steps=setting, **SMALL))


def test_a_batch_larger_than_the_set_is_refused():
    with refused("501", "train.batch", repr(RING), " 500", allowed="500", remedy="--batch"):
        build_program(config(train__batch=501), load(RING, DataRequest()))


@pytest.mark.parametrize(
    ("shape", "bits", "options", "given"),
    [
        ((8, 8, 4), 8, {"inputs.augment": ["flip", "color"]}, ("color", "(8, 8, 4)")),
        ((8, 8, 5), 8, {"penalties": ["consistency:augment=flip+saturation"]}, ("saturation",)),
        ((8, 8, 1), 16, {"task": "super-resolution"}, ("super-resolution", "16 bits")),
        ((8, 8, 4), 8, {"task": "super-resolution"}, ("super-resolution", "(8, 8, 4)")),
    ],
)
def test_images_of_other_kinds_are_refused_where_they_mean_nothing(shape, bits, options, given):
    with refused(*given, allowed="grey or RGB"):
        build_task(config("image", **options), DataSpec("x", "image", shape, bits=bits))
