"""Layers, recipes, and errors that say what to do."""

import os
import time
from pathlib import Path
from typing import get_args

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
from gancli.tasks import TASKS


def resolved(*layers, kind="image"):
    return resolve(
        [Layer(f"layer {i}", values) for i, values in enumerate(layers)], kind, MODELS, TASKS
    )


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
        ({"loss": 3}, ["loss was 3 in layer 0", "text"]),
        ({"model": [[["mlp"]]]}, ["model was ([['mlp']],)", "text"]),
        ({"penalties": {}}, ["penalties was {}", "a list of text"]),
        ({"penalties": ["r1"] * 10000}, ["penalties was ('r1', 'r1'", "at most 16"]),
        ({"inputs.augment": ["flip"] * 10000}, ["inputs.augment", "at most 16"]),
        ({"train": {}, "bogus": {}}, ["'bogus'", "train.steps"]),
        ({"train.steps": 10**18}, ["train.steps was 1000000000000000000", "at most 2,147,483,647"]),
        ({"train.steps": 16**20000}, ["a whole number of 80,001 bits", "at most 2,147,483,647"]),
        ({"train.batch": 10**12}, ["train.batch was 1000000000000", "at most 1,048,576"]),
        ({"inputs.packing": 10**9}, ["inputs.packing was 1000000000", "at most 64"]),
        ({"checkpoint.minutes": 1e300}, ["checkpoint.minutes was 1e+300", "at most 1e+30"]),
        ({"optimizer.generator.learning_rate": 1e300}, ["1e+300", "at most 1e+30"]),
        ({"optimizer.generator.clip_norm": 0.0}, ["was 0.0", "at least 1e-30"]),
        ({"data.name": "caf\udce9"}, ["data.name was 'caf\\udce9'", "UTF-8"]),
        ({"data.name": "x" * 10**6}, ["data.name was 'xxx", "at most 1,024 characters"]),
        ({"a\n" * 10**5: 3}, ["unknown key", "'a\\na\\n", "train.steps"]),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(values, words):
    with pytest.raises(UserError) as caught:
        resolved(values)
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "setting",
    [
        0,
        -1,
        1_000_001,
        "0 epochs",
        "1001 epochs",
        "999999999 epochs",
        "9" * 900 + " epochs",
        "many",
        "epoch of two",
        "",
        "1.5 epochs",
        "١ epoch",
    ],
)
def test_a_period_that_no_step_could_hold_is_refused(setting):
    allowed = r"a whole number from 1 to 1,000,000, or whole epochs, 1 to 1,000.*'1 epoch'"
    with pytest.raises(UserError, match=rf"train\.generator_steps was .*{allowed}"):
        resolved({"train.generator_steps": setting})


@pytest.mark.parametrize("setting", [1, 1_000_000, "epoch", "1 epoch", "1000 epochs"])
def test_a_period_that_a_step_can_hold(setting):
    assert resolved({"train.generator_steps": setting}).config.train.generator_steps == setting


def test_every_number_has_bounds_on_both_sides():
    for key, field in fields().items():
        kinds = {field.annotation, *get_args(field.annotation)}
        if kinds & {int, float} and str not in kinds:
            names = {name for limit in field.metadata for name in dir(limit)}
            assert names & {"ge", "gt"}, key
            assert names & {"le", "lt"}, key


def test_toml_is_read_by_sections(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('loss = "hinge"\n[train]\nsteps = 4\n[optimizer.generator]\nbeta1 = 0.1\n')
    layer = read_toml(path)
    assert layer.values == {"loss": "hinge", "train.steps": 4, "optimizer.generator.beta1": 0.1}
    assert layer.source == str(path)


def test_an_empty_section_is_no_error_and_an_empty_stranger_is(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[train]\n[optimizer.generator]\n")
    assert resolve([read_toml(path)], "image", MODELS, TASKS).config.train == Config().train
    path.write_text("[trian]\n")
    with pytest.raises(UserError, match=r"unknown key .* 'trian'"):
        resolve([read_toml(path)], "image", MODELS, TASKS)


DEEP = 1500
HOSTILE = {
    "deep arrays": (b"x = " + b"[" * DEEP, "nests"),
    "deep tables": (b"x = " + b"{a=" * DEEP, "nests"),
    "a deep key": (b"a" + b".a" * DEEP + b" = 1", "nests"),
    "a deep section": (b"[a" + b".a" * DEEP + b"]", "nests"),
    "an endless number": (b"x = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
    "a key twice": (b"x = 1\nx = 2", "is not TOML: Cannot overwrite a value"),
    "a section that is a value": (b"x = 1\n[x.y]", "is not TOML"),
    "not text": (b"\xff", "is not TOML: 'utf-8' codec"),
    "a zero byte": (b"x = 1\0", "is not TOML"),
    "megabytes": (b"#" * 2**21, "is longer than 16,384 bytes"),
    "a long wrong word": (b"x = " + b"y" * 9000, "is not TOML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once_in_one_line(tmp_path, name):
    content, words = HOSTILE[name]
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(UserError, match=words) as caught:
        read_toml(path)
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


def test_what_is_not_a_file_is_never_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "pipe.toml", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match="is not a file"):
            read_toml(path)
    with pytest.raises(UserError, match="File name too long"):
        read_toml(tmp_path / ("a" * 300))


def test_a_source_is_named_on_one_line(tmp_path):
    path = tmp_path / "a\nb.toml"
    path.write_text("[train]\nsteps = 0\n")
    with pytest.raises(UserError, match=r"train\.steps was 0 in '.*a\\nb.toml'"):
        resolve([read_toml(path)], "image", MODELS, TASKS)


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
        ("train.batch=3\nseed = 4", ("train.batch", "3\nseed = 4")),
        ("train.batch=" + "[" * 2000, ("train.batch", "[" * 2000)),
    ],
)
def test_assignments(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["train.batch", "=3", "x" * 4000])
def test_bad_assignment(text):
    with pytest.raises(UserError, match="key=value") as caught:
        parse_assignment(text)
    assert len(str(caught.value)) < 400


def test_an_assignment_has_an_end():
    with pytest.raises(UserError, match=r"has 1,000,002 characters.*at most 4,096"):
        parse_assignment("x=" + "9" * 10**6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "content in here: Invalid JSON"),
        ("[" * 10**5, "content in here: Invalid JSON: recursion limit exceeded"),
        ("null", "content in here"),
        ('{"train": 3}', "'train' in here"),
        ('{"train": {"steps": "3"}}', "train.steps was '3' in here"),
        (
            '{"train": {"steps": ' + "9" * 5000 + "}}",
            "content in here: Invalid JSON: number out of",
        ),
        ('{"train": {"steps": 1e400}}', "train.steps was inf in here"),
        ('{"penalties": "r1"}', "penalties was 'r1' in here"),
        ('{"' + "k" * 10**6 + '": 1}', "'kkk.*kkk' in here: Extra inputs are not permitted"),
        ('{"loss": "' + "x" * 10**6 + '"}', "loss was 'xxx.*xxx' in here"),
        ("\udcff", "content in here"),
    ],
)
def test_json_that_is_not_a_configuration_is_refused_in_one_line(text, words):
    with pytest.raises(UserError, match=words) as caught:
        from_json(text, "here")
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


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
