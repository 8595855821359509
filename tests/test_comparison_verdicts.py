"""What a comparison says of its outcomes: figures and sentences worked out by hand."""

import json
import math
from pathlib import Path

import pytest
from refusals import refused

from gancli.comparison import Outcome
from gancli.comparison.verdicts import answer, listed, require_figure, standings_of


def outcome(name, seed, failure="", left="", collapse="", **figures):
    metrics = {key.replace("__", "/"): value for key, value in figures.items()}
    return Outcome(name, seed, Path(name, f"seed-{seed}"), metrics, failure, left, collapse)


def of(name, *values, figure="frechet__distance"):
    """A variant whose seeds 0, 1, … have these values; None for one that diverged."""
    return [
        outcome(name, seed, failure="Training diverged: nan.")
        if value is None
        else outcome(name, seed, **{figure: value})
        for seed, value in enumerate(values)
    ]


# How variants stand


def test_mean_and_deviation_over_seeds():
    """1, 2 and 4: mean 7/3, deviation sqrt((16 + 1 + 25) / 9 / 2) = 1.527525."""
    outcomes = [
        outcome("a", 0, modes__found=1, modes__kl=0.5),
        outcome("b", 0, modes__found=8, modes__kl=0.0),
        outcome("a", 1, modes__found=2, modes__kl=0.5),
        outcome("b", 1, modes__found=6, modes__kl=1.0),
        outcome("a", 2, modes__found=4, modes__kl=0.5),
    ]
    one, other = standings_of(outcomes)
    assert (one.variant, one.runs, one.finished, one.diverged) == ("a", 3, 3, 0)
    found = one.figures["modes/found"]
    assert (found.mean.estimate, found.deviation) == pytest.approx((7 / 3, 1.527525))
    assert one.figures["modes/kl"].deviation == 0
    assert (other.variant, other.runs) == ("b", 2)
    # 8 and 6: 7 and sqrt(1 + 1); 0 and 1: 1/2 and sqrt(1/4 + 1/4).
    assert other.figures["modes/found"].deviation == pytest.approx(math.sqrt(2))
    assert other.figures["modes/kl"].deviation == pytest.approx(math.sqrt(0.5))


def test_runs_are_counted_by_how_they_ended():
    outcomes = [
        outcome("a", 0, modes__found=3),
        outcome("a", 1, failure="diverged"),
        outcome("a", 2, modes__found=1, collapse="shows 1 of 8 modes"),
        outcome("a", 3, modes__found=5, left="measured at step 3 of 6"),
        outcome("b", 0, failure="diverged"),
    ]
    one, other = standings_of(outcomes)
    assert (one.runs, one.finished, one.diverged, one.collapsed, one.unfinished) == (4, 2, 1, 1, 1)
    assert one.figures["modes/found"].seeds == 3
    assert (other.finished, other.diverged, other.figures) == (0, 1, {})


# What decides


@pytest.mark.parametrize(
    ("kind", "figures", "chosen", "lower"),
    [
        ("image", ("classes__score", "frechet__distance"), "frechet/distance", True),
        ("image", ("classes__smallest_share", "classes__kl"), "classes/kl", True),
        ("points", ("frechet__distance", "wasserstein__distance"), "wasserstein/distance", True),
        ("tokens", ("ngrams__real", "likelihood__nll", "oracle__nll"), "oracle/nll", True),
        ("image", ("neighbours:k=3__recall",), "neighbours:k=3/recall", False),
        ("image", ("classes__share/0",), "", True),
    ],
)
def test_the_figure_that_decides_where_nobody_said(kind, figures, chosen, lower):
    found = answer([outcome("a", 0, **dict.fromkeys(figures, 1.0))], kind)
    assert (found.figure, found.lower_is_better) == (chosen, lower)


def test_a_figure_that_was_asked_for_decides():
    outcomes = [
        outcome("a", 0, frechet__distance=1.0, classes__score=2.0),
        outcome("b", 0, frechet__distance=2.0, classes__score=9.0),
    ]
    assert [s.variant for s in answer(outcomes, "image").standings] == ["a", "b"]
    found = answer(outcomes, "image", "classes/score")
    assert [standing.variant for standing in found.standings] == ["b", "a"]
    for figure in ("classes/shares", "classes/share/0"):
        with refused("figure", f"'{figure}'", allowed=("classes/score", "frechet/distance")):
            answer(outcomes, "image", figure)
    with refused("baseline", "'c'", allowed=("a", "b")):
        answer(outcomes, "image", baseline="c")


@pytest.mark.parametrize(
    ("figure", "given", "allowed", "remedy"),
    [
        ("frechet", ("--by", "'frechet'"), "METRIC/FIGURE", ()),
        ("frechet/distanc", ("frechet", "'distanc'"), "distance", "'distance'"),
        ("frichet/distance", ("'frichet'",), "frechet", "'frechet'"),
        ("classes/share/3", ("classes", "'share/3'"), "smallest_share", ()),
    ],
)
def test_a_figure_is_refused_before_anything_is_trained(figure, given, allowed, remedy):
    with refused(*given, allowed=allowed, remedy=remedy):
        require_figure(figure)


# Pairs


def test_a_difference_that_seeds_agree_on_is_a_win():
    """Differences -2.0, -2.1, -1.9: mean -2, deviation 0.1, t = -34.6, p 0.00083."""
    (pair,) = answer([*of("a", 1.0, 2.0, 3.0), *of("b", 3.0, 4.1, 4.9)], "image").pairs
    assert (pair.variant, pair.other, pair.verdict) == ("a", "b", "better")
    assert pair.p == pytest.approx(0.00083, abs=1e-5)
    assert pair.sentence == (
        "a beats b by frechet/distance: a - b is -2 (95 %: -2.25 to -1.75) over 3 paired seeds, "
        "p below 0.001."
    )


def test_a_baseline_is_compared_with_each_and_nothing_else():
    outcomes = [*of("a", 1.0, 2.0, 3.0), *of("b", 3.0, 4.1, 4.9), *of("c", 0.0, 1.1, 1.9)]
    found = answer(outcomes, "image", baseline="a")
    assert [(pair.variant, pair.other, pair.verdict) for pair in found.pairs] == [
        ("c", "a", "better"), ("b", "a", "worse"),
    ]  # fmt: skip
    assert found.pairs[1].sentence.startswith("a beats b by frechet/distance: b - a is +2 (95 %")
    assert found.sentence == (
        "c is first by frechet/distance: 1 (95 %: -1.37 to 3.37, 3 seeds). It beats a."
    )


def test_many_pairs_take_more():
    """The pair of the first test, p 0.00083, is one of three: 0.0025 after correction."""
    outcomes = [*of("a", 1.0, 2.0, 3.0), *of("b", 3.0, 4.1, 4.9), *of("c", 2.0, 0.5, 6.0)]
    pair = next(p for p in answer(outcomes, "image").pairs if {p.variant, p.other} == {"a", "b"})
    assert pair.p == pytest.approx(3 * 0.00083, abs=1e-4)
    assert pair.sentence.endswith("p 0.0025, corrected for 3 pairs.")


def test_the_same_twice_shows_no_significant_difference():
    """Differences 1, -1, 0.5: mean 1/6, deviation 1.0408, so that 309 seeds would tell it."""
    (pair,) = answer([*of("a", 2.0, 1.0, 1.5), *of("b", 1.0, 2.0, 1.0)], "image").pairs
    assert pair.verdict == "no significant difference"
    assert pair.sentence == (
        "b and a show no significant difference by frechet/distance: b - a is -0.167 (95 %: -2.75 "
        "to +2.42) over 3 paired seeds; about 309 seeds would be needed for a difference like this."
    )


def test_equal_figures_are_said_to_be_the_same():
    (pair,) = answer([*of("a", 8.0, 8.0), *of("b", 8.0, 8.0)], "image").pairs
    assert pair.verdict == "no significant difference"
    assert pair.sentence == "a and b are the same by frechet/distance over 2 paired seeds."
    (pair,) = answer([*of("a", 1.0, 2.0, None), *of("b", 1.0, 2.0, 3.0)], "image").pairs
    assert pair.sentence == (
        "a and b are the same by frechet/distance over 2 paired seeds. a diverged in 1 of 3 runs."
    )


def test_variants_of_other_seeds_are_compared_unpaired():
    """1, 2, 3 against 4, 6, 8: -4 ± 4.16, and pooled deviation sqrt(5/2) an effect of 2.53."""
    others = [one._replace(seed=one.seed + 100) for one in of("b", 4.0, 6.0, 8.0)]
    (pair,) = answer([*of("a", 1.0, 2.0, 3.0), *others], "image").pairs
    assert pair.verdict == "no significant difference"
    assert pair.sentence == (
        "a and b show no significant difference by frechet/distance: a - b is -4 (95 %: -8.16 to "
        "+0.155) over 3 and 3 seeds; about 4 seeds would be needed for a difference like this."
    )


def test_one_seed_tells_nothing():
    (pair,) = answer([*of("a", 1.0), *of("b", 2.0)], "image").pairs
    assert pair.verdict == "too few seeds"
    assert pair.sentence == "a and b are not compared by frechet/distance: there is only one seed."


def test_a_variant_that_diverges_more_often_beats_none():
    outcomes = [*of("a", 1.0, 2.0, 3.0, None), *of("b", 3.0, 4.1, 4.9, 4.0)]
    found = answer(outcomes, "image")
    (pair,) = found.pairs
    assert [standing.variant for standing in found.standings] == ["a", "b"]
    assert pair.verdict == "no significant difference"
    assert pair.sentence.endswith(
        "but a, the better of those that ended, diverges more often. a diverged in 1 of 4 runs."
    )
    # 11 of the 12 pairs of runs that ended, one even, and none of the 4 with the one that diverged.
    assert pair.difference.improvement == 11.5 / 16


def test_one_that_mostly_diverges_is_last_and_counted():
    outcomes = [*of("a", 0.1, None, None), *of("b", 3.0, 4.0, 5.0)]
    found = answer(outcomes, "image")
    assert [standing.variant for standing in found.standings] == ["b", "a"]
    assert "b and a are not compared" in found.pairs[0].sentence
    assert found.sentence.endswith(" Diverged: a in 2 of 3 runs.")


def test_many_names_become_a_number():
    names = list("abcdefgh")
    assert listed(names[:1]) == "a"
    assert listed(names[:6]) == "a, b, c, d, e and f"
    assert listed(names) == "a, b, c, d, e and 3 more"


def test_where_nothing_ended_nothing_is_said():
    found = answer([*of("a", None), *of("b", None)], "image")
    assert (found.figure, found.pairs) == ("", ())
    assert found.sentence == "Every run diverged, so there is nothing to compare."


def test_the_answer_as_json_is_json():
    """NaN is not: most readers refuse it."""
    found = answer([*of("a", 1.0), *of("b", None)], "image").as_json()
    read = json.loads(json.dumps(found), parse_constant=pytest.fail)
    assert read["standings"][0]["figures"]["frechet/distance"]["mean"]["low"] is None
    assert read["pairs"][0]["verdict"] == "too few seeds"
