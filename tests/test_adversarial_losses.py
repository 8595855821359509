"""Losses: values worked out by hand, and properties that hold for every one of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.losses import LOSSES
from gancli.registry import parse_spec

LN2 = 0.693147
SPECS = [
    *LOSSES.names(),
    "minimax:smoothing=0.1",
    "non-saturating:smoothing=0.1",
    "relativistic-average:smoothing=0.1",
    "least-squares:real_target=0.9",
    "f-divergence:saturating=true",
    *(
        f"f-divergence:kind={kind}"
        for kind in ("kullback-leibler", "reverse-kullback-leibler", "pearson", "squared-hellinger")
    ),
]
# (discriminator, generator) with all logits 0. Least squares is in its half form with
# targets 1 and 0. f-divergences: f*(T(0)) - T(0), -T(0), from table 2 of arXiv:1606.00709:
# Jensen-Shannon T = 0 and f* = 0; Kullback-Leibler T = 0, f* = 1/e; reverse T = -1,
# f* = -1 - log 1 = -1; Pearson 0 and 0; squared Hellinger 0 and 0.
AT_ZERO = {
    "minimax": (2 * LN2, -LN2),
    "non-saturating": (2 * LN2, LN2),
    "least-squares": (0.5, 0.5),
    "wasserstein": (0.0, 0.0),
    "hinge": (2.0, 0.0),
    "relativistic": (LN2, LN2),
    "relativistic-average": (2 * LN2, 2 * LN2),
    "f-divergence": (0.0, 0.0),
    "f-divergence:kind=kullback-leibler": (0.367879, 0.0),
    "f-divergence:kind=reverse-kullback-leibler": (0.0, 1.0),
    "f-divergence:kind=pearson": (0.0, 0.0),
    "f-divergence:kind=squared-hellinger": (0.0, 0.0),
}
# (discriminator, generator) for real logit 2 and fake logit -1:
# softplus(-2) = 0.126928, softplus(-1) = 0.313262, softplus(1) = 1.313262,
# softplus(-3) = 0.048587, softplus(3) = 3.048587.
AT_TWO_AND_MINUS_ONE = {
    "minimax": (0.440190, -0.313262),
    "minimax:smoothing=0.1": (0.640190, -0.313262),
    "non-saturating": (0.440190, 1.313262),
    "least-squares": (1.0, 2.0),
    "wasserstein": (-3.0, 1.0),
    "hinge": (0.0, 1.0),
    "hinge:margin=3": (3.0, 1.0),
    "relativistic": (0.048587, 3.048587),
    "relativistic-average": (0.097174, 6.097174),
    # T(2) = ln 2 - softplus(-2) = 0.566219; f*(T(-1)) = softplus(-1) - ln 2 = -0.379885;
    # T(-1) = ln 2 - softplus(1) = -0.620115.
    "f-divergence": (-0.946104, 0.620115),
    "f-divergence:kind=pearson": (-2.75, 1.0),
}


def values(spec, real, fake):
    loss = LOSSES.build(spec)
    real, fake = jnp.float32([real]), jnp.float32([fake])
    return float(loss.discriminator(real, fake)[0]), float(loss.generator(real, fake)[0])


@pytest.mark.parametrize("spec", AT_ZERO)
def test_value_at_zero(spec):
    assert values(spec, 0, 0) == pytest.approx(AT_ZERO[spec], abs=1e-6)


@pytest.mark.parametrize("spec", AT_TWO_AND_MINUS_ONE)
def test_value_away_from_zero(spec):
    assert values(spec, 2, -1) == pytest.approx(AT_TWO_AND_MINUS_ONE[spec], abs=2e-6)


def test_every_loss_has_a_literal_value():
    assert {parse_spec(spec).name for spec in AT_ZERO} >= set(LOSSES.names())


@pytest.mark.parametrize("spec", SPECS)
def test_values_are_of_each_example_and_finite_at_large_logits(spec):
    loss = LOSSES.build(spec)
    logits = jnp.float32([-50, -50, 50, 50, 0])
    others = jnp.float32([-50, 50, -50, 50, 0])
    for half in loss.discriminator, loss.generator:
        value = half(logits, others)
        assert value.shape == (5,)
        assert value.dtype == jnp.float32
        assert np.isfinite(value).all()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(("real", "fake"), [(0.3, 0.2), (-0.5, 0.4), (0.1, 0.6)])
def test_gradients_point_the_right_way(spec, real, fake):
    """The discriminator raises real and lowers fake logits; the generator raises fake ones.

    Within the targets of least squares, beyond which it pulls back.
    """
    loss = LOSSES.build(spec)

    def total(half):
        return lambda r, f: half(r[None], f[None]).sum()

    of_real, of_fake = jax.grad(total(loss.discriminator), (0, 1))(
        jnp.float32(real), jnp.float32(fake)
    )
    assert of_real < 0 < of_fake
    assert jax.grad(total(loss.generator), 1)(jnp.float32(real), jnp.float32(fake)) < 0


@pytest.mark.parametrize("spec", ["wasserstein", "relativistic", "relativistic-average"])
def test_comparing_losses_ignore_a_common_shift(spec):
    loss = LOSSES.build(spec)
    assert loss.threshold is None
    real, fake = jnp.float32([1.0, -2.0]), jnp.float32([0.5, 0.25])
    np.testing.assert_allclose(
        loss.discriminator(real + 3, fake + 3), loss.discriminator(real, fake), rtol=1e-5
    )


def test_threshold_is_where_the_optimal_discriminator_is_undecided():
    assert LOSSES.build("least-squares").threshold == 0.5
    assert LOSSES.build("non-saturating").threshold == 0.0
    assert LOSSES.build("f-divergence:kind=kullback-leibler").threshold == 1.0
