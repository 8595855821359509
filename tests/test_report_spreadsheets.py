"""Tables for other programs, byte by byte."""

import csv
import io
from pathlib import Path

import pytest
from tiny_results import BY, FAILURE, results

from gancli.comparison import Outcome
from gancli.report.spreadsheets import pairs_csv, runs_csv, state_of, variants_csv


def test_a_row_a_run(tmp_path):
    assert runs_csv(results(tmp_path).outcomes) == (
        "variant,seed,state,reason,frechet/distance\n"
        "a,0,finished,,2.0\n"
        "a,1,finished,,2.0\n"
        "b,0,finished,,4.0\n"
        "b,1,finished,,4.0\n"
        "c,0,finished,,6.0\n"
        f"c,1,diverged,{FAILURE},\n"
    )


def test_a_row_a_variant_and_figure_in_the_order_of_their_ranks(tmp_path):
    """Values that are alike have no deviation, one value has neither it nor an interval."""
    assert variants_csv(results(tmp_path).answer()) == (
        "variant,figure,count,mean,low,high,median,interquartile_mean,deviation\n"
        "a,frechet/distance,2,2.0,2.0,2.0,2.0,2.0,0.0\n"
        "b,frechet/distance,2,4.0,4.0,4.0,4.0,4.0,0.0\n"
        "c,frechet/distance,1,6.0,,,6.0,6.0,\n"
    )


def test_a_row_a_pair(tmp_path):
    """2 - 4 twice has p 0; of 2 and 4 against 6 and a failure every one is better."""
    assert pairs_csv(results(tmp_path).answer()) == (
        "variant,other,figure,pairs,difference,low,high,p,improvement,seeds_needed,verdict,"
        "sentence\n"
        "a,b,frechet/distance,2,-2.0,-2.0,-2.0,0.0,1.0,2,better,"
        '"a beats b by frechet/distance: a - b is -2 (95 %: -2 to -2) over 2 paired seeds, '
        'p below 0.001, corrected for 3 pairs."\n'
        "a,c,frechet/distance,1,-4.0,,,1.0,1.0,,too few seeds,a and c are not compared by "
        "frechet/distance: there is only one seed. c diverged in 1 of 2 runs.\n"
        "b,c,frechet/distance,1,-2.0,,,1.0,1.0,,too few seeds,b and c are not compared by "
        "frechet/distance: there is only one seed. c diverged in 1 of 2 runs.\n"
    )


def test_a_pair_without_a_common_seed_has_no_difference():
    outcomes = [
        Outcome("a", 0, Path("a"), {BY: 1.0}, ""),
        Outcome("b", 1, Path("b"), {BY: 2.0}, ""),
    ]
    answer = results(Path("x"))._replace(outcomes=outcomes).answer()
    (row,) = csv.DictReader(io.StringIO(pairs_csv(answer)))
    assert (row["pairs"], row["difference"], row["p"]) == ("0", "", "")
    assert row["verdict"] == "too few seeds"


def test_names_with_commas_quotes_and_lines_are_read_back():
    name = 'a,"b"\nc'
    text = runs_csv([Outcome(name, 0, Path("x"), {BY: 1.0}, "")])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["variant"] == name


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (("NaN", "", ""), ("diverged", "NaN")),
        (("", "at step 3", "shows 1 of 8 modes"), ("unfinished", "at step 3")),
        (("", "", "shows 1 of 8 modes"), ("collapsed", "shows 1 of 8 modes")),
        (("", "", ""), ("finished", "")),
    ],
)
def test_how_a_run_ended_in_a_word(ending, state):
    assert state_of(Outcome("a", 0, Path("x"), {}, *ending)) == state
