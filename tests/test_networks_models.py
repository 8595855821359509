import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parameter_counts import count_parameters
from refusals import refused

from gancli.errors import UserError
from gancli.networks import MODELS, Interface

LATENT = 3
POINTS = (2,)
SIDES = (8, 16, 28, 32, 64, 128, 256)
OTHERS = [(48, 48, 3), (512, 512, 3), (32, 48, 1), (20, 8, 1), (30, 90, 1)]
IMAGES = [(8, 8, 3), *((side, side, 1) for side in SIDES), *OTHERS]

# What each model is run with; one that is not named here is run with its defaults.
SPECS = {
    ("mlp", POINTS): "mlp:width=16,norm=layer,generator_norm=layer",
    ("mlp", (8, 8, 1)): "mlp:width=16,depth=2,spectral_norm=true,minibatch=stddev",
    ("dcgan", (8, 8, 1)): "dcgan:width=4,spectral_norm=true,minibatch=discrimination",
    ("dcgan", (28, 28, 1)): "dcgan:width=4,norm=group,minibatch=stddev,dense=6",
    ("resnet", (8, 8, 1)): (
        "resnet:width=4,attention=true,spectral_norm=true,generator_spectral_norm=true,"
        "generator_norm=none,minibatch=discrimination"
    ),
    ("resnet", (28, 28, 1)): "resnet:width=4,norm=layer,minibatch=stddev",
    ("r3gan", (8, 8, 1)): "r3gan:width=4,blocks=2,group=4",
    ("stylegan2", (8, 8, 1)): "stylegan2:width=4,style=8,mapping=2,minibatch=stddev",
}
CONVOLUTIONAL = ("dcgan", "r3gan", "resnet", "stylegan2")
# Models whose kernels are divided by the root of their inputs when they are applied.
EQUALIZED = ("stylegan2",)


def narrow(name):
    return f"{name}:width=4" if name in (*CONVOLUTIONAL, "mlp") else name


def fits(name, shape):
    try:
        MODELS.build(name, Interface(shape, LATENT))
    except UserError:
        return False
    return True


TRANSLATORS = ("cyclegan", "unet")
# Tokens are in test_networks_sequence.py.
FROM_NOISE = sorted(set(MODELS.names()) - {*TRANSLATORS, "sequence"})


def output_shape(network, input_shape):
    def run(key, x):
        return network.apply(*network.initialize(key), x)[0]

    return jax.eval_shape(run, jax.random.key(0), jnp.zeros(input_shape)).shape


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@functools.cache
def built(spec, shape, packing=1):
    """The pair, and its initial parameters and statistics."""
    pair = MODELS.build(spec, Interface(shape, LATENT, seen=packing * shape[-1]))
    keys = jax.random.split(jax.random.key(1))
    return pair, pair.generator.initialize(keys[0]), pair.discriminator.initialize(keys[1])


def leaves(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


# Shapes


@pytest.mark.slow
@pytest.mark.parametrize("name", FROM_NOISE)
def test_shapes_at_every_size(name):
    shapes = [shape for shape in [POINTS, *IMAGES] if fits(name, shape)]
    assert shapes
    for shape in shapes:
        pair = MODELS.build(narrow(name), Interface(shape, LATENT))
        assert output_shape(pair.generator, (5, LATENT)) == (5, *shape)
        assert output_shape(pair.discriminator, (5, *shape)) == (5,)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_convolutional_models_have_every_size(name):
    assert all(fits(name, shape) for shape in IMAGES)


@pytest.mark.parametrize("name", ["mlp", "maxout-mlp"])
def test_perceptrons_take_points_and_images_of_any_shape(name):
    assert all(fits(name, shape) for shape in [POINTS, (5,), (9, 13, 2)])


@pytest.mark.parametrize("name", FROM_NOISE)
@pytest.mark.parametrize(("shape", "packed"), [(POINTS, (6,)), ((8, 8, 2), (8, 8, 6))])
def test_packed_discriminators_take_three_examples_along_the_last_axis(name, shape, packed):
    if not fits(name, shape):
        pytest.skip(f"{name} does not take {shape}")
    pair = MODELS.build(narrow(name), Interface(shape, LATENT, seen=3 * shape[-1]))
    assert output_shape(pair.discriminator, (5, *packed)) == (5,)
    assert output_shape(pair.generator, (5, LATENT)) == (5, *shape)
    other, own = (re.escape(str(one)) for one in ((5, *shape), packed))
    with pytest.raises(ValueError, match=f"{other}.*{own}"):
        output_shape(pair.discriminator, (5, *shape))


# Parameters


def test_pacgan_parameter_counts():
    one, two = (
        MODELS.build("maxout-mlp", Interface(POINTS, 2, seen=packing * POINTS[-1]))
        for packing in (1, 2)
    )
    assert count_parameters(one.generator) == 484_802
    assert count_parameters(one.discriminator) == 405_201
    # Two more inputs to each of 200 units of 5 pieces.
    assert count_parameters(two.discriminator) == 405_201 + 2_000


def test_dcgan_parameter_counts_by_hand():
    pair = MODELS.build("dcgan:width=8", Interface((16, 16, 1), LATENT))
    generator = LATENT * 16 * 16 + 2 * 16 + 16 * 16 * 8 + 2 * 8 + 16 * 8 * 1 + 1
    discriminator = 16 * 1 * 8 + 8 + 16 * 8 * 16 + 16 + 16 * 16 + 1
    assert count_parameters(pair.generator) == generator
    assert count_parameters(pair.discriminator) == discriminator
    dense = MODELS.build("dcgan:width=8,dense=10", Interface((16, 16, 1), LATENT))
    # A layer of ten normalized values each, and the layer next to it has ten in place of its own.
    assert count_parameters(dense.generator) == (
        generator + LATENT * 10 + 2 * 10 + (10 - LATENT) * 16 * 16
    )
    assert count_parameters(dense.discriminator) == discriminator + 16 * 16 * 10 + 10 + 10 - 16 * 16


@pytest.mark.parametrize("name", ["dcgan", "maxout-mlp"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_published_weights_have_deviation_a_fiftieth(name, player):
    _, *both = built(name, (8, 8, 1))
    params, _ = dict(zip(("generator", "discriminator"), both, strict=True))[player]
    kernels = [leaf for path, leaf in leaves(params).items() if "kernel" in path]
    for kernel in kernels:
        assert kernel.mean() == pytest.approx(0, abs=3 * 0.02 / kernel.size**0.5)
        assert kernel.std() == pytest.approx(0.02, rel=3 / (2 * kernel.size) ** 0.5)


CASES = [
    pytest.param(name, shape, marks=[pytest.mark.slow] if name == "stylegan2" else [])
    for name in FROM_NOISE
    for shape in ([(28, 28, 1)] if name in CONVOLUTIONAL else [POINTS, (8, 8, 1)])
    if fits(name, shape)
]


@functools.cache
def trained(name, shape):
    """Outputs, new statistics and gradients of both networks in training."""
    pair, generator, discriminator = built(SPECS.get((name, shape), narrow(name)), shape)
    weights = draw(8, seed=3)

    @jax.jit
    def run(params, stats, latent):
        def total(params):
            fake, fake_stats = pair.generator.apply(params[0], stats[0], latent)
            logits, real_stats = pair.discriminator.apply(params[1], stats[1], fake)
            return jnp.sum(weights * logits), (fake, logits, (fake_stats, real_stats))

        return jax.value_and_grad(total, has_aux=True)(params)

    params, stats = zip(generator, discriminator, strict=True)
    # Kernels have no gradient while what follows them is 0, as attention's gamma and the last
    # kernel of a residual branch are at first.
    params = jax.tree.map(
        lambda leaf: leaf if leaf.any() else 0.1 + 0.1 * draw(*leaf.shape), params
    )
    (_, (fake, logits, moved)), gradients = run(params, stats, draw(8, LATENT))
    return fake, logits, stats, moved, gradients


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_every_parameter_has_a_gradient(name, shape):
    fake, logits, _, _, gradients = trained(name, shape)
    assert fake.shape == (8, *shape)
    assert logits.shape == (8,)
    largest = max(np.abs(leaf).max() for leaf in leaves(gradients).values())
    for path, leaf in leaves(gradients).items():
        assert np.isfinite(leaf).all(), path
        # Rounding leaves a redundant parameter, as a bias before batch norm, 1e-8 of it.
        assert np.abs(leaf).max() > 1e-6 * largest, path


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_generated_images_lie_within_one_of_zero(name, shape):
    fake = np.asarray(trained(name, shape)[0])
    assert fake.std() > 0
    if len(shape) == 3:
        assert np.abs(fake).max() <= 1


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_statistics_are_plain_dicts_of_the_same_structure_after_training(name, shape):
    _, _, stats, moved, _ = trained(name, shape)
    assert jax.tree.structure(stats) == jax.tree.structure(moved)
    for path, before in leaves(stats).items():
        if path.endswith(("['mean']", "['var']")):
            assert np.abs(leaves(moved)[path] - before).max() > 0, path

    def check(tree):
        for key, value in tree.items():
            assert type(key) is str
            assert isinstance(value, jax.Array) or type(value) is dict
            if isinstance(value, dict):
                check(value)

    for tree in moved:
        check(tree)


def test_points_are_not_bounded():
    pair, (params, stats), _ = built("mlp:width=16", POINTS)
    points, _ = pair.generator.apply(params, stats, 100 * draw(5, LATENT))
    assert float(jnp.max(jnp.abs(points))) > 1


# Codes and outputs

CODED = ["dcgan", "mlp", "resnet"]


@pytest.mark.parametrize("name", FROM_NOISE)
def test_generators_take_codes_and_discriminators_give_several_outputs(name):
    shape = POINTS if fits(name, POINTS) else (8, 8, 1)
    interface = Interface(shape, LATENT, codes=4, seen=shape[-1] + 4, outputs=6)
    pair = MODELS.build(narrow(name), interface)
    assert output_shape(pair.generator, (5, LATENT + 4)) == (5, *shape)
    assert output_shape(pair.discriminator, (5, *shape[:-1], shape[-1] + 4)) == (5, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", FROM_NOISE)
def test_a_discriminator_gives_the_features_that_its_logits_are_made_of(name):
    shape = POINTS if fits(name, POINTS) else (8, 8, 1)
    plain = MODELS.build(narrow(name), Interface(shape, LATENT)).discriminator
    both = MODELS.build(narrow(name), Interface(shape, LATENT, features=True)).discriminator
    params, stats = both.initialize(jax.random.key(0))
    x = draw(5, *shape)
    outputs, _ = both.apply(params, stats, x)
    last = max(params["layers"], key=int)
    own = params["layers"][last]["layer"]
    kernel = own["kernel"][:, 0] / (len(own["kernel"]) ** 0.5 if name in EQUALIZED else 1)
    np.testing.assert_allclose(
        outputs[:, 0], outputs[:, 1:] @ kernel + own["bias"][0], rtol=1e-4, atol=1e-5
    )
    same = params | {"layers": params["layers"] | {last: own}}
    np.testing.assert_allclose(plain.apply(same, stats, x)[0], outputs[:, 0], rtol=1e-5)


@pytest.mark.parametrize("name", CODED)
def test_conditional_normalization_has_a_gain_and_a_bias_for_each_code(name):
    spec = f"{name}:width=4,generator_norm=conditional"
    pair = MODELS.build(spec, Interface((8, 8, 1), LATENT, codes=3))
    assert pair.generator.normalizes_batch
    params, stats = pair.generator.initialize(jax.random.key(0))
    z = jnp.concatenate([jnp.ones((3, LATENT)), jnp.eye(3)], axis=1)
    apply = jax.jit(pair.generator.apply, static_argnames="train")
    before = apply(params, stats, z, train=False)[0]
    # All gains and biases are 0 at first, so that the label makes no difference.
    np.testing.assert_array_equal(before, jnp.broadcast_to(before[:1], before.shape))

    def of_second(path, leaf):
        return leaf.at[1].add(1) if path[-1].key in ("gain", "bias") and leaf.ndim == 2 else leaf

    gains = [path for path in leaves(params) if path.endswith("['gain']")]
    assert len(gains) >= 2
    moved = apply(jax.tree_util.tree_map_with_path(of_second, params), stats, z, train=False)[0]
    np.testing.assert_array_equal(moved[0], before[0])
    np.testing.assert_array_equal(moved[2], before[2])
    assert float(jnp.abs(moved[1] - before[1]).max()) > 0


@pytest.mark.parametrize("name", CODED)
def test_normalization_by_codes_wants_codes(name):
    with refused("generator_norm=conditional", remedy=("--task conditional", "infogan")):
        MODELS.build(f"{name}:generator_norm=conditional", Interface((8, 8, 1), LATENT))


# Batches


@pytest.mark.slow
@pytest.mark.parametrize("name", FROM_NOISE)
def test_by_default_a_logit_does_not_depend_on_the_rest_of_the_batch(name):
    shape = POINTS if fits(name, POINTS) else (8, 8, 1)
    pair, _, (params, stats) = built(narrow(name), shape)
    assert not pair.discriminator.normalizes_batch
    assert not pair.discriminator.compares_batch
    apply = jax.jit(pair.discriminator.apply)
    x = draw(4, *shape)
    changed = x.at[1:].set(draw(3, *shape, seed=1))
    first, others = apply(params, stats, x)[0], apply(params, stats, changed)[0]
    np.testing.assert_allclose(first[0], others[0], rtol=1e-5)
    assert float(jnp.min(jnp.abs(first[1:] - others[1:]))) > 0


@pytest.mark.parametrize("minibatch", ["stddev", "discrimination"])
@pytest.mark.parametrize("name", ["mlp", "dcgan"])
def test_minibatch_features_see_the_rest_of_the_batch(name, minibatch):
    spec, shape = f"{name}:width=4,minibatch={minibatch}", (8, 8, 1)
    pair, _, (params, stats) = built(spec, shape)
    assert not pair.discriminator.normalizes_batch
    assert pair.discriminator.compares_batch
    x = draw(4, *shape)
    together = jax.jit(pair.discriminator.apply)(params, stats, x)[0]
    changed = x.at[1:].multiply(3)
    apart = jax.jit(pair.discriminator.apply)(params, stats, changed)[0]
    assert abs(float(together[0] - apart[0])) > 1e-7


@pytest.mark.parametrize(
    ("spec", "generator", "discriminator"),
    [
        ("mlp", False, False),
        ("mlp:generator_norm=batch", True, False),
        ("mlp:norm=batch", False, True),
        ("maxout-mlp", True, False),
        ("dcgan", True, False),
        ("dcgan:norm=batch,generator_norm=none", False, True),
        ("dcgan:norm=layer,generator_norm=layer", False, False),
        ("resnet:norm=batch,generator_norm=group", False, True),
    ],
)
def test_which_networks_normalize_their_batch(spec, generator, discriminator):
    pair = MODELS.build(spec, Interface((16, 16, 1), LATENT))
    assert pair.generator.normalizes_batch == generator
    assert pair.discriminator.normalizes_batch == discriminator


def test_batch_normalization_in_training_and_outside():
    pair, (params, stats), _ = built("mlp:width=16,depth=1,generator_norm=batch", POINTS)
    apply = jax.jit(pair.generator.apply, static_argnames="train")
    z = draw(64, LATENT)
    hidden = z @ params["layers"]["0"]["kernel"]
    _, moved = apply(params, stats, z, train=True)
    # Running statistics start at mean 0 and variance 1 and move a tenth of the way.
    running = moved["layers"]["1"]
    np.testing.assert_allclose(running["mean"], 0.1 * hidden.mean(0), atol=1e-6)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * hidden.var(0), atol=1e-5)
    # Outside training nothing moves, and an example's output is its own.
    output, kept = apply(params, moved, z, train=False)
    alone, _ = apply(params, moved, z[:1], train=False)
    np.testing.assert_allclose(output[:1], alone, atol=1e-5)
    for path, leaf in leaves(kept).items():
        np.testing.assert_array_equal(leaf, leaves(moved)[path])
    in_training, _ = apply(params, moved, z, train=True)
    assert float(jnp.max(jnp.abs(in_training - output))) > 1e-3


@pytest.mark.parametrize(
    "name",
    [name for name in (*FROM_NOISE, *TRANSLATORS) if "spectral_norm" in MODELS.options(name)],
)
def test_every_kernel_of_a_spectrally_normalized_discriminator_has_its_vector(name):
    interface = Interface((8, 8, 1), LATENT, source=int(name in TRANSLATORS))
    pair = MODELS.build(f"{name}:width=4,spectral_norm=true", interface)
    params, stats = jax.eval_shape(pair.discriminator.initialize, jax.random.key(0))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    kernels = {path for path in paths if "kernel" in path}
    vectors = jax.tree_util.tree_leaves_with_path(stats)
    assert kernels
    assert kernels == {
        jax.tree_util.keystr(path).replace("['u']", "['layer']['kernel']") for path, _ in vectors
    }


def test_after_training_the_largest_singular_values_are_one():
    pair, _, (params, stats) = built("dcgan:width=4,spectral_norm=true", (16, 16, 1))
    apply = jax.jit(pair.discriminator.apply)
    # Large random kernels that the vectors have not seen.
    params = jax.tree.map(lambda leaf: draw(*leaf.shape, seed=leaf.size), params)
    for _ in range(100):
        stats = apply(params, stats, draw(2, 16, 16, 1))[1]
    for layer in ("0", "2", "5"):
        kernel = np.asarray(params["layers"][layer]["layer"]["kernel"], np.float64)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        sigma = np.linalg.norm(matrix @ np.asarray(stats["layers"][layer]["u"]))
        top = np.linalg.svd(matrix / sigma, compute_uv=False)[0]
        assert top == pytest.approx(1, abs=1e-2)


# Transformations


@pytest.mark.parametrize("name", FROM_NOISE)
def test_the_gradient_of_a_squared_slope_is_finite_and_not_zero(name):
    shape = POINTS if fits(name, POINTS) else (8, 8, 1)
    pair, _, (params, stats) = built(narrow(name), shape)
    x = draw(4, *shape)

    @jax.jit
    def slopes(params):
        def penalty(params):
            def total(x):
                return jnp.sum(pair.discriminator.apply(params, stats, x)[0])

            return jnp.sum(jax.grad(total)(x) ** 2)

        return jax.grad(penalty)(params)

    found = leaves(slopes(params))
    assert all(np.isfinite(leaf).all() for leaf in found.values())
    assert max(np.abs(leaf).max() for leaf in found.values()) > 0


@pytest.mark.parametrize(("name", "shape"), [("mlp", POINTS), ("dcgan", (8, 8, 1))])
def test_a_population_equals_each_of_its_members(name, shape):
    pair = MODELS.build(narrow(name), Interface(shape, LATENT))
    keys, z = jax.random.split(jax.random.key(2)), draw(2, 4, LATENT)

    @jax.jit
    def member(key, z):
        return pair.generator.apply(*pair.generator.initialize(key), z)

    outputs, stats = jax.jit(jax.vmap(member))(keys, z)
    for index in range(2):
        output, own = member(keys[index], z[index])
        np.testing.assert_allclose(outputs[index], output, atol=1e-5)
        for path, leaf in leaves(own).items():
            np.testing.assert_allclose(leaves(stats)[path][index], leaf, atol=1e-5)


def test_training_in_a_loop_equals_training_step_by_step():
    pair, _, state = built("dcgan:width=4,norm=batch,spectral_norm=true", (8, 8, 1))
    x = draw(4, 8, 8, 1)

    def step(state, _=None):
        params, stats = state

        def total(params):
            logits, moved = pair.discriminator.apply(params, stats, x)
            return jnp.mean(jax.nn.softplus(-logits)), moved

        gradients, moved = jax.grad(total, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients), moved), None

    looped, _ = jax.jit(lambda state: jax.lax.scan(step, state, None, length=3))(state)
    one = jax.jit(lambda state: step(state)[0])
    by_hand = one(one(one(state)))
    for path, leaf in leaves(by_hand).items():
        np.testing.assert_allclose(leaves(looped)[path], leaf, atol=1e-5, err_msg=path)


# Images of images


def translator(spec, shape=(8, 8, 3), **interface):
    return MODELS.build(spec, Interface(shape, 0, source=1, **interface))


def small_translator(name, **options):
    values = {"width": 4, "discriminator_width": 4, "spectral_norm": "true"} | options
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in values.items())


@pytest.mark.parametrize("name", TRANSLATORS)
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (5, 9), (1, 1)])
def test_translators_keep_any_size_and_judge_its_patches(name, size):
    pair = translator(small_translator(name), seen=4)
    assert output_shape(pair.generator, (2, *size, 1)) == (2, *size, 3)
    # Two halvings: a patch for each quarter, of what is filled up to a multiple of four.
    patches = tuple(-(-side // 4) for side in size)
    assert output_shape(pair.discriminator, (2, *size, 4)) == (2, *patches)
    with pytest.raises(ValueError, match=rf"{re.escape(str((2, *size, 2)))}.*\(None, None, 1\)"):
        output_shape(pair.generator, (2, *size, 2))


@pytest.mark.parametrize("name", TRANSLATORS)
def test_patches_have_features_that_their_logits_are_made_of(name):
    """The last layer is 3x3: its output is the sum over the taps of the neighbours' features."""
    plain, both = (
        translator(f"{name}:discriminator_width=4", features=some).discriminator
        for some in (False, True)
    )
    params, stats = both.initialize(jax.random.key(0))
    x = draw(2, 8, 8, 3)
    outputs, _ = both.apply(params, stats, x)
    logits = outputs[..., 0]
    assert outputs.shape == (2, 2, 2, 1 + 16)
    renamed = {**params["layers"]}
    last = max(renamed, key=int)
    renamed[last] = renamed[last]["layer"]
    np.testing.assert_allclose(plain.apply({"layers": renamed}, stats, x)[0], logits, atol=1e-5)
    padded = np.pad(np.asarray(outputs[..., 1:]), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.asarray(renamed[last]["kernel"])
    corner = np.einsum("nrci,rcio->no", padded[:, :3, :3], kernel)[:, 0] + renamed[last]["bias"]
    np.testing.assert_allclose(logits[:, 0, 0], corner, atol=1e-5)


@pytest.mark.parametrize("name", TRANSLATORS)
@pytest.mark.parametrize(
    "norm",
    ["none", *(pytest.param(name, marks=pytest.mark.slow) for name in ("batch", "instance"))],
)
def test_every_parameter_of_a_translator_has_a_gradient(name, norm):
    spec = small_translator(name, norm=norm, discriminator_norm=norm)
    pair = translator(spec, (16, 16, 3))
    keys = jax.random.split(jax.random.key(1))
    params, stats = zip(
        pair.generator.initialize(keys[0]), pair.discriminator.initialize(keys[1]), strict=True
    )
    weights = draw(4, 4, 4, seed=3)

    @jax.jit
    def gradients(params):
        def total(params):
            made, _ = pair.generator.apply(params[0], stats[0], draw(4, 16, 16, 1))
            return jnp.sum(weights * pair.discriminator.apply(params[1], stats[1], made)[0])

        return jax.grad(total)(params)

    found = leaves(gradients(params))
    largest = max(np.abs(leaf).max() for leaf in found.values())
    for path, leaf in found.items():
        assert np.abs(leaf).max() > 1e-6 * largest, path


def test_a_unet_sees_around_its_narrow_middle():
    """With nothing that comes up from below, fine structure still reaches the output."""
    pair = translator("unet:width=4,depth=2")
    params, stats = pair.generator.initialize(jax.random.key(0))
    params["level"]["up"] = jax.tree.map(jnp.zeros_like, params["level"]["up"])
    x = draw(1, 8, 8, 1)
    one, other = (pair.generator.apply(params, stats, v)[0] for v in (x, x.at[0, 3, 3].add(1)))
    changed = np.abs(np.asarray(one - other)).max(axis=(0, 3)) > 0
    assert changed[3, 3]
    assert not changed[0].any()  # Two 3x3 convolutions see two pixels away.


# Errors


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_points_are_refused_with_the_models_that_take_them(name):
    with refused(f"'{name}'", str(POINTS), remedy=("mlp", "maxout-mlp")):
        MODELS.build(name, Interface(POINTS, LATENT))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize(
    ("sides", "nearest"),
    [
        ("30x31", "30x30 and 30x32"),
        ("45x45", "44x44 and 46x46"),
        ("4x64", "8x64"),
        ("1026x512", "1024x512"),
    ],
)
def test_sides_that_cannot_be_halved_are_refused_with_the_nearest_that_can(name, sides, nearest):
    shape = (*map(int, sides.split("x")), 3)
    with refused(f"'{name}'", sides, allowed=("8", "1,024", nearest), remedy="data.size"):
        MODELS.build(name, Interface(shape, LATENT))


@pytest.mark.parametrize("name", MODELS.names())
def test_a_width_below_one_is_refused(name):
    with refused("width", f"'{name}'", "'0'") as caught:
        MODELS.build(f"{name}:width=0", Interface((8, 8, 1), LATENT))
    assert re.findall(r"\d[\d,]*", caught.value.allowed) == ["1", "16,384"]
