"""What is read of runs that are whole, old, damaged, or not there."""

import json
import math
import os
import shutil

import numpy as np
import pytest
from tiny_results import config, write_run

from gancli.report.records import number_of, read_record


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", config())


def test_a_whole_run(run):
    record = read_record(run)
    assert record.missing == ()
    assert sorted(record.curves) == ["critic/accuracy", "critic/loss", "generator/loss"]
    assert record.curves["generator/loss"].steps.tolist() == [10, 20]
    assert record.curves["generator/loss"].values.tolist() == [1.0, 3.0]
    assert [(step, examples.shape) for step, examples in record.samples] == [
        (0, (4, 4, 4, 1)),
        (20, (4, 4, 4, 1)),
    ]
    assert record.rollbacks == [
        "step 7: loss of the critic was 1e9; went back to step 5 with "
        "--set optimizer.generator.learning_rate=0.0001"
    ]
    assert record.evaluations == []


def test_a_run_that_is_not_there(tmp_path):
    record = read_record(tmp_path / "moved")
    assert record.missing == ("its directory is missing",)
    assert (record.config, record.status, record.curves, record.samples) == (None, {}, {}, ())


def test_a_run_of_which_little_is_left(run):
    (run / "metrics.jsonl").unlink()
    (run / "run.json").unlink()
    shutil.rmtree(run / "samples")
    record = read_record(run)
    assert record.config == config(train={"steps": 20})
    assert record.missing == (
        "no status: cannot read 'run.json': No such file or directory",
        "no metrics",
        "no samples",
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"{}", "no configuration: config.json has no 'data'"),
        ("config.json", b"\xff", "no configuration: cannot read 'config.json': byte 0"),
        ("run.json", b"[]", "no status: 'run.json' is not the status of a run"),
        ("samples/00000020.npy", b"nonsense", "samples are cut off: 'samples/00000020.npy'"),
        ("evaluation.json", b"[1]", "no evaluation: 'evaluation.json' is not what gan wrote"),
        ("evaluation.json", b"{", "no evaluation: cannot read 'evaluation.json'"),
        ("metrics.jsonl", b'{"step": "x"}\n', "metrics are cut off: line 1 of 'metrics.jsonl'"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_read(run, name, content, said):
    (run / name).write_bytes(content)
    record = read_record(run)
    (missing,) = record.missing
    assert missing.startswith(said)
    assert str(run) not in missing
    assert bool(record.config) == (name != "config.json")
    assert bool(record.curves) == (name != "metrics.jsonl")


def test_metrics_are_read_up_to_the_line_that_is_none(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write("{broken\n")
    record = read_record(run)
    assert record.curves["critic/loss"].values.tolist() == [0.5, 0.25]
    assert len(record.missing) == 1


def test_values_that_are_no_numbers_leave_a_gap(run):
    values = [1.0, True, "2", None, math.nan, 10**400, -1e31, 4.0]
    lines = [json.dumps({"step": step, "a\n/loss": value}) for step, value in enumerate(values)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    curves = read_record(run).curves
    assert list(curves) == ["a\\n/loss"]
    assert curves["a\\n/loss"].steps.tolist() == [0, 7]


def test_a_pipe_is_not_waited_for(run):
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")
    assert read_record(run).missing == ("metrics are cut off: 'metrics.jsonl' is not a file",)


@pytest.mark.parametrize(
    "examples",
    [
        np.zeros((4, 4, 4, 17), np.uint8),
        np.zeros((4, 4, 4, 1), np.float32),
        np.zeros((4, 3), np.float32),
        np.zeros((0, 2), np.float32),
        np.zeros((1, 2000, 1, 1), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_samples_of_no_known_kind_are_said(run, examples):
    np.save(run / "samples" / "00000020.npy", examples)
    record = read_record(run)
    assert [step for step, _ in record.samples] == [0]
    assert record.missing == (f"samples of step 20 are {examples.dtype} {examples.shape}",)


def test_an_evaluation_holds_figures_and_intervals(run):
    held = {
        "metrics": {"modes/kl": 0.5, "modes/found": "many"},
        "intervals": {"modes/kl": [0.25, 1]},
        "samples": 500,
        "generator": {"step": 20},
    }
    (run / "evaluation.json").write_text(json.dumps(held))
    (evaluation,) = read_record(run).evaluations
    told = {"metrics": {"modes/kl": 0.5}, "intervals": {"modes/kl": (0.25, 1.0)}}
    assert evaluation.items() >= (told | {"samples": 500, "step": 20}).items()


@pytest.mark.parametrize("value", [True, "1", None, [], 2e30, -(10**40), math.inf])
def test_what_is_no_number(value):
    assert math.isnan(number_of(value))


def test_what_is_a_number():
    assert (number_of(3), number_of(-0.5)) == (3.0, -0.5)
