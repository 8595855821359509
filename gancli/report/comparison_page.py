"""The page of a comparison: the question, the answer, and the evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gancli.comparison import Answer, Outcome, Results, Standing
from gancli.comparison.verdicts import listed, sides_of
from gancli.display.evaluation import is_of_class
from gancli.errors import printable
from gancli.report import facts
from gancli.report.charts import MOST_LINES, key_of, profile_chart, ranking_chart
from gancli.report.curves import MOST_BANDS, curve_charts
from gancli.report.page import (
    Beside,
    Block,
    Charts,
    Code,
    Folded,
    Key,
    Listing,
    Page,
    Section,
    Table,
    Text,
)
from gancli.report.records import Record, read_record
from gancli.report.slides import Shot, samples_of
from gancli.report.spreadsheets import state_of


def comparison_page(folder: Path, results: Results, answer: Answer) -> Page:
    """Builds the page of a comparison.

    Args:
        folder: its directory; run paths are relative to it.
        results: the results.
        answer: the answer.
    """
    order = [standing.variant for standing in answer.standings]
    outcomes = sorted(results.outcomes, key=lambda one: (order.index(one.variant), one.seed))
    records = [(outcome, read_record(outcome.run)) for outcome in outcomes]
    names = {variant: f"{place} {printable(variant)}" for place, variant in enumerate(order, 1)}
    sections = [
        _question(results, answer),
        _ranking(answer, outcomes, names),
        _pairs(answer),
        _curves(records, names),
        *_profiles(answer, outcomes, names),
        _samples(results, records, names),
        _marks(records, folder),
        _hyperparameters(results, order, names),
        _figures(answer, records, names),
        _reproduction(results, records, order),
    ]
    data = listed([printable(one["name"]) for one in results.data])
    return Page(f"{len(order)} variants on {data}", sections)


def _question(results: Results, answer: Answer) -> Section:
    variants = [printable(one) for one in dict.fromkeys(o.variant for o in results.outcomes)]
    asked = f"Which of {listed(variants)} is best" if len(variants) > 1 else f"How is {variants[0]}"
    data = listed([printable(one["name"]) for one in results.data])
    seeds = sorted({outcome.seed for outcome in results.outcomes})
    by = ""
    if answer.figure:
        side = "lower" if answer.lower_is_better else "higher"
        by = f" by {printable(answer.figure)} ({side} is better)"
    split = str(results.asked["split"])
    equal = bool(results.asked["equal"])
    recipes = "recipes were disabled" if equal else "each loss had its published recipe"
    measured = f"{results.asked['samples']} samples of each run were measured"
    against = f" against the split {printable(split)}" if split else ""
    return Section(
        "Question and answer",
        [
            Text(f"{asked} on {data}{by}?"),
            Text(printable(answer.sentence), strong=True),
            Text(
                f"{len(results.outcomes)} runs, seeds {', '.join(map(str, seeds))}; "
                f"{measured}{against}; {recipes}.",
                note=True,
            ),
        ],
    )


def _ranking(answer: Answer, outcomes: Sequence[Outcome], names: Mapping[str, str]) -> Section:
    """The ranked variants, as a chart and as a table."""
    head = ["variant", "runs ended"]
    counts = [_counts(one, names) for one in answer.standings]
    if not answer.figure:
        return Section("Ranking", [Table(head, counts, 2)])
    head += ["mean", "95 % interval", "median", "interquartile mean"]
    rows = []
    for standing, own in zip(answer.standings, counts, strict=True):
        spread = standing.figures.get(answer.figure)
        values = ["", "", "", ""]
        if spread:
            values = [
                facts.spread_text(spread),
                facts.interval_text(spread.mean.low, spread.mean.high),
                facts.figure_text(spread.median),
                facts.figure_text(spread.interquartile_mean),
            ]
        rows.append([*own, *values])
    chart = Charts([ranking_chart(answer, outcomes)])
    said = f"By {printable(answer.figure)}: mean ± standard deviation over seeds."
    return Section("Ranking", [Beside([chart, Table(head, rows, 2)]), Text(said, note=True)])


def _counts(one: Standing, names: Mapping[str, str]) -> list[str]:
    """A variant, and the outcomes of its runs."""
    return [names[one.variant], ", ".join(one.endings)]


def _pairs(answer: Answer) -> Section:
    """The verdict on each pair; pairs of the best variant, or with the baseline, come first."""
    first = answer.standings[0].variant
    told, rest = [], []
    for pair in answer.pairs:
        is_first = bool(answer.baseline) or first in (pair.variant, pair.other)
        (told if is_first else rest).append(printable(pair.sentence))
    blocks: list[Block] = [Listing(told) if told else Text("There are no pairs to compare.")]
    if rest:
        more = "1 more pair" if len(rest) == 1 else f"{len(rest)} more pairs"
        blocks.append(Folded(more, [Listing(rest)]))
    return Section("Pairs", blocks)


_Records = Sequence[tuple[Outcome, Record]]


def _curves(records: _Records, names: Mapping[str, str]) -> Section:
    drawn = list(names)[:MOST_LINES]
    variants = {
        variant: [record for outcome, record in records if outcome.variant == variant]
        for variant in drawn
    }
    charts, left = curve_charts(variants)
    if not charts:
        return Section("Learning curves", [Text("No run has readable metrics.")])
    said = "Lines: the mean of a variant's runs"
    said += "; bands: from the smallest to the largest." if len(drawn) <= MOST_BANDS else "."
    said += f" {left}" if left else ""
    if len(drawn) < len(names):
        said += f" Only the first {len(drawn)} variants are drawn."
    return Section("Learning curves", [Charts(charts, _keys(drawn)), Text(said, note=True)])


def _profiles(
    answer: Answer, outcomes: Sequence[Outcome], names: Mapping[str, str]
) -> list[Section]:
    if not answer.figure:
        return []
    chart = profile_chart(answer, outcomes)
    return [Section("Performance profiles", [Charts([chart], _keys(list(names)[:MOST_LINES]))])]


def _keys(variants: Sequence[str]) -> list[Key]:
    return [key_of(place, printable(name)) for place, name in enumerate(variants)]


def _samples(results: Results, records: _Records, names: Mapping[str, str]) -> Section:
    config = next(iter(results.configurations.values()))
    prints = [one["fingerprint"] for one in results.data]
    kind = results.data[0]["kind"]
    background, said = facts.behind_samples(config, kind, prints, [record for _, record in records])
    shots = []
    for outcome, record in sorted(records, key=lambda one: one[0].seed):
        state, _ = state_of(outcome)
        mark = state if state != "finished" else ""
        shots.append(Shot(names[outcome.variant], outcome.seed, record, mark))
    samples, notes = samples_of(shots, background)
    if samples is None:
        return Section("Samples", [Text("No run has readable samples.")])
    if len({config.task for config in results.configurations.values()}) == 1:
        notes.insert(0, "All runs of a seed show the same latents.")
    return Section("Samples", [samples, Text(" ".join(notes), note=True), *said])


def _marks(records: _Records, folder: Path) -> Section:
    """Incidents of runs, and missing or damaged parts."""
    marks, missing = [], []
    for outcome, record in records:
        name = f"{printable(outcome.variant)}, seed {outcome.seed}"
        told = [
            (outcome.failure, "diverged: "),
            (outcome.collapse, "collapsed: "),
            (outcome.left, "unfinished: "),
        ]
        marks += [f"{name} {said}{printable(reason)}" for reason, said in told if reason]
        marks += [f"{name}, {printable(one)}" for one in record.rollbacks]
        missing += [
            f"{name} ({facts.place_of(outcome.run, folder)}): {printable(one)}"
            for one in record.missing
        ]
    text = "No run diverged, collapsed, stayed unfinished or rolled back."
    blocks: list[Block] = [Listing(marks) if marks else Text(text)]
    if missing:
        blocks += [Text("Parts of these runs could not be read:"), Listing(missing)]
    return Section("Incidents", blocks)


def _hyperparameters(results: Results, order: Sequence[str], names: Mapping[str, str]) -> Section:
    title = "Hyperparameters that differ"
    found = facts.differing({variant: results.configurations[variant] for variant in order})
    if not found:
        return Section(title, [Text("All variants have the same configuration.")])
    rows = [[key, *map(printable, values)] for key, values in found.items()]
    head = ["key", *(names[variant] for variant in order)]
    return Section(title, [Table(head, rows, len(head))])


def _figures(answer: Answer, records: _Records, names: Mapping[str, str]) -> Section:
    """Every figure of every variant, and every run."""
    sides = sides_of([outcome for outcome, _ in records])
    every = dict.fromkeys(name for one in answer.standings for name in one.figures)
    rows = []
    for figure in every:
        values = [facts.spread_text(one.figures.get(figure)) for one in answer.standings]
        rows.append([printable(figure), sides.get(figure, ""), *values])
    shown = [row for row in rows if not is_of_class(row[0])]
    head = ["figure", "better", *(names[one.variant] for one in answer.standings)]
    of_classes = [row for row in rows if is_of_class(row[0])]
    runs = [
        (f"{names[outcome.variant]}, seed {outcome.seed}", record) for outcome, record in records
    ]
    said = Text("Mean ± standard deviation over seeds.", note=True)
    blocks: list[Block] = [Folded(f"{len(shown)} figures", [Table(head, shown, 2), said])]
    if of_classes:
        blocks.append(Folded(f"{len(of_classes)} figures of classes", [Table(head, of_classes, 2)]))
    blocks.append(
        Folded(f"{len(runs)} runs, and where their time went", [facts.goodput_table(runs)])
    )
    return Section("All figures", blocks)


def _reproduction(results: Results, records: _Records, order: Sequence[str]) -> Section:
    seeds = sorted({outcome.seed for outcome, _ in records})
    devices = facts.devices_of([record for _, record in records])
    told = {
        f"data {printable(one['name'])}": f"{printable(one['kind'])}, SHA-256 "
        f"{printable(one['fingerprint'])}"
        for one in results.data
    }
    told |= {
        "versions": facts.versions_text(results.versions),
        "device": "; ".join(devices) or "unknown",
        "seeds": ", ".join(map(str, seeds)),
    }
    blocks: list[Block] = [Code(printable(str(results.asked["command"]))), facts.facts_table(told)]
    for variant in order:
        blocks.append(
            Folded(
                f"{printable(variant)}.toml", [Code(facts.as_toml(results.configurations[variant]))]
            )
        )
    blocks.append(Text("To train one variant: gan train VARIANT.toml --seed SEED.", note=True))
    return Section("How to reproduce", blocks)
