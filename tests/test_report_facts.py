"""What pages tell of configurations, runs and data."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tiny_results import PRINT, config

from gancli.comparison.statistics import Spread
from gancli.config import Config, Layer, flatten
from gancli.data.dataset import DataSpec
from gancli.evaluation.intervals import Interval
from gancli.report.facts import (
    as_toml,
    behind_samples,
    devices_of,
    differing,
    figure_text,
    goodput_table,
    interval_text,
    place_of,
    spread_text,
)
from gancli.report.records import Record
from gancli.runs.directory import DataIdentity
from gancli.tasks.recipes import resolve


def record(**status):
    return Record(Path("x"), None, status, {}, (), {}, ())


def test_a_configuration_as_toml():
    text = as_toml(config(loss="hinge", penalties=("r1:weight=2", 'a"b\\c\x7f')))
    assert text.startswith(
        'task = "generation"\n'
        'model = "dcgan"\n'
        'loss = "hinge"\n'
        "penalties = [\n"
        '    "r1:weight=2",\n'
        '    "a\\"b\\\\c\\u007f",\n'
        "]\n"
        "\n"
        "[data]\n"
        'name = "nowhere"\n'
        'target = ""\n'
        'paired = ""\n'
        "size = 4\n"
        'fit = "crop"\n'
        'split = "train"\n'
        "holdout = 0.0\n"
        'keep = ""\n'
        "skip_damaged = false\n"
        "resident_mib = 1024\n"
        "\n"
        "[optimizer.generator]\n"
        'name = "adam"\n'
        "learning_rate = 0.0002\n"
    )
    assert "tensorboard = false" in text
    assert "clip_norm" not in text  # It is not set.


def test_such_toml_gives_the_configuration_again():
    layers = [Layer("test", {"loss": "wasserstein", "optimizer.generator.epsilon": 1e-12})]
    wanted = resolve(layers, "image").config
    again = Layer("toml", flatten(tomllib.loads(as_toml(wanted))))
    assert resolve([again], "image").config == wanted


def test_only_keys_that_differ_are_named():
    one = config(loss="hinge", penalties=("r1",), train={"batch": 20})
    other = config(loss="minimax", train={"batch": 20})
    assert differing({"a": one, "b": other}) == {
        "loss": ["hinge", "minimax"],
        "penalties": ["r1", "none"],
    }
    assert differing({"a": one, "b": one}) == {}


def test_where_the_time_of_a_run_went():
    """6 of 8 seconds in steps, a quarter of which were made again: 0.75 · 0.75 = 0.5625."""
    goodput = {"seconds": {"steps": 6.0, "compile": 2.0}, "steps": 20, "steps_repeated": 5}
    back = {
        "pathology": "mode-collapse", "evidence": "all alike", "step": 7, "back_to": 5,
        "changes": {"penalties": ["r1"]},
    }  # fmt: skip
    told = record(status="finished", step=20, restarts=1, rollbacks=[back], goodput=goodput)
    table = goodput_table([("a", told), ("b", record(step="many"))])
    assert table.rows == [
        ["a", "finished", "compile 2.0, steps 6.0", "20", "1", "1", "56%", "8.0"],
        ["b", "unknown", "", "", "", "0", "", ""],
    ]


def test_devices_are_named_once():
    held = [record(device="1 × H200"), record(device="1 × H200"), record(device=7), record()]
    assert devices_of(held) == ["1 × H200"]


@pytest.mark.parametrize(
    ("run", "place"),
    [("c/a/seed-0", "a/seed-0"), ("c/../d", "../d"), ("/runs/a\n", "/runs/a\\n")],
)
def test_a_run_is_named_from_its_comparison(run, place):
    assert place_of(Path(run), Path("c")) == place


def test_numbers_and_what_is_none():
    assert (figure_text(0.12345), figure_text(math.nan)) == ("0.1235", "")
    assert (interval_text(1.0, 2.5), interval_text(math.nan, 2.0)) == ("1 to 2.5", "")


def test_what_cannot_be_computed_is_left_out():
    beyond = Spread(2, Interval(1e308, math.nan, math.nan), 1e308, 1e308, math.inf)
    assert (spread_text(None), spread_text(beyond)) == ("", "")
    assert spread_text(beyond._replace(mean=Interval(2.5, 1, 4), deviation=0.25)) == "2.50 ± 0.25"


def test_points_have_the_true_modes_behind_them_only_where_the_data_are_those():
    ring = Config.model_validate({"data": {"name": "ring8:count=50"}})
    print_ = "0" * 64
    background, said = behind_samples(ring, "points", [print_], [])
    assert background.centres is None
    assert "differ from the training data" in said[0].text
    from gancli.data import load

    background, said = behind_samples(ring, "points", [load("ring8:count=50").fingerprint], [])
    assert said == []
    assert np.allclose(background.centres[2], [0, 1])
    assert background.real.shape == (50, 2)


def test_data_that_are_gone_are_said():
    background, said = behind_samples(config(), "points", [PRINT], [])
    assert background.real is None
    (note,) = said
    assert note.text.startswith("Real points are not shown: ")
    assert "'nowhere'" in note.text


def test_what_tokens_stand_for_is_told_by_a_run():
    spec = DataSpec("a", "tokens", (4,), vocabulary=2, characters="ab", height=2)
    held = [record(data="?"), record(data=DataIdentity(spec, PRINT).as_json())]
    assert behind_samples(None, "tokens", [], held)[0].tokens == spec
    assert behind_samples(None, "tokens", [], held[:1])[0].tokens is None
