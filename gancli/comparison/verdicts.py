"""The answer of a comparison: the standing of each variant, and the verdict on each pair.

A diverged run has no figure, but is never left out: it is counted, ranks its variant lower, and
keeps it from beating a variant that fails less often. A collapsed run keeps its figures.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

from gancli.comparison.measurements import Outcome
from gancli.comparison.runs import require_baseline
from gancli.comparison.statistics import (
    LEVEL,
    Difference,
    Spread,
    corrected,
    difference,
    improvement,
    spread,
    unpaired_difference,
)
from gancli.errors import UserError, shown, unknown_name
from gancli.evaluation import METRICS, side_of
from gancli.registry import parse_spec

Verdict = Literal["better", "worse", "no significant difference", "too few seeds"]

# Longest list of names in a sentence, including the count of the rest.
_MOST_LISTED = 6

# Default figures for ranking: the most telling ones for each kind of data.
_DECIDING = {
    "image": ("frechet/distance", "classes/kl"),
    "points": ("wasserstein/distance",),
    "tokens": ("oracle/nll", "likelihood/nll"),
}


class Standing(NamedTuple):
    """The standing of a variant: how its runs ended, and each figure over the runs that have it.

    `finished` counts the runs that finished, and `collapsed` those of them that show less than
    half of the data's classes or modes. Figures include `unfinished` runs.
    """

    variant: str
    runs: int
    finished: int
    diverged: int
    collapsed: int
    unfinished: int
    figures: Mapping[str, Spread]

    @property
    def endings(self) -> list[str]:
        """How its runs ended: how many finished of all, and what else happened to how many."""
        parts = [f"{self.finished} of {self.runs}"]
        for name in ("diverged", "collapsed", "unfinished"):
            if count := getattr(self, name):
                parts.append(f"{count} {name}")
        return parts


class Versus(NamedTuple):
    """One variant against another by the figure for ranking; see `Difference`.

    `p` is corrected for the number of pairs; `difference` is None if no seed has both figures.
    """

    variant: str
    other: str
    difference: Difference | None
    p: float
    verdict: Verdict
    sentence: str


class Answer(NamedTuple):
    """The answer of a comparison by one figure: the ranked variants, and each pair.

    `figure` is empty if no variant has a figure for ranking; then there are no pairs.
    """

    figure: str
    lower_is_better: bool
    baseline: str
    standings: tuple[Standing, ...]
    pairs: tuple[Versus, ...]
    sentence: str

    @property
    def first_pairs(self) -> list[Versus]:
        """The pairs to report first: those of the best variant, or all if there is a baseline."""
        best = self.standings[0].variant
        return [p for p in self.pairs if self.baseline or best in (p.variant, p.other)]

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON object, nan and infinity as null."""
        return _plain(self)


def answer(outcomes: Sequence[Outcome], kind: str, figure: str = "", baseline: str = "") -> Answer:
    """Answers a comparison from the outcomes of its runs.

    Args:
        outcomes: outcomes of all runs.
        kind: kind of the data, which decides the default figure.
        figure: `metric/figure` for ranking; empty for the default.
        baseline: the variant to compare the others with; empty to compare all pairs.

    Returns:
        The answer; its p-values are corrected for the number of pairs.

    Raises:
        UserError: if there is no such figure or variant, or the figure does not rank.
    """
    standings = standings_of(outcomes)
    require_baseline(baseline, [standing.variant for standing in standings])
    sides = sides_of(outcomes)
    if figure and figure not in sides:
        raise unknown_name("figure to compare by:", figure, sides)
    figure = figure or _deciding(sides, kind)
    if not figure:
        return Answer("", True, baseline, tuple(standings), (), _without_figures(standings))
    lower = sides[figure] == "lower"
    ranked = sorted(standings, key=lambda standing: _rank(standing, figure, lower))
    pairs = _pairs(ranked, outcomes, figure, lower, baseline)
    return Answer(figure, lower, baseline, tuple(ranked), pairs, _conclusion(ranked, pairs, figure))


def sides_of(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """The figures for ranking, and the better side of each."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.metrics)
    return {name: side for name in names if (side := side_of(name))}


def standings_of(outcomes: Sequence[Outcome]) -> list[Standing]:
    """The standing of each variant, in the order of their first outcomes."""
    standings = []
    for variant in dict.fromkeys(outcome.variant for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.variant == variant]
        ended = [outcome for outcome in own if not outcome.failure]
        names = dict.fromkeys(name for outcome in ended for name in outcome.metrics)
        figures = {
            name: spread([o.metrics[name] for o in ended if name in o.metrics]) for name in names
        }
        finished = [outcome for outcome in ended if not outcome.left]
        collapsed = sum(bool(outcome.collapse) for outcome in finished)
        standings.append(
            Standing(
                variant,
                len(own),
                len(finished),
                len(own) - len(ended),
                collapsed,
                len(ended) - len(finished),
                figures,
            )
        )
    return standings


def values_of(outcomes: Sequence[Outcome], variant: str, figure: str) -> dict[int, float]:
    """A figure of a variant's runs by seed, for the runs that have it."""
    return {
        outcome.seed: outcome.metrics[figure]
        for outcome in outcomes
        if outcome.variant == variant and not outcome.failure and figure in outcome.metrics
    }


def _deciding(sides: Mapping[str, str], kind: str) -> str:
    """The default figure for ranking, or else the first one that ranks."""
    for wanted in _DECIDING.get(kind, ()):
        for name in sides:
            metric, _, figure = name.partition("/")
            if f"{parse_spec(metric).name}/{figure}" == wanted:
                return name
    return next(iter(sides), "")


def _rank(standing: Standing, figure: str, lower: bool) -> tuple[bool, float]:
    """Sort key of a variant: variants that mostly diverge or have no figure come last."""
    if figure not in standing.figures:
        return True, math.inf
    mean = standing.figures[figure].mean.estimate
    return 2 * standing.diverged >= standing.runs, mean if lower else -mean


def _pairs(
    ranked: Sequence[Standing],
    outcomes: Sequence[Outcome],
    figure: str,
    lower: bool,
    baseline: str,
) -> tuple[Versus, ...]:
    """Every pair, with the higher-ranked variant first; or each variant against the baseline."""
    chosen = [
        (first, second)
        for first, second in combinations(ranked, 2)
        if not baseline or baseline in (first.variant, second.variant)
    ]
    if baseline:
        chosen = [
            (second, first) if first.variant == baseline else (first, second)
            for first, second in chosen
        ]
    found = [_difference(outcomes, *pair, figure, lower) for pair in chosen]
    chances = corrected([one.p if one else 1.0 for one in found])
    return tuple(
        _versus(*pair, one, p, figure, lower, len(chosen))
        for pair, one, p in zip(chosen, found, chances, strict=True)
    )


def _difference(
    outcomes: Sequence[Outcome], own: Standing, other: Standing, figure: str, lower: bool
) -> Difference | None:
    ours = values_of(outcomes, own.variant, figure)
    theirs = values_of(outcomes, other.variant, figure)
    both = sorted(ours.keys() & theirs.keys())
    if len(both) < 2 <= min(len(ours), len(theirs)):
        found = unpaired_difference(list(ours.values()), list(theirs.values()), lower)
    elif both:
        found = difference([ours[seed] for seed in both], [theirs[seed] for seed in both], lower)
    else:
        return None
    worst = math.inf if lower else -math.inf
    every = [*ours.values(), *[worst] * own.diverged], [*theirs.values(), *[worst] * other.diverged]
    return found._replace(improvement=improvement(*every, lower))


def _versus(
    own: Standing,
    other: Standing,
    found: Difference | None,
    p: float,
    figure: str,
    lower: bool,
    family: int,
) -> Versus:
    """The verdict on a pair, with its sentence."""
    left, right = own.variant, other.variant
    failures = " ".join(
        f"{one.variant} diverged in {one.diverged} of {one.runs} runs."
        for one in (own, other)
        if one.diverged
    )

    def versus(verdict: Verdict, said: str) -> Versus:
        return Versus(left, right, found, p, verdict, f"{said} {failures}".strip())

    if found is None or found.pairs == 1:
        seeds = "too few seeds have ended" if found is None else "there is only one seed"
        said = f"{left} and {right} are not compared by {figure}: {seeds}."
        return versus("too few seeds", said)
    mean = found.mean
    counts = [one.figures[figure].seeds for one in (own, other)]
    seeds = f"{found.pairs} paired seeds" if found.pairs else f"{counts[0]} and {counts[1]} seeds"
    if mean.low == mean.estimate == mean.high == 0:
        said = f"{left} and {right} are the same by {figure} over {seeds}."
        return versus("no significant difference", said)
    by = f"{mean.estimate:+.3g} (95 %: {mean.low:+.3g} to {mean.high:+.3g}) over {seeds}"
    is_better = (mean.estimate < 0) == lower
    winner, loser = (own, other) if is_better else (other, own)
    if p < 1 - LEVEL and winner.diverged <= loser.diverged:
        several = f", corrected for {family} pairs" if family > 1 else ""
        said = (
            f"{winner.variant} beats {loser.variant} by {figure}: {left} - {right} is {by}, "
            f"p {chance(p)}{several}."
        )
        return versus("better" if is_better else "worse", said)
    said = (
        f"{left} and {right} show no significant difference by {figure}: {left} - {right} is {by}"
    )
    if p < 1 - LEVEL:
        said += f", but {winner.variant}, the better of those that ended, diverges more often."
    elif found.seeds_needed is None:
        said += "; for a difference like this more than 10,000 seeds would be needed."
    elif found.seeds_needed <= (found.pairs or min(counts)):
        said += f"; p is {chance(p)} after correction for {family} pairs."
    else:
        said += f"; about {found.seeds_needed} seeds would be needed for a difference like this."
    return versus("no significant difference", said)


def _conclusion(ranked: Sequence[Standing], pairs: Sequence[Versus], figure: str) -> str:
    """The answer in one or two sentences."""
    best = ranked[0]
    if figure not in best.figures:
        return _without_figures(ranked)
    own = best.figures[figure]
    said = f"{best.variant} is first by {figure}: {own.mean.estimate:.4g}"
    if own.seeds > 1:
        said += f" (95 %: {own.mean.low:.4g} to {own.mean.high:.4g}, {own.seeds} seeds)"
    told: dict[str, list[str]] = defaultdict(list)
    ended = {one.variant for one in ranked if one.diverged < one.runs}
    for pair in pairs:
        if best.variant in (pair.variant, pair.other):
            is_first = pair.variant == best.variant
            won = pair.verdict == ("better" if is_first else "worse")
            rest = pair.other if is_first else pair.variant
            if rest in ended:
                told["beats" if won else pair.verdict].append(rest)
    for verdict, words in (
        ("beats", "It beats"),
        ("no significant difference", "It shows no significant difference from"),
        ("too few seeds", "Seeds are too few to compare it with"),
    ):
        if told[verdict]:
            said += f". {words} {listed(told[verdict])}"
    said += "."
    for count, what in (("diverged", "Diverged"), ("collapsed", "Collapsed")):
        failing = [
            f"{one.variant} in {getattr(one, count)} of {one.runs} runs"
            for one in ranked
            if getattr(one, count)
        ]
        said += f" {what}: {listed(failing)}." if failing else ""
    return said


def _without_figures(standings: Sequence[Standing]) -> str:
    if all(one.diverged == one.runs for one in standings):
        return "Every run diverged, so there is nothing to compare."
    return "No figure that ranks generators was measured, so there is nothing to compare."


def chance(p: float) -> str:
    """Formats a p-value for a sentence."""
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def listed(names: Sequence[str]) -> str:
    """Lists names in a sentence; beyond six, a count replaces the rest."""
    if len(names) > _MOST_LISTED:
        names = [*names[: _MOST_LISTED - 1], f"{len(names) - _MOST_LISTED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def require_figure(figure: str) -> None:
    """Refuses an unknown figure for ranking before anything is trained.

    Raises:
        UserError: if it is not a `metric/figure` that ranks.
    """
    metric, slash, name = figure.partition("/")
    if not slash:
        raise UserError(f"--by {shown(figure)}", "METRIC/FIGURE, for example frechet/distance")
    better = METRICS.build(metric).better
    if name not in better:
        raise unknown_name(f"figure of {metric} that ranks generators:", name, better)


def _plain(value: Any) -> Any:
    """Converts a value made of named tuples to JSON types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "_asdict"):
        return {name: _plain(held) for name, held in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value
