"""Charts as images of a page: the same bytes again, nothing of a stranger's as markup."""

import re
from pathlib import Path

import pytest
from tiny_results import BY, results

from gancli.comparison import Outcome
from gancli.report.charts import draw, key_of, line_of, profile_chart, ranking_chart


def answered(*runs):
    """The answer and the outcomes of runs: variant, seed, figure or None for one that diverged."""
    outcomes = [
        Outcome(
            variant, seed, Path("x"), {} if value is None else {BY: value}, "" if value else "d"
        )
        for variant, seed, value in runs
    ]
    return results(Path("x"))._replace(outcomes=outcomes).answer(), outcomes


def texts(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def test_a_chart_is_the_same_again_and_says_nothing_of_its_making():
    def paint(axes):
        axes.plot([0, 1], [0, 1], "o-", color=line_of(1).colour)

    svg = draw(1.0, paint)
    assert draw(1.0, paint) == svg
    assert 'viewBox="0 0 252 72"' in svg
    assert "<metadata" not in svg


def test_lines_differ_by_colour_and_then_by_dashes():
    lines = [line_of(place) for place in range(28)]
    assert [line.number for line in lines] == list(range(1, 29))
    assert len({(line.colour, line.dashes) for line in lines}) == 28
    assert f'stroke="{lines[0].colour}"' in key_of(0, "a").svg
    assert "dasharray" not in key_of(0, "a").svg
    assert f'stroke="{lines[0].colour}" ' in key_of(7, "b").svg
    assert 'stroke-dasharray="10 4"' in key_of(7, "b").svg


def test_a_ranking_names_its_variants_in_their_order():
    chart = ranking_chart(*answered(("b", 0, 4.0), ("b", 1, 5.0), ("a", 0, 2.0), ("a", 1, 3.0)))
    assert [text for text in texts(chart.svg) if text[0] in "12" and text[-1] in "ab"] == [
        "1 a",
        "2 b",
    ]
    assert "frechet/distance (lower is better)" in texts(chart.svg)
    assert "diverged" not in chart.note
    # Student's interval of two seeds is 12.7 deviations of their mean to each side.
    assert "an arrow: the interval continues" in chart.note


def test_a_ranking_marks_what_diverged_and_collapsed():
    answer, outcomes = answered(("a", 0, 2.0), ("a", 1, 2.5), ("b", 0, 3.0), ("b", 1, None))
    outcomes[0] = outcomes[0]._replace(collapse="shows 1 of 8 modes")
    chart = ranking_chart(answer, outcomes)
    assert "hollow where they collapsed" in chart.note
    assert "a cross at the worse side: diverged runs" in chart.note
    assert "fill: #ffffff" in chart.svg


@pytest.mark.parametrize(
    "name", ["$x$ & <b>\"'", "a\nb", "<script>alert(1)</script>", "日本語\x07"]
)
def test_a_name_is_shown_as_it_is(name):
    answer, outcomes = answered((name, 0, 2.0), ("b", 0, 4.0))
    svg = ranking_chart(answer, outcomes).svg
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "\x07" not in svg
    if name.startswith("$"):  # It is no mathematics.
        assert "1 $x$ &amp; &lt;b&gt;\"'" in texts(svg)


def test_a_long_name_is_cut():
    svg = ranking_chart(*answered(("n" * 100, 0, 2.0), ("b", 0, 4.0))).svg
    assert f"1 {'n' * 21}…" in texts(svg)


def test_a_profile_has_a_line_for_each_variant():
    chart = profile_chart(*answered(("a", 0, 2.0), ("a", 1, 3.0), ("b", 0, 4.0), ("b", 1, None)))
    assert f"stroke: {line_of(0).colour}" in chart.svg
    assert f"stroke: {line_of(1).colour}" in chart.svg
    assert "frechet/distance at most" in texts(chart.svg)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, -5.0])
def test_any_figures_can_be_drawn(value):
    answer, outcomes = answered(("a", 0, 1.0), ("b", 0, 2.0))
    outcomes = [outcomes[0], outcomes[1]._replace(metrics={BY: value})]
    answer = results(Path("x"))._replace(outcomes=outcomes).answer()
    for chart in (ranking_chart(answer, outcomes), profile_chart(answer, outcomes)):
        assert any(BY in text for text in texts(chart.svg))
        assert not re.search("nan|inf", chart.svg)
