"""The account of what goes wrong in runs, for people or as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gancli.display.game_analysis import show_analysis
from gancli.display.pictures import choose_evenly
from gancli.display.tables import show_table
from gancli.training.account import Account, in_common
from gancli.training.explanation import Explanation, explain
from gancli.training.game_analysis import GameAnalysis
from gancli.training.monitors.diagnosis import PREFIX, SHOWN, in_words
from gancli.training.rollback import sentence_of

_ROWS = 8
# Settings that are told of those which only runs with a pathology have.
_TOLD = 5


def show_diagnoses(
    accounts: Sequence[Account],
    console: Console,
    as_json: bool,
    losses: bool,
    game: GameAnalysis | None = None,
) -> None:
    """Prints the account of a run; of several ones a table of verdicts.

    Args:
        accounts: what to print.
        console: where.
        as_json: whether to print JSON.
        losses: whether to explain the losses of each run, too.
        game: the analysis of the only run's game; None for none.
    """
    explained = [explain(one.config, one.newest) if losses else None for one in accounts]
    if as_json:
        found = [
            one.as_json()
            | ({"losses": meaning.as_json()} if meaning else {})
            | ({"game": game.as_json()} if game else {})
            for one, meaning in zip(accounts, explained, strict=True)
        ]
        console.print(json.dumps(found[0] if len(found) == 1 else found, indent=2), markup=False)
    elif len(accounts) == 1:
        _show(accounts[0], console)
    else:
        _show_all(accounts, console)
    if not as_json:
        for meaning in filter(None, explained):
            _show_losses(meaning, console)
        if game:
            show_analysis(game, console)


def _show_losses(meaning: Explanation, console: Console) -> None:
    console.print(f"\nLosses of {meaning.loss}", markup=False)
    table = Table("", "discriminator", "generator")
    for place in (*meaning.places, *([meaning.here] if meaning.here else [])):
        table.add_row(place.situation, f"{place.discriminator:.3f}", f"{place.generator:.3f}")
    for column in table.columns[1:]:
        column.justify = "right"
    show_table(console, table)
    console.print(meaning.reading, markup=False)


def _show(account: Account, console: Console) -> None:
    console.print(account.verdict, markup=False)
    for name, evidence in account.present.items():
        console.print(f"{in_words(name)}: {evidence}.", markup=False)
    if account.rollbacks:
        console.print("\nRollbacks")
        for record in account.rollbacks:
            console.print(f"  {sentence_of(record)}", markup=False)
    if account.changes:
        console.print("\nTimeline")
        for change in account.changes:
            console.print(f"  {change.sentence}", markup=False)
    if len(account.diagnosis.history):
        console.print()
        show_table(console, _measurements(account))
    if account.remedies:
        console.print("\nWhat to try, in this order")
        for _, remedy in account.remedies:
            console.print(f"  {account.command(remedy)}", markup=False)
            console.print(f"      {remedy.reason}", markup=False)


def _measurements(account: Account) -> Table:
    """Some lines of the measurements, evenly spread, the last one among them."""
    history = account.diagnosis.history
    table = Table("step", *(name.removeprefix(PREFIX) for name in SHOWN))
    columns = [history.whole(name) for name in SHOWN]
    for row in choose_evenly(len(history), _ROWS):
        values = [column[row] for column in columns]
        cells = ("" if np.isnan(value) else f"{value:.3g}" for value in values)
        table.add_row(str(history.steps[row]), *cells)
    for column in table.columns:
        column.justify = "right"
    return table


def _show_all(accounts: Sequence[Account], console: Console) -> None:
    table = Table("run", "distance", "present at the end", "since", "had before")
    table.columns[1].justify = "right"
    for account in accounts:
        began = {change.name: change.step for change in account.changes if change.begins}
        before = sorted({change.name for change in account.changes} - set(account.present))
        table.add_row(
            str(Path(*account.path.parts[-2:])),
            "" if np.isnan(account.distance) else f"{account.distance:.3f}",
            ", ".join(map(in_words, account.present)) or "nothing",
            ", ".join(str(began[name]) for name in account.present),
            ", ".join(map(in_words, before)),
        )
    show_table(console, table)
    for name in sorted({name for account in accounts for name in account.present}):
        count = sum(name in account.present for account in accounts)
        said = f"{in_words(name)}: {count} of {len(accounts)} runs"
        if shared := in_common(accounts, name):
            told = ", ".join(f"{key}={value}" for key, value in [*shared.items()][:_TOLD])
            said += f"; they alone have {told}"
        console.print(said, markup=False)
