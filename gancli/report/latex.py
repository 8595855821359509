"""The table of a comparison in LaTeX."""

import re
from collections.abc import Sequence

from gancli.comparison import Answer, Results
from gancli.comparison.statistics import Spread
from gancli.comparison.verdicts import answer as answer_by
from gancli.comparison.verdicts import sides_of
from gancli.errors import printable
from gancli.report.facts import spread_text

_MEANING = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "[": "{[}",  # After the end of a row it would start an optional argument.
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # Works in every font encoding, unlike \textquotedbl.
} | {mark: f"\\{mark}" for mark in "&%$#_"}
_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}


def latex_table(results: Results, answer: Answer) -> str:
    r"""The figures for ranking, mean ± standard deviation, as a table for the package booktabs.

    Bold marks the best of each column, and those without a significant difference from it (over all
    pairs of variants, corrected); see `best_by`.

    Args:
        results: the results.
        answer: the answer, which gives the order of the variants.

    Returns:
        A `tabular` with one row per variant; without columns if no figure ranks.
    """
    sides = sides_of(results.outcomes)
    figures = list(dict.fromkeys([answer.figure, *sides])) if answer.figure else []
    best = {figure: best_by(results, figure) for figure in figures}
    heads = [f"{escaped(figure)} {_ARROWS[sides[figure]]}" for figure in figures]
    lines = [
        "% Needs \\usepackage{booktabs}. Mean and standard deviation over seeds; in bold the best",
        "% of each column and those without a significant difference from it.",
        f"\\begin{{tabular}}{{l{'r' * len(figures)}}}",
        "\\toprule",
        _row(["variant", *heads]),
        "\\midrule",
    ]
    for standing in answer.standings:
        cells = [
            _cell(standing.figures.get(figure), standing.variant in best[figure])
            for figure in figures
        ]
        lines.append(_row([escaped(standing.variant), *cells]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def best_by(results: Results, figure: str) -> list[str]:
    """The best variant by a figure, and those without a significant difference from it.

    Empty if there are too few seeds to compare it with any other.
    """
    found = answer_by(results.outcomes, results.data[0]["kind"], figure)
    first = found.standings[0].variant
    verdicts = {
        pair.other if pair.variant == first else pair.variant: pair.verdict
        for pair in found.pairs
        if first in (pair.variant, pair.other)
    }
    if set(verdicts.values()) <= {"too few seeds"}:
        return []
    alike = [name for name, verdict in verdicts.items() if verdict == "no significant difference"]
    return [first, *alike]


def escaped(text: str) -> str:
    """Escapes the special characters of LaTeX."""
    return "".join(_MEANING.get(mark, mark) for mark in printable(text))


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(spread: Spread | None, bold: bool) -> str:
    """A mean and its deviation in math mode."""
    text = spread_text(spread).replace("±", r"\pm")
    if not text:
        return "--"
    text = re.sub(r"e([+-])0*(\d+)", lambda m: rf" \cdot 10^{{{m[1].strip('+')}{m[2]}}}", text)
    return f"$\\mathbf{{{text}}}$" if bold else f"${text}$"
