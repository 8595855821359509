"""The plan of a run: its configuration, the source of each value, sizes and memory."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from gancli.adversarial.losses import LOSSES
from gancli.config import flatten_config
from gancli.tasks import TASKS
from gancli.tasks.freezing import layer_counts
from gancli.tasks.program import build_program
from gancli.training.memory import estimate_memory, parameter_counts, size_in_words
from gancli.training.planning import Plan


def show_recipe(planned: Plan, console: Console) -> None:
    """Prints the task, the loss, and the values of their published recipes that apply."""
    config = planned.config
    task = TASKS.entry(config.task)
    flat = flatten_config(config)
    applied = [
        f"{key}={_text(flat[key])}"
        for key, source in planned.sources.items()
        if source.startswith("recipe of ") and flat[key] != ""
    ]
    if "by recipe of" in planned.sources["model"]:
        applied.append(f"model={config.model}")
    text = ", ".join(_merge_players(applied)) or "nothing, you have set all of its values"
    if task.name != "generation":
        console.print(f"task {config.task} ({task.reference})", markup=False)
    if config.loss:
        reference = LOSSES.entry(config.loss).reference
        console.print(f"loss {config.loss} ({reference})", markup=False)
    console.print(f"recipe: {text}", markup=False)


def show_source(record: Mapping[str, Any], console: Console) -> None:
    """Prints from which checkpoint a run starts, and what each player takes from it.

    Args:
        record: the record in `run.json`, which lists every array.
        console: where to print.
    """
    name, step, checksum = record["source"], record["step"], record["sha256"][:12]
    lines = [f"starts from {name}, step {step} (SHA-256 {checksum}…)"]
    for player, found in record["players"].items():
        counts = {
            words: f"{len(found[key])} arrays ({found['values'][key]:,} values)"
            for key, words in (("taken", "takes"), ("new", "new"), ("unused", "unused there"))
            if found[key]
        }
        lines.append(f"  {player}: " + ", ".join(f"{key} {text}" for key, text in counts.items()))
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def show_plan(planned: Plan, console: Console, verbose: bool = False) -> None:
    """Prints the resolved configuration, parameter counts and memory.

    Args:
        planned: the plan.
        console: where to print.
        verbose: whether to print the values that are the defaults, too.
    """
    table = Table(title="configuration", title_justify="left")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    flat = flatten_config(planned.config)
    shown = [key for key in flat if verbose or planned.sources[key] != "default"]
    for key in shown:
        table.add_row(key, _text(flat[key]), planned.sources[key])
    if shown:
        console.print(table)
    if left := len(flat) - len(shown):
        console.print(f"{left} keys have their defaults, which --dry-run --verbose prints.")
    spec = planned.dataset.spec
    count = len(planned.dataset.examples)
    deep = f" and {spec.bits} bits" if spec.bits > 8 else ""
    console.print(
        f"data: {spec.name} ({spec.kind}), {count:,} examples of shape {spec.shape}{deep}"
    )
    counts, frozen = layer_counts(planned.program.task), planned.config.finetune.frozen
    for name, number in parameter_counts(planned.program).items():
        some = f", {frozen[name]} of {counts[name]} layers frozen" if frozen.get(name) else ""
        console.print(f"{name}: {number:,} parameters{some}")
    state, resident, working = map(size_in_words, estimate_memory(planned.program))
    console.print(
        f"memory on the device: state {state}, data {resident}, working space of an update "
        f"{working} (reported by XLA){_without_parts(planned)}"
    )
    console.print("Nothing was written.")


def _without_parts(planned: Plan) -> str:
    """The working space of an update that computes its batch at once, if this one does not."""
    config = planned.config
    if not config.train.microbatch:
        return ""
    train = config.train.model_copy(update={"microbatch": 0})
    whole = build_program(config.model_copy(update={"train": train}), planned.dataset)
    return f", {size_in_words(estimate_memory(whole).working)} without train.microbatch"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _merge_players(values: list[str]) -> list[str]:
    """Writes a value that both players share once."""
    shared = {
        text.replace("discriminator.", "*.", 1) for text in values if "discriminator." in text
    }
    merged = []
    for text in values:
        general = text.replace("generator.", "*.", 1).replace("discriminator.", "*.", 1)
        both = general in shared and general.replace("*.", "generator.", 1) in values
        merged.append(general.replace("*.", "") if both else text)
    return list(dict.fromkeys(merged))
