"""The progress of a training run: live lines on a terminal, else plain lines, and pictures."""

import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from gancli.data.dataset import Dataset
from gancli.display.evaluation import is_of_class
from gancli.display.progress import lines
from gancli.display.samples import draw_growth, draw_samples
from gancli.display.tables import in_hours
from gancli.runs.directory import Run
from gancli.system import processes
from gancli.system.progress import listening
from gancli.training.events import (
    Advanced,
    Compiled,
    Diagnosed,
    Evaluated,
    Event,
    Finished,
    Measured,
    Profiled,
    Sampled,
    Started,
    Warned,
)


def follow(events: Iterable[Event], run: Run, dataset: Dataset, console: Console) -> None:
    """Shows a training run and draws its samples.

    Args:
        events: the events from `train`.
        run: the run; pictures go to its directory.
        dataset: its data, drawn behind sampled points.
        console: where to print.
    """
    first = processes.is_first()
    view = _Live(console) if console.is_terminal else _Plain(console)
    with view.live, listening(view.work):
        for event in events:
            if not first:  # Only the first process of a job draws and prints.
                continue
            match event:
                case Sampled(step, examples, labels):
                    draw_samples(run.samples / f"{step:08d}.png", examples, dataset, labels)
                case Finished():
                    draw_growth(
                        run.samples / "growth.png", run.sample_history(), dataset, run.sample_labels
                    )
            view.show(event)


def final_pictures(run: Run) -> tuple[Path, Path] | None:
    """Where the last grid and the contact strip of a finished run are, or their lines of text.

    None where its samples were removed.
    """
    shown = [path for path in run.samples.glob("[0-9]*") if path.suffix in (".png", ".txt")]
    if not shown:
        return None
    last = max(shown)
    return last, run.samples / f"growth{last.suffix}"


def account(goodput: dict[str, Any]) -> str:
    """One line about a run's time: the goodput, the time of each phase, and repeated steps.

    Args:
        goodput: the account in `run.json`, with the run's `restarts`.
    """
    seconds = {name: took for name, took in goodput["seconds"].items() if took >= 0.05}
    total = sum(seconds.values())
    parts = ", ".join(f"{name} {took:.1f} s" for name, took in seconds.items())
    again = goodput["steps_repeated"]
    repeated = f"; {again} of {goodput['steps']} steps were repeated" if again else ""
    restarts = f"; restarts {goodput['restarts']}" if goodput["restarts"] else ""
    return f"useful time {goodput['share']:.0%} of {total:.1f} s: {parts}{restarts}{repeated}"


def profile(profiled: Profiled) -> str:
    """The costliest operations of a trace, one a line, and where the trace is."""
    operations = [
        f"  {one.share:6.1%}  {1000 * one.seconds / profiled.steps:9.3f} ms a step  {one.name}"
        for one in profiled.operations
    ]
    heading = f"operations that took longest in {profiled.steps} steps, of all operations' time:"
    return "\n".join([heading, *operations, f"trace   {profiled.folder}"])


def headline(values: dict[str, float]) -> str:
    """The metrics worth a line: each player's loss, and the discriminator's accuracy.

    In place of the accuracy, where a loss has none: by how much real examples are scored higher.
    """
    parts = [
        f"{name.removesuffix('/loss')} {value:.3f}"
        for name, value in values.items()
        if name.endswith("/loss")
    ]
    real, fake = (values.get(f"discriminator/accuracy/{kind}") for kind in ("real", "fake"))
    high, low = (values.get(f"discriminator/logit/{kind}") for kind in ("real", "fake"))
    if real is not None and fake is not None:
        parts.append(f"accuracy {real:.0%} real {fake:.0%} fake")
    elif high is not None and low is not None:
        parts.append(f"separation {high - low:.3f}")
    return " · ".join(parts)


def evaluation_line(evaluated: Evaluated) -> str:
    """What an evaluation gave, in a line, and what it took."""
    figures = " · ".join(
        f"{name} {value:.4g}" for name, value in evaluated.figures.items() if not is_of_class(name)
    )
    best = ", the best so far" if evaluated.best else ""
    return f"step {evaluated.step} measured in {evaluated.seconds:.1f} s{best}: {figures}"


class _Plain:
    """Plain output for files and pipes: a line per measurement."""

    def __init__(self, console: Console):
        self.console = console
        self.live = nullcontext()
        self.steps = 0
        self.rate = _Rate()
        self.work = lines(console, at_start=False)

    def show(self, event: Event) -> None:
        match event:
            case Started(step, steps):
                self.steps, self.rate = steps, _Rate()
                self.print(f"step {step} of {steps}: compiling" if step < steps else "")
            case Compiled(seconds):
                self.print(f"compiled and first step in {seconds:.1f} s")
            case Advanced(step):
                self.rate.reached(step)
            case Measured(step, values, _):
                parts = [f"step {step}/{self.steps}", self.rate.text]
                parts += [self.rate.left(self.steps - step), headline(values)]
                self.print("  ".join(filter(None, parts)))
            case Evaluated():
                self.print(evaluation_line(event))
            case Diagnosed(change):
                self.print(change.sentence)
            case Warned(message):
                self.print(f"warning: {message}")
            case Finished(_, seconds, goodput) if seconds:
                self.print(account(goodput))
            case Profiled():
                self.print(profile(event))

    def print(self, text: str) -> None:
        if text:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Live:
    """Live output on a terminal: progress, rate and time left; losses and accuracy."""

    def __init__(self, console: Console):
        self.console = console
        self.rate = _Rate()
        self.progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            expand=True,
        )
        self.text = Text("compiling")
        self.live = RichLive(Group(self.progress, self.text), console=console)
        self.task: TaskID | None = None

    def work(self, what: str, done: int, count: int) -> None:
        """Shows the progress of an evaluation."""
        self.text.plain = f"{what}: {done} of {count}"

    def show(self, event: Event) -> None:
        match event:
            case Started(step, steps):
                if self.task is None:
                    self.task = self.progress.add_task("", rate="")
                self.progress.reset(self.task, total=steps, completed=step, rate="")
                self.rate = _Rate()
            case Advanced(step) if self.task is not None:
                self.rate.reached(step)
                self.progress.update(self.task, completed=step, rate=self.rate.text)
            case Compiled(seconds):
                self.text.plain = f"compiled and first step in {seconds:.1f} s"
            case Evaluated():
                self.console.print(evaluation_line(event), markup=False, highlight=False)
            case Measured(_, values, _):
                self.text.plain = headline(values)
            case Diagnosed(change):
                self.console.print(change.sentence, style="yellow", markup=False, highlight=False)
            case Warned(message):
                self.console.print(f"warning: {message}", style="bold yellow", markup=False)
            case Finished(_, seconds, goodput) if seconds:
                self.console.print(account(goodput), markup=False, highlight=False)
            case Profiled():
                self.console.print(profile(event), markup=False, highlight=False)


class _Rate:
    """Steps per second since the first observed step, which excludes compilation."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None
        self.per_second = 0.0

    def reached(self, step: int) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = (step, now)
        elif now > self.first[1] + 0.5:  # Earlier it would be the pace of dispatch, not of work.
            self.per_second = (step - self.first[0]) / (now - self.first[1])

    @property
    def text(self) -> str:
        return f"{self.per_second:.1f} steps/s" if self.per_second else ""

    def left(self, steps: int) -> str:
        known = steps and self.per_second
        return f"{in_hours(round(steps / self.per_second))} left" if known else ""
