"""Layers, recipes, and errors that say what to do."""

import errno
import os
import re
import time
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from refusals import refused

from gancli.config import (
    Config,
    Layer,
    differences,
    fields,
    flatten_config,
    from_json,
    parse_assignment,
    read_toml,
    to_json,
)
from gancli.config.layers import known_values
from gancli.errors import cut, shown
from gancli.tasks.recipes import canonical, resolve


def resolved(*layers, kind="image"):
    return resolve([Layer(f"layer {'abc'[i]}", values) for i, values in enumerate(layers)], kind)


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
    assert (sources["train.steps"], sources["penalties"]) == ("layer b", "layer a")


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
    config = resolved(
        {
            "train.steps": 50,
            "optimizer.generator.learning_rate": "(linear:initial=1,begin=20)",
            "optimizer.discriminator.beta2": "cosine:initial=0.9,final=0.99,steps=7",
            "penalties": ["r1:weight=(cosine:initial=1),every=4", "drift:weight=3"],
        }
    ).config
    assert config.optimizer.generator.learning_rate == "linear:initial=1,begin=20,steps=30"
    assert config.optimizer.discriminator.beta2 == "cosine:initial=0.9,final=0.99,steps=7"
    assert config.penalties == ("r1:weight=(cosine:initial=1,steps=50),every=4", "drift:weight=3")


@pytest.mark.parametrize(
    ("given", "size"), [(64, 64), ("64x96", "64x96"), ("64x64", 64), ("64", 64), (None, None)]
)
def test_a_size_is_written_in_one_way(given, size):
    config = resolved({"data.size": given}).config
    assert config.data.size == size
    assert from_json(to_json(config), "here") == config


def test_half_life_of_a_recipe_gives_way_to_a_decay():
    relativistic = {"loss": "relativistic", "train.steps": 50}
    average = resolved(relativistic).config.average
    assert average.half_life == "cosine:initial=0,final=5e6,steps=50"
    assert resolved(relativistic | {"average.decay": 0.9}).config.average.half_life == 0


def test_json_restores_the_configuration_exactly():
    config = resolved({"loss": "hinge", "penalties": ["r1:weight=0.1", "drift"]}).config
    assert from_json(to_json(config), "here") == config


RATE = "optimizer.generator.learning_rate"
BETA2 = "optimizer.generator.beta2"
NOT_NEGATIVE = (" 0", "1e+30", "gan list schedules")
STEPS = ("1", "2,147,483,647")
POSITIVE = ("1e-30", "1e+30")


@pytest.mark.parametrize(
    ("values", "given", "allowed", "remedy"),
    [
        ({"train.stepz": 3}, ("'train.stepz'",), "train.steps", "'train.steps'"),
        ({"train.steps": "many"}, ("train.steps", "'many'", "layer a"), STEPS, ()),
        ({"train.steps": 0}, ("train.steps", "0"), STEPS, ()),
        ({"train.steps": 2.5}, ("train.steps", "2.5"), STEPS, ()),
        ({"train.batch": True}, ("train.batch", "True"), "1,048,576", ()),
        ({RATE: -1.0}, (RATE, "-1.0"), NOT_NEGATIVE, ()),
        ({RATE: float("nan")}, (RATE, "nan"), NOT_NEGATIVE, ()),
        ({RATE: "many"}, (RATE, "'many'", "layer a"), "cosine", ()),
        ({RATE: "linear:initial=1,final=-1"}, (RATE, "-1", "layer a"), NOT_NEGATIVE, ()),
        ({BETA2: "linear:initial=0.9,final=1"}, (BETA2, "1.0"), (" 0", "below 1"), ()),
        ({"average.half_life": "cosine"}, ("average.half_life", "'cosine'"), "initial", ()),
        ({"logging.tensorboard": "yes"}, ("logging.tensorboard", "'yes'"), ("true", "false"), ()),
        ({"data.fit": "squeeze"}, ("data.fit", "'squeeze'"), ("'crop'", "'pad'"), ()),
        ({"data.size": 3}, ("data.size", "3"), ("4", "1,024", "HEIGHTxWIDTH"), ()),
        ({"data.size": 1025}, ("data.size", "1025"), ("4", "1,024", "HEIGHTxWIDTH"), ()),
        ({"data.size": "64x2"}, ("data.size", "'64x2'"), ("4", "1,024", "HEIGHTxWIDTH"), ()),
        ({"data.size": "64*96"}, ("data.size", "'64*96'"), ("4", "1,024", "HEIGHTxWIDTH"), ()),
        ({"data.size": 6.5}, ("data.size", "6.5"), ("4", "1,024", "HEIGHTxWIDTH"), ()),
        ({"train": 3}, ("'train'",), "train.steps", ()),
        ({"loss": "wasserstien"}, ("loss", "'wasserstien'"), "wasserstein", "'wasserstein'"),
        ({"loss": 3}, ("loss", "3", "layer a"), ("UTF-8", "1,024"), ()),
        ({"model": [[["mlp"]]]}, ("model", "([['mlp']],)"), ("UTF-8", "1,024"), ()),
        ({"penalties": {}}, ("penalties", "{}"), "16", ()),
        ({"penalties": ["r1"] * 10000}, ("penalties", "('r1', 'r1'"), "16", ()),
        ({"inputs.augment": ["flip"] * 10000}, ("inputs.augment", "('flip', 'flip'"), "16", ()),
        ({"train": {}, "bogus": {}}, ("'bogus'",), "average.decay", ()),
        ({"train.steps": 10**18}, ("train.steps", "1000000000000000000"), STEPS, ()),
        ({"train.steps": 16**20000}, ("train.steps", "80,001 bits"), STEPS, ()),
        ({"train.batch": 10**12}, ("train.batch", "1000000000000"), "1,048,576", ()),
        ({"inputs.packing": 10**9}, ("inputs.packing", "1000000000"), "64", ()),
        ({"checkpoint.minutes": 1e300}, ("checkpoint.minutes", "1e+300"), "1e+30", ()),
        ({RATE: 1e300}, (RATE, "1e+300"), NOT_NEGATIVE, ()),
        ({"optimizer.generator.clip_norm": 0.0}, ("clip_norm", "0.0"), POSITIVE, ()),
        ({"data.name": "caf\udce9"}, ("data.name", "'caf\\udce9'"), "UTF-8", ()),
        ({"data.name": "x" * 10**6}, ("data.name", "'xxx", "xxx'"), "1,024", ()),
        ({"a\n" * 10**5: 3}, ("'a\\na\\n", "layer a"), "average.decay", ()),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(values, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy) as caught:
        resolved(values)
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
    with refused("train.generator_steps", shown(setting), allowed="'1 epoch'") as caught:
        resolved({"train.generator_steps": setting})
    numbers = re.findall(r"[\d,]*\d", caught.value.allowed)
    assert numbers == ["1", "1,000,000", "1", "1,000", "1"]


@pytest.mark.parametrize("setting", [1, 1_000_000, "1 epoch", "1000 epochs"])
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


def test_toml_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('loss = "hinge"\n', encoding="utf-8-sig")
    assert read_toml(path).values == {"loss": "hinge"}


def test_an_empty_section_is_no_error_and_an_empty_stranger_is(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[train]\n[optimizer.generator]\n")
    assert resolve([read_toml(path)], "image").config.train == Config().train
    path.write_text("[trian]\n")
    with refused("a.toml", "'trian'", allowed="train.steps"):
        resolve([read_toml(path)], "image")


DEEP = 1500
HOSTILE = {
    "deep arrays": (b"x = " + b"[" * DEEP, RecursionError, ()),
    "deep tables": (b"x = " + b"{a=" * DEEP, RecursionError, ()),
    "a deep key": (b"a" + b".a" * DEEP + b" = 1", RecursionError, ()),
    "a deep section": (b"[a" + b".a" * DEEP + b"]", RecursionError, ()),
    "an endless number": (b"x = " + b"9" * 5000, ValueError, ("5000",)),
    "a key twice": (b"x = 1\nx = 2", tomllib.TOMLDecodeError, ()),
    "a section that is a value": (b"x = 1\n[x.y]", tomllib.TOMLDecodeError, ("line 2",)),
    "not text": (b"\xff", UnicodeDecodeError, ("'utf-8'", "0xff")),
    "a zero byte": (b"x = 1\0", tomllib.TOMLDecodeError, ("line 1, column 6",)),
    "megabytes": (b"#" * 2**21, type(None), ("1,048,576 bytes",)),
    "a long wrong word": (b"x = " + b"y" * 9000, tomllib.TOMLDecodeError, ("line 1, column 5",)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once_in_one_line(tmp_path, name):
    """What the reader said of it is quoted."""
    content, cause, named = HOSTILE[name]
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    began = time.process_time()
    with refused("a.toml'", *named, allowed="TOML") as caught:
        read_toml(path)
    assert time.process_time() - began < 5
    said = caught.value.__context__
    assert type(said) is cause
    assert not isinstance(said, ValueError) or cut(str(said)) in caught.value.given
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


def test_a_long_file_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("# What this is for\n" * 20_000 + "[train]\nsteps = 7\n")
    assert read_toml(path).values == {"train.steps": 7}


def test_what_is_not_a_file_is_never_read(tmp_path, monkeypatch):
    with refused("aaa'", os.strerror(errno.ENAMETOOLONG), allowed="TOML"):
        read_toml(tmp_path / ("a" * 300))
    os.mkfifo(tmp_path / "pipe.toml")
    monkeypatch.setattr(Path, "open", pytest.fail)
    for path in (tmp_path / "pipe.toml", Path("/dev/zero"), tmp_path):
        with refused(repr(str(path)), allowed="TOML"):
            read_toml(path)


def test_a_source_is_named_on_one_line(tmp_path):
    path = tmp_path / "a\nb.toml"
    path.write_text("[train]\nsteps = -3\n")
    with refused("train.steps", "-3", "a\\nb.toml'"):
        resolve([read_toml(path)], "image")


def test_bad_toml_names_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("loss = ")
    with refused("a.toml'", allowed="TOML") as caught:
        read_toml(path)
    assert str(caught.value.__context__) in caught.value.given
    with refused("b.toml'", os.strerror(errno.ENOENT), allowed="TOML"):
        read_toml(tmp_path / "b.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.batch=32", ("train.batch", 32)),
        ("data.size = 64", ("data.size", 64)),
        ("data.size=64x96", ("data.size", "64x96")),
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
    with refused("--set", shown(text), allowed=("--set key=value", "train.batch=32")) as caught:
        parse_assignment(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "kind", "given", "allowed"),
    [
        ("", "json_invalid", ("line 1 column 0",), ()),
        ("[" * 10**5, "json_invalid", ("line 1 column 202",), ()),
        ("null", "model_type", (), ()),
        ('{"train": 3}', "model_type", ("'train'",), ()),
        ('{"train": {"steps": "3"}}', "int_type", ("train.steps", "'3'"), STEPS),
        (
            '{"train": {"steps": ' + "9" * 5000 + "}}",
            "json_invalid",
            ("line 1 column 4322",),
            (),
        ),
        ('{"train": {"steps": 1e400}}', "int_type", ("train.steps", "inf"), STEPS),
        ('{"penalties": "r1"}', "tuple_type", ("penalties", "'r1'"), "16"),
        ('{"' + "k" * 10**6 + '": 1}', "extra_forbidden", ("'kkk", "kkk'"), ()),
        ('{"loss": "' + "x" * 10**6 + '"}', "string_too_long", ("loss", "'xxx", "xxx'"), "1,024"),
        ("\udcff", "string_unicode", (), ()),
    ],
)
def test_json_that_is_not_a_configuration_is_refused_in_one_line(text, kind, given, allowed):
    """What the validation said of what is no value of a key is quoted."""
    with refused("here", *given, allowed=allowed) as caught:
        from_json(text, "here")
    (first, *_) = caught.value.__context__.errors()
    assert first["type"] == kind
    assert allowed or cut(first["msg"]) in caught.value.given
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
    (seed,) = differences(old, other)
    assert seed.startswith("train.seed")
    assert re.findall(r"\d+", seed) == ["0", "9"]


def test_every_field_has_a_place_in_the_flat_view():
    assert set(fields()) == set(flatten_config(Config()))


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("loss", ["hinge", "hinge:margin=1.0", " hinge: margin = 1 ", "(hinge:margin=1e0)"]),
        ("loss", ["least-squares:real_target=.9", "least-squares:fake_target=0,real_target=0.90"]),
        ("task", ["generation", "generation:latent=64", "generation:distribution=normal"]),
        ("model", ["dcgan:spectral_norm=true", "dcgan:spectral_norm=True", "dcgan"]),
        ("train.dynamics", ["consensus", "consensus:weight=10"]),
        ("train.discriminator_steps", ["epoch", "1 epoch", " 1  epochs"]),
        ("penalties", [["r1", "r2:weight=1"], ["r1:every=1,weight=10", "r2:weight=1.0"]]),
        (
            "penalties",
            [["r1:weight=(linear:initial=2,steps=9)"], ["r1:weight=(linear:steps=9,initial=2.0)"]],
        ),
        ("inputs.augment", [["flip", "cutout"], ["flip", "cutout:ratio=0.50"]]),
        (
            "optimizer.generator.learning_rate",
            ["cosine:initial=2e-4,steps=5", "(cosine:final=0,initial=0.0002,steps=5)"],
        ),
    ],
)
def test_one_configuration_has_one_canonical_form_however_it_is_written(key, texts):
    configs = [canonical(resolved({key: text}).config) for text in texts]
    assert [differences(configs[0], other) for other in configs[1:]] == [[]] * (len(texts) - 1)
    assert canonical(configs[0]) == configs[0]


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("loss", ["hinge", "hinge:margin=1.5"]),
        ("penalties", [["r1", "r2"], ["r2", "r1"]]),
        ("penalties", [["r1:weight=(linear:initial=2)"], ["r1:weight=2"]]),
        ("train.discriminator_steps", ["1 epoch", 1]),
    ],
)
def test_what_means_something_else_stays_different(key, texts):
    first, second = (canonical(resolved({key: text}).config) for text in texts)
    (told,) = differences(first, second)
    assert told.startswith(key)


def test_a_key_of_both_players_and_a_spec_without_brackets():
    given = {
        "optimizer.generator.beta1": 0.25, "optimizer.beta1": 0.75, "penalties": "r1:weight=2"
    }  # fmt: skip
    assert known_values(Layer("--set", given)) == {
        "optimizer.generator.beta1": 0.25,
        "optimizer.discriminator.beta1": 0.75,
        "penalties": ["r1:weight=2"],
    }
