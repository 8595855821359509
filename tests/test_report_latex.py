"""The table in LaTeX, byte by byte."""

from pathlib import Path

import pytest
from tiny_results import BY, results

from gancli.comparison import Outcome
from gancli.report.latex import best_by, escaped, latex_table

HEAD = r"""% Needs \usepackage{booktabs}. Mean and standard deviation over seeds; in bold the best
% of each column and those without a significant difference from it.
"""


def by_hand(*values):
    """Results of variants with the values of their seeds."""
    outcomes = [
        Outcome(variant, seed, Path("x"), {BY: value, "classes/found": 1e-5}, "")
        for variant, own in values
        for seed, value in enumerate(own)
    ]
    return results(Path("x"))._replace(outcomes=outcomes)


def test_a_row_a_variant_and_the_best_in_bold(tmp_path):
    found = results(tmp_path)
    assert latex_table(found, found.answer()) == (
        HEAD
        + r"""\begin{tabular}{lr}
\toprule
variant & frechet/distance $\downarrow$ \\
\midrule
a & $\mathbf{2 \pm 0}$ \\
b & $4 \pm 0$ \\
c & $6$ \\
\bottomrule
\end{tabular}
"""
    )


def test_variants_that_are_not_told_apart_are_bold_together():
    """1, 3 and 2, 4 are a unit apart twice; 1, 3 and 2, 8 by 1 and 5: t = 1.5 of 1 degree."""
    assert best_by(by_hand(("a", (1.0, 3.0)), ("b", (2.0, 4.0))), BY) == ["a"]
    assert best_by(by_hand(("a", (1.0, 3.0)), ("b", (2.0, 8.0))), BY) == ["a", "b"]


def test_a_column_that_compares_nothing_has_nothing_in_bold():
    found = by_hand(("a", (1.0,)), ("b", (2.0,)))
    assert best_by(found, BY) == []
    assert "mathbf" not in latex_table(found, found.answer())
    assert r"a & $1$ & $1 \cdot 10^{-5}$ \\" in latex_table(found, found.answer())


def test_arrows_tell_which_side_is_better():
    found = by_hand(("a", (1.0,)), ("b", (2.0,)))
    head = r"variant & frechet/distance $\downarrow$ & classes/found $\uparrow$ \\"
    assert head in latex_table(found, found.answer())


def test_a_comparison_without_figures_is_a_table_of_names():
    outcomes = [Outcome("a", 0, Path("x"), {}, "diverged")]
    found = results(Path("x"))._replace(outcomes=outcomes)
    lines = latex_table(found, found.answer()).splitlines()
    assert lines[2:] == [
        r"\begin{tabular}{l}",
        r"\toprule",
        r"variant \\",
        r"\midrule",
        r"a \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1:weight=1,x_y", r"r1:weight=1,x\_y"),
        ("50% & $2 #1", r"50\% \& \$2 \#1"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
        ("a<b>|c", r"a\textless{}b\textgreater{}\textbar{}c"),
        ('["r1"]', r"{[}\char34{}r1\char34{}]"),
        ("two\nlines", r"two\textbackslash{}nlines"),
    ],
)
def test_nothing_of_a_name_is_a_command(text, expected):
    assert escaped(text) == expected
