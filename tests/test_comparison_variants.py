"""What varies: combinations, draws that stay when there are more, and names."""

import pytest
from refusals import refused

from gancli.comparison import Variant, swept
from gancli.comparison.variants import labelled
from gancli.config import Layer, build_sweep

BASE = Variant("base", (Layer("test", {"loss": "hinge"}),))


def sweep(**table):
    return build_sweep(table, "[sweep] in a.toml")


def test_all_combinations_in_order():
    values = {"loss": ["hinge", "minimax"], "penalties": [[], ["r1:weight=5"]]}
    found = swept(BASE, sweep(values=values), "[sweep]")
    assert [one.name for one in found] == [
        "base-hinge-no-penalties",
        "base-hinge-r1-weight-5",
        "base-minimax-no-penalties",
        "base-minimax-r1-weight-5",
    ]
    assert found[1].layers[-1] == Layer("[sweep]", {"loss": "hinge", "penalties": ["r1:weight=5"]})
    assert found[1].layers[0] == BASE.layers[0]


def test_a_single_value_is_not_in_the_names():
    values = {"train.batch": [32], "optimizer.generator.learning_rate": [0.001, 0.0002]}
    names = [one.name for one in swept(BASE._replace(name=""), sweep(values=values), "")]
    assert names == ["learning-rate-0.001", "learning-rate-0.0002"]
    (only,) = swept(BASE._replace(name=""), sweep(values={"train.batch": [32]}), "")
    assert only.name == "default"


@pytest.mark.parametrize(
    ("key", "value", "keys", "name"),
    [
        ("train.batch", 32, ["train.batch", "loss"], "batch-32"),
        (
            "optimizer.generator.beta1",
            0.5,
            ["optimizer.generator.beta1", "optimizer.discriminator.beta1"],
            "generator.beta1-0.5",
        ),
        ("logging.tensorboard", True, ["logging.tensorboard"], "tensorboard-true"),
        ("penalties", ("r1", "drift:every=4"), ["penalties"], "r1+drift-every-4"),
        ("inputs.augment", (), ["inputs.augment"], "no-augment"),
    ],
)
def test_the_names_of_values(key, value, keys, name):
    assert labelled(key, value, keys) == name


def test_draws_are_in_range_and_stay_when_there_are_more():
    values = {
        "optimizer.generator.learning_rate": {
            "least": 1e-5, "largest": 1e-2, "scale": "logarithmic",
        },
        "train.batch": {"least": 8, "largest": 64, "whole": True},
        "loss": ["hinge", "minimax"],
    }  # fmt: skip
    few = sweep(values=values, draws=5, seed=3).assignments()
    many = sweep(values=values, draws=200, seed=3).assignments()
    assert many[:5] == few
    assert sweep(values=values, draws=5, seed=4).assignments() != few
    rates = [one["optimizer.generator.learning_rate"] for one in many]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    # By the logarithm a third of them is in each decade; 200 draws are within 4 deviations.
    assert all(abs(sum(low <= r < 10 * low for r in rates) - 66.7) < 27 for low in (1e-5, 1e-4))
    assert {one["loss"] for one in many} == {"hinge", "minimax"}
    assert all(isinstance(one["train.batch"], int) for one in many)
    names = [one.name for one in swept(BASE, sweep(values=values, draws=200, seed=3), "")]
    assert len(set(names)) == 200


def test_a_long_name_gives_way_to_a_number():
    values = {"data.name": ["x" * 150, "y" * 150]}
    names = [one.name for one in swept(BASE, sweep(values=values), "")]
    assert names == ["base-0000", "base-0001"]


@pytest.mark.parametrize(
    ("table", "given", "allowed", "remedy"),
    [
        ({"values": {"los": ["hinge"]}}, ("'los'",), "loss", "'loss'"),
        ({"values": {"sweep.seed": [1, 2]}}, ("'sweep.seed'",), "train.seed", ()),
        ({"values": {"loss": []}}, ("values.loss",), "values =", ()),
        ({"values": {"loss": "hinge"}}, ("values.loss",), "values =", ()),
        ({"values": {}}, ("values",), "values =", ()),
        ({}, ("values",), "values =", ()),
        ([], (), "values =", ()),
        (
            {"values": {"train.batch": {"least": 1, "largest": 2}}},
            ("train.batch", "draws"), "draws =", (),
        ),
        (
            {"values": {"train.batch": {"least": 2, "largest": 1}}, "draws": 2},
            ("values.train.batch", "least", "largest"), "{least, largest", (),
        ),
        (
            {
                "values": {"train.batch": {"least": 0, "largest": 1, "scale": "logarithmic"}},
                "draws": 2,
            },
            ("values.train.batch", "logarithmic", " 0"), "{least, largest", (),
        ),
        (
            {"values": {"train.batch": list(range(1, 400)), "loss": ["a", "b", "c"]}},
            ("1,197",), "1,000", "draws",
        ),
        ({"values": {"loss": ["hinge"]}, "draws": 0}, ("draws", " 1"), "draws =", ()),
        ({"values": {"loss": ["hinge"]}, "grid": True}, ("grid",), "values =", ()),
    ],
)  # fmt: skip
def test_a_sweep_that_is_none_is_refused(table, given, allowed, remedy):
    with refused("[sweep] in a.toml", *given, allowed=allowed, remedy=remedy):
        build_sweep(table, "[sweep] in a.toml")
