"""The metrics file."""

import pytest
from refusals import refused

from gancli.runs.metrics import BEGINNING, MetricsFile


def test_lines_are_appended_and_read_back(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    assert list(metrics.lines()) == []
    metrics.append(50, {"generator/loss": 0.5})
    metrics.append(100, {"generator/loss": 0.25})
    assert metrics.path.read_text() == (
        '{"step": 50, "generator/loss": 0.5}\n{"step": 100, "generator/loss": 0.25}\n'
    )
    assert [line["step"] for line in metrics.lines()] == [50, 100]


def test_what_follows_a_mark_is_dropped_with_a_torn_line(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    beginning = metrics.mark()
    metrics.append(50, {})
    metrics.append(100, {})
    mark = metrics.mark()
    metrics.append(150, {})
    with metrics.path.open("a") as file:
        file.write('{"step": 200, "gen')
    assert [line["step"] for line in metrics.lines()] == [50, 100, 150]
    again = MetricsFile(metrics.path)
    assert again.last_step() == 150
    assert again.rewind(mark)
    assert again.path.read_text() == '{"step": 50}\n{"step": 100}\n'
    assert again.mark() == mark
    assert again.rewind(beginning)
    assert again.path.read_text() == ""
    assert beginning == BEGINNING


def test_a_line_that_only_the_end_made_is_behind_the_mark(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append(50, {})
    before = metrics.mark()
    metrics.append(60, {}, last=True)
    assert metrics.mark() == before
    metrics.rewind(before)
    assert metrics.path.read_text() == '{"step": 50}\n'


@pytest.mark.parametrize("content", ['{"step": 51}\n', '{"step": 50}', "", "x" * 100])
def test_a_file_that_was_changed_is_refused_and_left(tmp_path, content):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append(50, {})
    mark = metrics.mark()
    metrics.path.write_text(content)
    with refused("13 bytes", f"'{metrics.path}'"):
        metrics.rewind(mark)
    assert metrics.path.read_text() == content


def test_a_file_that_was_removed_begins_again(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append(50, {})
    mark = metrics.mark()
    metrics.path.unlink()
    assert not metrics.rewind(mark)
    assert metrics.mark() == BEGINNING
