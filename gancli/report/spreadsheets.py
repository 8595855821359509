"""A comparison as tables for other programs: CSV of runs, variants and pairs."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from gancli.comparison import Answer, Outcome


def state_of(outcome: Outcome) -> tuple[str, str]:
    """How a run ended in one word, and the reason if it did not finish."""
    if outcome.failure:
        return "diverged", outcome.failure
    if outcome.left:
        return "unfinished", outcome.left
    return ("collapsed", outcome.collapse) if outcome.collapse else ("finished", "")


def runs_csv(outcomes: Sequence[Outcome]) -> str:
    """One row per run: variant, seed, how it ended and why, and every figure.

    Returns:
        The table; unknown values are empty.
    """
    figures = list(dict.fromkeys(name for one in outcomes for name in one.metrics))
    rows = [
        [one.variant, one.seed, *state_of(one), *(one.metrics.get(name) for name in figures)]
        for one in outcomes
    ]
    return _csv(["variant", "seed", "state", "reason", *figures], rows)


def variants_csv(answer: Answer) -> str:
    """One row per variant and figure: the number of runs, and the statistics."""
    head = ["variant", "figure", "count", "mean", "low", "high"]
    head += ["median", "interquartile_mean", "deviation"]
    rows = [
        [standing.variant, figure, spread.seeds, *spread.mean, *spread[2:]]
        for standing in answer.standings
        for figure, spread in standing.figures.items()
    ]
    return _csv(head, rows)


def pairs_csv(answer: Answer) -> str:
    """One row per pair: the difference by the figure for ranking, its significance, the verdict."""
    head = ["variant", "other", "figure", "pairs", "difference", "low", "high", "p"]
    head += ["improvement", "seeds_needed", "verdict", "sentence"]
    rows = []
    for pair in answer.pairs:
        found = pair.difference
        values = [found.pairs, *found.mean, pair.p] if found else [0, None, None, None, None]
        more = [found.improvement, found.seeds_needed] if found else [None, None]
        rows.append(
            [pair.variant, pair.other, answer.figure, *values, *more, pair.verdict, pair.sentence]
        )
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            "" if isinstance(value, float) and not math.isfinite(value) else value for value in row
        )
    return stream.getvalue()
