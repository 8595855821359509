"""The metrics file."""

from gancli.runs.metrics import MetricsFile


def test_lines_are_appended_and_read_back(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    assert list(metrics.lines()) == []
    metrics.append(50, {"generator/loss": 0.5})
    metrics.append(100, {"generator/loss": 0.25})
    assert metrics.path.read_text() == (
        '{"step": 50, "generator/loss": 0.5}\n{"step": 100, "generator/loss": 0.25}\n'
    )
    assert [line["step"] for line in metrics.lines()] == [50, 100]


def test_what_follows_a_step_is_dropped_with_a_torn_line(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (50, 100, 150):
        metrics.append(step, {})
    with metrics.path.open("a") as file:
        file.write('{"step": 200, "gen')
    assert [line["step"] for line in metrics.lines()] == [50, 100, 150]
    metrics.truncate_after(100)
    assert metrics.path.read_text() == '{"step": 50}\n{"step": 100}\n'
    metrics.truncate_after(0)
    assert metrics.path.read_text() == ""
