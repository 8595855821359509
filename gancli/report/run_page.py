"""The page of a single run: its course, its samples, and how to reproduce it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancli.errors import UserError, printable
from gancli.evaluation import side_of
from gancli.report import facts
from gancli.report.curves import curve_charts
from gancli.report.page import (
    Block,
    Charts,
    Code,
    Folded,
    Listing,
    Page,
    Section,
    Table,
    Text,
)
from gancli.report.records import Record, number_of, read_record
from gancli.report.slides import Shot, samples_of
from gancli.training.account import account_of

CONFIGURATION = "config.toml"


def run_page(folder: Path) -> Page:
    """Builds the page of a run."""
    record = read_record(folder)
    name = printable(_name(folder.resolve()))
    sections = [
        _ending(record, name),
        _diagnosis(record),
        _figures(record),
        _curves(record),
        _samples(record, name),
        _marks(record),
        Section("Where the time went", [facts.goodput_table([(name, record)])]),
        _reproduction(record),
    ]
    return Page(f"Run {name}", sections)


def _name(folder: Path) -> str:
    """The name of a run, with its variant if it belongs to a comparison."""
    parts = folder.parts[-2:] if re.fullmatch(r"seed-\d+", folder.name) else folder.parts[-1:]
    return "/".join(parts)


def _ending(record: Record, name: str) -> Section:
    config = record.config
    step = facts.figure_text(number_of(record.status.get("step"))) or "0"
    of = f" of {config.train.steps}" if config else ""
    what = ""
    if config:
        loss = f" with the loss {config.loss}" if config.loss else ""
        what = printable(
            f"{config.task} on {config.data.name}{loss}, model {config.model}, "
            f"seed {config.train.seed}"
        )
    status = printable(str(record.status.get("status", "unknown")))
    # The status knows the step of the last checkpoint, the reason that of the divergence.
    said = f"{name}: {status}" + ("." if status == "diverged" else f" at step {step}{of}.")
    if reason := record.status.get("reason"):
        said += f" {printable(str(reason))}"
    return Section("How it went", [Text(said, strong=True), *([Text(what)] if what else [])])


def _diagnosis(record: Record) -> Section:
    """What went wrong, since when, by which evidence, and what to try."""
    try:
        account = account_of(record.path)
    except UserError as error:
        return Section("Diagnosis", [Text(f"Unknown: {printable(str(error))}")])
    blocks: list[Block] = [Text(account.verdict, strong=True)]
    if account.changes:
        blocks.append(Listing([change.sentence for change in account.changes]))
    if account.remedies:
        blocks += [
            Text("What to try, in this order:"),
            *(Code(account.command(remedy)) for _, remedy in account.remedies),
        ]
    return Section("Diagnosis", blocks)


def _figures(record: Record) -> Section:
    """What was measured of it, the newest first."""
    if not record.evaluations:
        text = "Nothing was measured. gan evaluate measures a run, gan compare several."
        return Section("Figures", [Text(text)])
    newest, *others = [_evaluation(held) for held in reversed(record.evaluations)]
    blocks = [*newest]
    if others:
        earlier = [block for blocks in others for block in blocks]
        blocks.append(Folded(f"{len(others)} earlier evaluations", earlier))
    return Section("Figures", blocks)


def _evaluation(held: Mapping[str, Any]) -> list[Block]:
    """The figures of one evaluation, and what they are of."""
    rows = []
    for name, value in held["metrics"].items():
        ends = held["intervals"].get(name)
        interval = facts.interval_text(*ends) if ends else ""
        rows.append([printable(name), _side(name), facts.figure_text(value), interval])
    step, count = (facts.figure_text(number_of(held[name])) for name in ("step", "samples"))
    said = "Of the untranslated sources" if held["plain"] else f"Of {count or '?'} samples"
    if (seed := number_of(held["seed"])) == seed:
        said += f" of seed {seed:.0f}"
    said += f" at step {step or '?'}"
    for name, words in (
        ("weights", "by the {} weights"),
        ("split", "against the split {}"),
        ("features", "with the features {}"),
    ):
        if isinstance(held[name], str):
            said += f", {words.format(printable(held[name]))}"
    said += ", translated back." if held["back"] else "."
    return [Table(["figure", "better", "value", "95 %"], rows, 2), Text(said, note=True)]


def _side(name: str) -> str:
    try:
        return side_of(name) or ""
    except UserError:  # Measured by another version.
        return ""


def _curves(record: Record) -> Section:
    charts, left = curve_charts({"": [record]})
    if not charts:
        return Section("Learning curves", [Text("The run has no readable metrics.")])
    return Section("Learning curves", [Charts(charts), Text(left, note=True)])


def _samples(record: Record, name: str) -> Section:
    data = _data(record)
    background, said = facts.behind_samples(
        record.config, str(data.get("kind")), [str(data.get("fingerprint"))], [record]
    )
    samples, notes = samples_of([Shot(name, 0, record)], background)
    if samples is None:
        return Section("Samples", [Text("The run has no readable samples.")])
    return Section("Samples", [samples, Text(" ".join(notes), note=True), *said])


def _data(record: Record) -> Mapping[str, Any]:
    held = record.status.get("data")
    return held if isinstance(held, Mapping) else {}


def _marks(record: Record) -> Section:
    marks = [printable(one) for one in record.rollbacks]
    text = "None: no rollbacks."
    blocks: list[Block] = [Listing(marks) if marks else Text(text)]
    if record.missing:
        missing = Listing([printable(one) for one in record.missing])
        blocks += [Text("Parts of the run could not be read:"), missing]
    return Section("Incidents", blocks)


def _reproduction(record: Record) -> Section:
    data = _data(record)
    versions = record.status.get("versions")
    told = {
        f"data {printable(str(data.get('name', 'unknown')))}": printable(
            f"{data.get('kind', 'unknown')}, SHA-256 {data.get('fingerprint', 'unknown')}"
        ),
        "versions": facts.versions_text(versions) if isinstance(versions, Mapping) else "unknown",
        "device": "; ".join(facts.devices_of([record])) or "unknown",
    }
    if isinstance(source := record.status.get("finetune"), Mapping):
        said = "step {step}, SHA-256 {sha256}".format_map(defaultdict(lambda: "unknown", source))
        told[f"started from {printable(str(source.get('source')))}"] = printable(said)
    blocks: list[Block] = [facts.facts_table(told)]
    if record.config:
        blocks = [
            Code(f"gan train {CONFIGURATION}"),
            *blocks,
            Folded(CONFIGURATION, [Code(facts.as_toml(record.config))]),
        ]
    return Section("How to reproduce", blocks)
