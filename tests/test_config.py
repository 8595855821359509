"""Layers, recipes, and errors that say what to do."""

import pytest

from gancli.config import (
    Config,
    Layer,
    differences,
    fields,
    flatten_config,
    from_json,
    parse_assignment,
    read_toml,
    resolve,
    to_json,
)
from gancli.errors import UserError
from gancli.networks import MODELS


def resolved(*layers, kind="image"):
    return resolve([Layer(f"layer {i}", values) for i, values in enumerate(layers)], kind, MODELS)


def test_defaults_depend_on_the_kind_of_data():
    plain = {"loss": "non-saturating"}
    assert resolved(plain).config.model == "dcgan"
    points = resolved(plain, kind="points")
    assert (points.config.model, points.config.task) == ("mlp", "generation:latent=2")
    assert points.sources["model"] == "default for points data"


def test_recipe_applies_where_the_user_named_nothing():
    config, sources = resolved({"loss": "wasserstein"})
    assert config.penalties == ("gradient-penalty:weight=10",)
    assert config.train.discriminator_steps == 5
    assert config.optimizer.generator.learning_rate == 1e-4
    assert config.optimizer.discriminator.beta1 == 0.0
    assert sources["penalties"] == "recipe of wasserstein"
    assert sources["train.batch"] == "default"


def test_user_wins_over_recipe_and_later_layers_over_earlier():
    config, sources = resolved(
        {"loss": "wasserstein", "penalties": ["r1"], "train.steps": 5}, {"train.steps": 7}
    )
    assert config.penalties == ("r1",)
    assert config.train.steps == 7
    assert (sources["train.steps"], sources["penalties"]) == ("layer 1", "layer 0")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("dcgan", "dcgan:spectral_norm=true"),
        ("dcgan:width=8", "dcgan:width=8,spectral_norm=true"),
        ("dcgan:spectral_norm=false", "dcgan:spectral_norm=false"),
        ("maxout-mlp", "maxout-mlp"),
    ],
)
def test_recipe_sets_options_of_the_model_that_it_has_and_the_user_left_open(model, expected):
    assert resolved({"loss": "hinge", "model": model}).config.model == expected


def test_schedule_is_closed_so_that_more_steps_do_not_move_it():
    linear = {"optimizer.generator.schedule": "linear", "train.steps": 50}
    config = resolved(linear | {"optimizer.generator.decay_start": 20}).config
    assert config.optimizer.generator.decay_steps == 30
    assert config.optimizer.discriminator.decay_steps == 0


def test_json_restores_the_configuration_exactly():
    config = resolved({"loss": "hinge", "penalties": ["r1:weight=0.1", "drift"]}).config
    assert from_json(to_json(config), "here") == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"train.stepz": 3}, ["'train.stepz'", "Did you mean 'train.steps'"]),
        ({"train.steps": "many"}, ["train.steps was 'many' in layer 0", "a whole number"]),
        ({"train.steps": 0}, ["train.steps was 0", "at least 1"]),
        ({"train.steps": 2.5}, ["2.5", "a whole number"]),
        ({"train.batch": True}, ["train.batch was True", "a whole number"]),
        ({"optimizer.generator.learning_rate": -1.0}, ["-1.0", "at least 1e-30"]),
        ({"optimizer.generator.learning_rate": float("nan")}, ["nan", "a number"]),
        ({"logging.tensorboard": "yes"}, ["'yes'", "true or false"]),
        ({"penalties": "r1"}, ["penalties was 'r1'", "a list of text"]),
        ({"data.fit": "squeeze"}, ["'squeeze'", "'crop' or 'pad'"]),
        ({"train": 3}, ["'train'", "train.steps"]),
        ({"loss": "wasserstien"}, ["'wasserstien'", "Did you mean 'wasserstein'"]),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(values, words):
    with pytest.raises(UserError) as caught:
        resolved(values)
    for word in words:
        assert word in str(caught.value)


def test_toml_is_read_by_sections(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('loss = "hinge"\n[train]\nsteps = 4\n[optimizer.generator]\nbeta1 = 0.1\n')
    layer = read_toml(path)
    assert layer.values == {"loss": "hinge", "train.steps": 4, "optimizer.generator.beta1": 0.1}
    assert layer.source == str(path)


def test_bad_toml_names_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("loss = ")
    with pytest.raises(UserError, match=r"a\.toml' is not TOML"):
        read_toml(path)
    with pytest.raises(UserError, match="cannot read"):
        read_toml(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.batch=32", ("train.batch", 32)),
        ("data.size = 64", ("data.size", 64)),
        ("logging.tensorboard=true", ("logging.tensorboard", True)),
        ("model=dcgan:width=8", ("model", "dcgan:width=8")),
        ('penalties=["r1"]', ("penalties", ["r1"])),
        ("data.name=2020", ("data.name", 2020)),
    ],
)
def test_assignments(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["train.batch", "=3"])
def test_bad_assignment(text):
    with pytest.raises(UserError, match="key=value"):
        parse_assignment(text)


def test_differences_leave_out_what_may_change():
    old = Config()
    free = Config.model_validate(
        old.model_dump() | {"logging": {"every": 7}, "checkpoint": {"keep": 9}}
    )
    assert differences(old, free) == []
    longer = old.model_copy(update={"train": old.train.model_copy(update={"steps": 9})})
    assert differences(old, longer) == []
    other = old.model_copy(update={"train": old.train.model_copy(update={"seed": 9})})
    assert differences(old, other) == ["train.seed: 0 there, 9 asked for"]


def test_every_field_has_a_place_in_the_flat_view():
    assert set(fields()) == set(flatten_config(Config()))
