"""The training loop of one run: a generator of events, which other modules draw and print."""

import time
from collections.abc import Generator
from typing import Any

from gancli.adversarial.dynamics import Weights
from gancli.config import Config
from gancli.errors import DivergedError, RunInterruptedError, UserError
from gancli.runs.directory import DataIdentity, Run, device_name
from gancli.runs.goodput import Goodput
from gancli.runs.restoring import restore_newest
from gancli.runs.resume_point import NAME as RESUME_POINT
from gancli.runs.resume_point import Best, beginning
from gancli.runs.versions import NAME as VERSIONS
from gancli.runs.versions import versions
from gancli.system import processes
from gancli.system.interruption import StopRequest
from gancli.tasks.program import Program, build_program, state_like
from gancli.training.backends import Backend
from gancli.training.calls import Calls
from gancli.training.due import Due, due_at, next_due
from gancli.training.events import (
    Advanced,
    Diagnosed,
    Evaluated,
    Event,
    Finished,
    Measured,
    Sampled,
    Saved,
    Started,
    Warned,
)
from gancli.training.execution import Chunk
from gancli.training.finetuning import first_state
from gancli.training.metric_window import MetricWindow
from gancli.training.monitors import Window
from gancli.training.planning import Plan
from gancli.training.preview import Preview, build_preview, sampled
from gancli.training.profile import profiled, profiling
from gancli.training.rollback import FoundError, RemediedError, after_divergence, changed
from gancli.training.selection import choose, is_given_up, is_stopped
from gancli.training.tensorboard import EventFile
from gancli.training.watch import Watch

Events = Generator[Event, None, None]

# Seconds between updates of `run.json` between checkpoints.
_SECONDS_A_STATUS = 10.0

# The best evaluation, as `run.json` holds it.
_BEST = ("figure", "value", "step")


def train(
    plan: Plan, run: Run, stop: StopRequest | None = None, backend: Backend | None = None
) -> Events:
    """Trains a run from its current step to its last one; the caller holds its lock.

    In a job of several processes each process calls it, and the first one writes the run.

    Args:
        plan: the plan of the run.
        run: an existing run.
        stop: asked after each call to the device; None for a run that cannot be stopped.
        backend: computes the steps; None for the devices of this job.

    Yields:
        Events as they happen.

    Raises:
        DivergedError: if it diverges, and the policy is to stop or its rollbacks are used up.
        RunInterruptedError: if it was asked to stop; everything is saved.
        UserError: if the run has no usable checkpoint, or the disk refuses.
    """
    # A request that was not made is false, so `or` would replace it.
    stop = StopRequest() if stop is None else stop
    with stop.deferred():
        backend = profiling(plan.config, run.path / "profile", backend)
        loop = _Loop(plan, run, stop, backend)
        at_once = False
        try:
            yield from profiled(loop.run(), plan.config, backend)
        except KeyboardInterrupt:
            at_once = True  # An unfinished file has no final name yet and can be left behind.
            raise
        except DivergedError as error:
            loop.note(status="diverged", reason=str(error))
            raise
        except RunInterruptedError:
            loop.note(status="interrupted")
            raise
        except UserError as error:
            # The disk may refuse this write, too; the first error is the one that matters.
            try:
                loop.note(status="failed", reason=str(error))
            except UserError as second:
                error.add_note(str(second))
            raise
        finally:
            if not at_once:
                loop.close()


class _Loop:
    """The training of one run in this process.

    `run` restores the newest checkpoint and trains on from it, and does so again after divergence
    or for a remedy, if that is the policy. The phases share the position of the run: `here` is the
    newest chunk of steps, and `step` the step that it has reached. `config` is the run's
    configuration, and `effective` that of the attempt, with what rollbacks have changed.
    """

    # Set by `prepare` for each attempt
    effective: Config
    program: Program
    here: Chunk
    window: MetricWindow
    preview_of: Preview

    def __init__(self, plan: Plan, run: Run, stop: StopRequest, backend: Backend):
        self.plan, self.directory, self.stop, self.backend = plan, run, stop, backend
        self.config = config = plan.config
        self.steps = config.train.steps
        self.status: dict[str, Any] = run.status
        self.identity = DataIdentity.from_json(self.status["data"])
        self.checkpoints = run.checkpoints(config.checkpoint.keep, config.checkpoint.every)
        self.goodput = Goodput(self.status.get("goodput"))
        self.first = processes.is_first()
        self.watch = Watch(config)
        wanted = self.first and config.logging.tensorboard
        self.board = EventFile(run.path / "tensorboard") if wanted else None

    def run(self) -> Events:
        """Plays attempts until one comes to the end."""
        yield from map(Warned, self.plan.warnings)
        yield from self.clean()
        yield from self.restore()
        while True:
            try:
                yield from self.attempt()
                return
            except (FoundError, RemediedError) as found:
                yield from self.roll_back(found)

    def attempt(self) -> Events:
        """Trains from the restored state to the last step."""
        yield Started(self.step, self.steps)
        ended = self.step >= self.steps or is_given_up(self.best, self.config)
        if not self.pending and (ended or is_stopped(self.status, self.config)):
            self.note(status="finished", step=self.step)
            yield Finished(self.step, 0.0, self._account())
            return
        began = time.monotonic()
        yield from self.rewind()
        self.prepare()
        if self.step == 0:  # The first picture in the strip of samples.
            yield from self.preview()
            yield from self.checkpoint()
        yield from self.compile()
        while not self.at_end:
            if not self.pending:
                yield from self.advance()
            due = self.due()
            self.pending = False
            if due.check:
                self.check()
            if due.probe:
                self.measure()
            if due.evaluate:
                due = yield from self.evaluate(due)
            if due.line or self.at_end:
                yield from self.log(due.line)
            if due.preview or (self.at_end and not self.pending):
                yield from self.preview()
            if due.save or self.at_end:
                yield from self.checkpoint()
            self._note_now_and_then(saved=due.save or self.at_end)
            if due.stop and not self.at_end:
                self._finish_saving()
                raise self._interrupted()
        self._finish_saving()
        self.note(status="finished", step=self.step)
        yield Finished(self.step, time.monotonic() - began, self._account())

    # Phases, in the order in which an attempt goes through them

    def clean(self) -> Events:
        """Removes unfinished files of a process that was killed while it wrote."""
        if self.first:
            self.directory.clean()
            if left := self.checkpoints.clean():
                yield Warned(
                    f"removed from {self.checkpoints.path} what a process that was stopped at "
                    f"once had left there: {', '.join(left)}"
                )
        processes.meet("the checkpoints are clean")

    def restore(self, up_to: int | None = None) -> Events:
        """Restores the newest sound state and what was saved with it; see `restore_newest`."""
        _, like = state_like(self.config, self.plan.dataset.spec)
        newest = restore_newest(self.checkpoints, like, up_to)
        processes.meet("the state is restored")
        yield from map(Warned, newest.warnings)
        self.resume_point, self.restored = newest.resume_point, newest.state
        self.step = 0 if newest.state is None else int(newest.state.step)
        best, figure = self.resume_point.best, self.config.evaluation.best
        # Another figure's value says nothing of this one's.
        self.best: Best | None = best if best and best.figure == figure else None
        self.pending, self.at_end = self.resume_point.pending, False

    def rewind(self) -> Events:
        """Rewinds the directory to this step, and counts the steps that will be repeated."""
        run, status, point = self.directory, self.status, self.resume_point
        self.effective = changed(self.config, point.rollbacks)
        if not self.first:
            self.watch.replay(self.effective, (), point)
            return
        if status["status"] != "new":
            held = status.get("step")
            held = held if isinstance(held, int) else 0
            known = max(run.metrics.last_step(), held)
            self.goodput.steps += known - held  # Made by a process that died before it noted them.
            self.goodput.steps_repeated += max(0, known - self.step)
        gone = point.only_at_the_end(self.step, self.config.checkpoint.every)
        if gone and status["status"] == "finished":
            yield Warned(f"step {self.step} is no longer the last: it will lose {gone}")
        whole = run.metrics.rewind(point.metrics)
        self.watch.replay(self.effective, run.metrics.lines(), point)
        run.drop_samples_from(self.step if point.last_sample else self.step + 1)
        if self.board:
            self.board.restart(self.step)
        best = self.best and {name: getattr(self.best, name) for name in _BEST}
        self.note(
            **({"best": best} if best != run.status.get("best") else {}),
            pathologies=[],
            status="running",
            step=self.step,
            versions=versions(),
            device=device_name(),
            restarts=status["restarts"] + int(status["status"] != "new"),
            rollbacks=list(point.rollbacks),
        )
        self.status = run.status | {"status": "new"}  # A later attempt is no restart.
        if not whole:
            yield Warned(f"{run.metrics.path} was removed: it begins again after step {self.step}")

    def prepare(self) -> None:
        """Builds the program of this attempt and hands it to the backend."""
        config, dataset = self.config, self.plan.dataset
        is_planned = self.effective == config
        self.program = self.plan.program if is_planned else build_program(self.effective, dataset)
        state = self.restored or first_state(config, self.program, self.directory)
        names, self.here = self.backend.prepare(self.effective, self.program, state)
        self.restored = None  # It is donated.
        self.preview_of = build_preview(self.program.task, config, dataset)
        self.watch.prepare(self.program.task, dataset, self.plan.held_out)
        examples = self.program.task.examples_per_update
        self.window = MetricWindow(names, self.resume_point.since_last_line, examples)
        self.checkpoints.best = self.best and self.best.step
        self.calls = Calls(self.backend, self.window, self.goodput)
        self.boundary = self.step
        self.figures: dict[str, float] = {}

    def compile(self) -> Events:
        """Compiles the program."""
        with self.goodput.within("compile"):
            if not (yield from self.calls.compile(self.here, self.stop)):
                self._finish_saving()  # Nothing has been computed since the last checkpoint.
                raise self._interrupted()
        self.goodput.enter("steps")
        self.saved = self.noted = time.monotonic()

    def advance(self) -> Events:
        """Dispatches the next steps, up to the next one at which something is due."""
        self.boundary = min(self.steps, next_due(self.config, self.step))
        self.goodput.enter("steps")
        self.here = yield from self.calls.advance(self.here, self.boundary - self.step)
        self.step += self.here.steps
        self.goodput.steps += self.here.steps
        yield Advanced(self.step)

    def due(self) -> Due:
        """What is due at this step, including whether it is the last one."""
        config, step = self.config, self.step
        self.rate = self.window.rate()
        old = time.monotonic() - self.saved > 60 * config.checkpoint.minutes
        stop, old, self.calls.most = processes.agree(bool(self.stop), old, self.calls.next_most())
        self.at_end = step == self.steps
        return due_at(config, step, step == self.boundary, stop, old)

    def check(self) -> None:
        """Shows the monitors the metrics since the last line."""
        self.calls.drain()
        self.watch.check(self._recent())

    def measure(self) -> None:
        """Measures the state, and the steps since the last line, for the monitors."""
        with self.goodput.within("monitors"):
            self.figures = self.watch.measure(self.here.state, self._recent())

    def evaluate(self, due: Due) -> Generator[Event, None, Due]:
        """Measures the samples; if a request to stop comes first, whatever else is due waits."""
        began = time.monotonic()
        with self.goodput.within("evaluation"):
            weights = sampled(self.program.task, self.here.state)
            measured = processes.while_listening(lambda: self._figures(weights), self.stop)
        if measured is None:
            self.pending, self.at_end = True, False
            return due._replace(line=False, preview=False, save=True, stop=True)
        figures, left_out = measured
        for name, reason in left_out.items():
            yield Warned(f"metric {name!r} is left out at step {self.step}: {reason}")
        better, self.best = choose(self.plan.evaluator, self.config, figures, self.step, self.best)
        if self.best is not None:
            self.checkpoints.best = self.best.step
            self.note(best={name: getattr(self.best, name) for name in _BEST})
        self.figures |= {f"evaluation/{name}": value for name, value in figures.items()}
        yield Evaluated(self.step, figures, time.monotonic() - began, better)
        self.at_end = self.at_end or is_given_up(self.best, self.config)
        return due._replace(line=True, save=due.save or better)

    def log(self, whole: bool) -> Events:
        """Writes a line of metrics; an incomplete one is written again when the run resumes."""
        values = self.window.line() | self.figures
        self.figures = {}
        changes = self.watch.diagnosis.add(self.step, values)
        if self.first:
            line = values | self.watch.diagnosis.as_metrics()
            self.directory.metrics.append(self.step, line, last=not whole)
        if self.board:
            self.board.append(self.step, values | {"examples_per_second": self.rate})
        if whole:
            self.window.begin_line()
        yield Measured(self.step, values, self.rate)
        begun = [change for change in changes if change.begins]
        if self.config.monitors.policy == "remedy":
            before = self.resume_point.rollbacks
            self.watch.treat(begun, self.plan.dataset, self.checkpoints, before)
        yield from map(Diagnosed, changes)
        if self.config.monitors.policy == "stop" and processes.of_first(bool(begun)):
            self.note(pathologies=[change.name for change in begun])
            self.at_end = True

    def preview(self) -> Events:
        """Generates the preview's examples and stores them."""
        with self.goodput.within("samples"):
            examples = self.preview_of.draw(self.here.state)
            if self.first:
                self.directory.add_sample(self.step, examples, self.preview_of.labels)
            yield Sampled(self.step, examples, self.preview_of.labels)
        self.window.restart_clock()

    def checkpoint(self) -> Events:
        """Saves the state with its documents, unless a monitor finds something wrong with it."""
        with self.goodput.within("checkpoints"):
            state, seen = self.here.state, self.window.rows()[:0]
            self.watch.check(Window(self.window.names, seen, self.step, state))
            point = self.resume_point._replace(
                since_last_line=self.window.rows(),
                metrics=self.directory.metrics.mark(),
                last_sample=self.at_end and self.step % self.config.sample.every != 0,
                best=self.best,
                pending=self.pending,
                projections=self.watch.projections,
            )
            self.checkpoints.save(state, self._documents() | {RESUME_POINT: point.as_json()})
        yield Saved(self.step)
        self.window.restart_clock()
        self.saved = time.monotonic()

    def roll_back(self, found: FoundError | RemediedError) -> Events:
        """Returns to an earlier state, and records what changes from there on.

        Raises:
            DivergedError: if the policy is to stop, or the rollbacks are used up.
        """
        before = self.resume_point.rollbacks
        if isinstance(found, RemediedError):
            record, message = found.rollback
        else:
            where = self.effective, self.directory, self.checkpoints
            state, documents = self.here.state, self._documents()
            record, message = after_divergence(*where, state, documents, found.finding, before)
        back = record["back_to"]
        self.goodput.steps_repeated += self.step - back
        if self.first:
            self.checkpoints.discard_after(back)
        yield Warned(message)
        yield from self.restore(up_to=back)
        self.resume_point = self.resume_point._replace(
            rollbacks=(*before, record),
            # With other losses and penalties a step has other metrics.
            since_last_line=beginning().since_last_line,
        )

    def note(self, **values: Any) -> None:
        """Updates `run.json`."""
        if self.first:
            self.directory.update_status(**values, goodput=self.goodput.as_json())

    def close(self) -> None:
        """Waits for pending writes."""
        self.checkpoints.close()
        if self.board:
            self.board.close()

    # Parts of the phases

    def _recent(self) -> Window:
        return Window(self.window.names, self.window.rows(), self.step)

    def _figures(self, weights: Weights) -> tuple[dict[str, float], dict[str, str]]:
        """What the samples are measured to be, and what is left out; the first process measures."""
        if not self.first or self.plan.evaluator is None:
            return {}, {}
        return self.plan.evaluator.measure(self.program.task, weights)

    def _note_now_and_then(self, saved: bool) -> None:
        if saved or time.monotonic() - self.noted > _SECONDS_A_STATUS:
            self.note(step=self.step)
            self.noted = time.monotonic()

    def _finish_saving(self) -> None:
        with self.goodput.within("checkpoints"):
            self.checkpoints.wait()
            processes.meet("everything is saved")

    def _interrupted(self) -> RunInterruptedError:
        processes.all_end()
        path = self.directory.path
        return RunInterruptedError(
            f"Stopped at step {self.step} of {self.steps}; everything is saved in {path}. "
            f"Go on with: gan resume {path}"
        )

    def _account(self) -> dict[str, Any]:
        """Where the time went, and how often the run was restarted."""
        return {**self.goodput.as_json(), "restarts": self.status["restarts"]}

    def _documents(self) -> dict[str, Any]:
        """The documents that are saved with every state of this run."""
        return {
            "config.json": self.config.model_dump(mode="json"),
            "data.json": self.identity.as_json(),
            VERSIONS: versions(),
        }
