"""The training loop of one run: a generator of events, and of requests to whoever plays it."""

import time
from collections import deque
from collections.abc import Generator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from gancli import processes
from gancli.data.dataset import Dataset
from gancli.divergence import Finding, find_in_metrics, find_in_state, lowered
from gancli.dynamics import TrainState
from gancli.errors import DivergedError, RunInterruptedError, UserError
from gancli.events import (
    Advanced,
    Compiled,
    Event,
    Finished,
    Measured,
    Sampled,
    Saved,
    Started,
    Warned,
)
from gancli.execution import (
    Compile,
    Play,
    Progress,
    Request,
    build_execution,
)
from gancli.interruption import StopRequest, while_listening
from gancli.judge import Judge, is_given_up
from gancli.meter import Meter
from gancli.program import build_program, state_like
from gancli.runs.bookmark import NAME as BOOKMARK
from gancli.runs.bookmark import Bookmark
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.directory import DataIdentity, Run, device_name, versions
from gancli.runs.goodput import Goodput
from gancli.runs.restoring import restore_newest
from gancli.showing import shown_examples

Requests = Generator[Event | Request, Any, None]

_MOST_STEPS_A_CALL = 128
# A call of many steps is sized to take about this long, so that an interruption and the
# progress line are prompt; the results do not depend on it.
_SECONDS_A_CALL = 0.5
# Calls of one step, waited for, from which the pace is known.
_CALLS_ALONE = 2
# How often `run.json` is brought up to date between checkpoints.
_SECONDS_A_STATUS = 10.0

# What `run.json` says of the best evaluation.
_BEST = ("figure", "value", "step")


class _FoundError(Exception):
    """What was found, and where the state in which it was found was put aside."""

    def __init__(self, finding: Finding, step: int, aside: str):
        self.finding, self.step, self.aside = finding, step, aside


def requests_of(
    run: Run, dataset: Dataset, stop: StopRequest, judge: Judge | None = None
) -> Requests:
    """What happens while a run trains, and what it asks for, to be sent the answer.

    Who plays it decides how: alone, as `train`, or together with other runs.

    Args:
        run: a run that exists.
        dataset: its data.
        stop: asked after each call to the device.
        judge: what measures it, if its configuration says that it is to be measured.

    Yields:
        Events, as they happen, and requests, each answered before the next.

    Raises:
        DivergedError: if a value is not finite or a loss explodes, and the configured policy
            is to stop or its rollbacks are used up.
        RunInterruptedError: if it was asked to stop; everything is saved.
        UserError: if the data are not those that the run began with, or the disk refuses.
    """
    identity = DataIdentity.from_json(run.status["data"])
    if identity.fingerprint != dataset.fingerprint:
        raise UserError(
            f"the data set {run.config.data.name!r} is not the one that {str(run.path)!r} began "
            f"with (SHA-256 {dataset.fingerprint[:12]}… against {identity.fingerprint[:12]}…)",
            "the same data",
            "Bring it back, or start another run",
        )
    with stop.deferred():
        training = _Training(run, dataset, identity, stop, judge)
        at_once = False
        try:
            yield from training.play()
        except KeyboardInterrupt:
            at_once = True  # What is being written has no name yet, so it can be left.
            raise
        except DivergedError as error:
            training.note(status="diverged", reason=str(error))
            raise
        except RunInterruptedError:
            training.note(status="interrupted")
            raise
        except UserError as error:
            # The disk that refused may refuse this, too; the error that matters is the first.
            try:
                training.note(status="failed", reason=str(error))
            except UserError as second:
                error.add_note(str(second))
            raise
        finally:
            if not at_once:
                training.checkpoints.close()


class _Training:
    """A run as one process plays it: what its attempts share.

    Each attempt goes from the newest checkpoint on; there are several only if training
    diverges and the policy is to roll back.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        identity: DataIdentity,
        stop: StopRequest,
        judge: Judge | None,
    ):
        self.run, self.dataset, self.stop, self.judge = run, dataset, stop, judge
        self.config = run.config
        self.checkpoints = run.checkpoints(
            self.config.checkpoint.keep, self.config.checkpoint.every
        )
        self.status: dict[str, Any] = run.status
        self.goodput = Goodput(self.status.get("goodput"))
        self.first = processes.is_first()
        self.documents = {
            "config.json": self.config.model_dump(mode="json"),
            "data.json": identity.as_json(),
        }

    def note(self, **values: Any) -> None:
        """Brings `run.json` up to date."""
        if self.first:
            self.run.update_status(**values, goodput=self.goodput.as_json())

    def play(self) -> Requests:
        """Plays attempts until one comes to the end."""
        if self.first:
            self.run.clean()
        if self.first and (left := self.checkpoints.clean()):
            yield Warned(
                f"removed from {self.checkpoints.path} what a process that was stopped at once "
                f"had left there: {', '.join(left)}"
            )
        processes.meet("the checkpoints are clean")
        state, bookmark, warnings = self._restore()
        yield from warnings
        while True:
            try:
                yield from self._attempt(state, bookmark)
                return
            except _FoundError as diverged:
                rollback, message = self._roll_back(diverged, bookmark.rollbacks)
            yield Warned(message)
            rollbacks = (*bookmark.rollbacks, rollback)
            state, bookmark, warnings = self._restore(scheduled=True)
            yield from warnings
            bookmark = bookmark._replace(rollbacks=rollbacks)

    def _attempt(self, restored: TrainState | None, bookmark: Bookmark) -> Requests:
        """Goes on from a state, None for step 0, to the end."""
        run, config, stop, goodput = self.run, self.config, self.stop, self.goodput
        steps = config.train.steps
        effective = lowered(config, len(bookmark.rollbacks))
        program = build_program(effective, self.dataset)
        state = program.initial_state(config.train.seed) if restored is None else restored
        step = int(state.step)
        yield Started(step, steps)
        if not bookmark.pending and (step >= steps or is_given_up(bookmark.best, config)):
            self.note(status="finished", step=step)
            yield Finished(step, 0.0, self._account())
            return
        if not self._rewind(step, bookmark):
            yield Warned(f"{run.metrics.path} was removed: it begins again after step {step}")

        # What is computed
        began = time.monotonic()
        mesh = processes.mesh_for(program.task.examples_per_update)
        if mesh is not None:
            state = jax.device_put(jax.device_get(state), processes.replicated(mesh))
        draw_examples, names = shown_examples(program.task, config, self.dataset)
        execution = build_execution(
            program.moves, program.source, config.train.seed, state, _MOST_STEPS_A_CALL, mesh
        )
        here = Progress(state, 0, jnp.zeros((0, len(execution.names))))
        meter = Meter(execution.names, bookmark.since_last_line, program.task.examples_per_update)
        best, at_end, pending = bookmark.best, False, False
        self.checkpoints.best = best and best.step

        def charge() -> None:
            waiting = not in_flight or in_flight[-1].is_done()
            goodput.charge("data" if waiting else "steps")

        def sample() -> Sampled:
            examples = draw_examples(here.state)
            if self.first:
                run.add_sample(step, examples)
            return Sampled(step, examples, names)

        def save() -> Saved:
            with goodput.within("checkpoints"):
                if finding := find_in_state(here.state):
                    raise self._put_aside(here.state, finding)
                if self.first:
                    mark = bookmark._replace(
                        since_last_line=meter.rows(),
                        metrics=run.metrics.mark(),
                        last_sample=at_end and step % config.sample.every != 0,
                        best=best,
                        pending=pending,
                        versions=versions(),
                    )
                    documents = self.documents | {BOOKMARK: mark.as_json()}
                    self.checkpoints.save(processes.of_one_device(here.state), documents)
            return Saved(step)

        def finish_saving() -> None:
            with goodput.within("checkpoints"):
                self.checkpoints.wait()
                processes.meet("everything is saved")

        def interrupted() -> RunInterruptedError:
            return RunInterruptedError(
                f"Stopped at step {step} of {steps}; everything is saved in {run.path}. "
                f"Go on with: gan resume {run.path}"
            )

        # Step 0, from which the strip of samples grows
        if step == 0:
            with goodput.within("samples"):
                yield sample()
            yield save()

        # Compilation; several processes go on alike, so there a request is heeded later
        listening = StopRequest() if processes.are_several() else stop
        with goodput.within("compile"):
            compile_began = time.monotonic()
            if not (yield Compile(effective, program, execution, state, listening)):
                finish_saving()  # Nothing was computed since the last checkpoint.
                raise interrupted()
        goodput.enter("steps")

        # The steps
        in_flight: deque[Progress] = deque()
        calls, saved = 0, time.monotonic()
        noted, most, boundary = saved, 1, step

        def drain(left: int) -> None:
            while len(in_flight) > left:
                meter.add(in_flight.popleft().rows())

        pending = bookmark.pending  # What is due at this step was put off by an interruption.
        while not at_end:
            if not pending:
                boundary = min(steps, *(step - step % every + every for every in self._intervals))
                goodput.enter("steps")
                here = yield Play(here, step, min(most, boundary - step), charge)
                step += here.steps
                goodput.steps += here.steps
                in_flight.append(here)
                calls += 1
                if calls == 1:
                    jax.block_until_ready(here.table)
                    meter.restart_clock()
                    yield Compiled(time.monotonic() - compile_began)
                drain(0 if calls <= _CALLS_ALONE else 1)  # One computes, the next is prepared.
                yield Advanced(step)
            pending = False

            # What is due here, alike in all processes
            next_most = round(_SECONDS_A_CALL / meter.pace) if calls > 1 and meter.pace else 1
            old = time.monotonic() - saved > 60 * config.checkpoint.minutes
            stopping, old, most = processes.agree(bool(stop), old, min(max(1, next_most), 2**20))
            at_end = step == steps
            line, rate = step % config.logging.every == 0, meter.rate()
            saving = stopping or old or at_end or step % config.checkpoint.every == 0
            if saving or step in (boundary, steps):
                drain(0)
                limit = config.divergence.loss_limit
                if finding := find_in_metrics(execution.names, meter.rows(), step, limit):
                    raise self._put_aside(here.state, finding)

            # Evaluation, line, sample, checkpoint
            figures: dict[str, float] = {}
            if self.judge and step % config.evaluation.every == 0:
                with goodput.within("evaluation"):
                    evaluate = partial(self.judge.evaluate, config, program.task, here.state, best)
                    outcome = while_listening(evaluate, listening)
                    if outcome is None:
                        pending, stopping, at_end = True, True, False
                    else:
                        evaluated, best = outcome
                        if best is not None:
                            self.checkpoints.best = best.step
                            self.note(best={k: getattr(best, k) for k in _BEST})
                        figures, line = evaluated.figures, True
                        yield evaluated
                        saving = saving or evaluated.best
                        at_end = at_end or is_given_up(best, config)
            saving = saving or at_end or stopping
            if (at_end or line) and not pending:
                values = meter.line() | {f"evaluation/{k}": v for k, v in figures.items()}
                if self.first:
                    run.metrics.append(step, values, last=not line)
                yield Measured(step, values, rate)
                if line:
                    meter.begin_line()
            if (at_end or step % config.sample.every == 0) and not pending:
                with goodput.within("samples"):
                    yield sample()
                meter.restart_clock()
            if saving:
                yield save()
                meter.restart_clock()
                saved = time.monotonic()
            if saving or time.monotonic() - noted > _SECONDS_A_STATUS:
                self.note(step=step)
                noted = time.monotonic()
            if stopping and not at_end:
                finish_saving()
                raise interrupted()
        finish_saving()
        self.note(status="finished", step=step)
        yield Finished(step, time.monotonic() - began, self._account())

    def _account(self) -> dict[str, Any]:
        """Where the time went, and how often the run was started again."""
        return {**self.goodput.as_json(), "restarts": self.status["restarts"]}

    @property
    def _intervals(self) -> list[int]:
        """After how many steps there is something to be done."""
        config = self.config
        own = [config.logging.every, config.sample.every, config.checkpoint.every]
        return [*own, config.evaluation.every] if self.judge else own

    def _rewind(self, step: int, bookmark: Bookmark) -> bool:
        """Makes the directory what it was at a step, and counts what is to be made again.

        Returns:
            Whether the metrics up to there are still there.
        """
        run, status = self.run, self.status
        if not self.first:
            return True
        if status["status"] != "new":
            held = status.get("step")
            held = held if isinstance(held, int) else 0
            known = max(run.metrics.last_step(), held)
            self.goodput.steps += known - held  # Made by a process that could not say so.
            self.goodput.steps_repeated += max(0, known - step)
        whole = run.metrics.rewind(bookmark.metrics)
        run.drop_samples_from(step if bookmark.last_sample else step + 1)
        self.note(
            status="running",
            step=step,
            versions=versions(),
            device=device_name(),
            restarts=status["restarts"] + int(status["status"] != "new"),
            rollbacks=list(bookmark.rollbacks),
        )
        self.status = run.status | {"status": "new"}  # A later attempt is no restart.
        return whole

    def _restore(self, scheduled: bool = False) -> tuple[TrainState | None, Bookmark, list[Event]]:
        """The newest sound state and its bookmark; see `restore_newest`."""
        _, like = state_like(self.config, self.dataset.spec)
        newest = restore_newest(self.checkpoints, like, scheduled)
        processes.meet("the state is restored")
        return newest.state, newest.bookmark, [Warned(message) for message in newest.warnings]

    def _put_aside(self, state: TrainState, finding: Finding) -> _FoundError:
        """Keeps the state in which a run diverged, for those who want to know why."""
        step = int(state.step)
        if self.first:
            aside = Checkpoints(self.run.path / "diverged", keep=2**31)
            mark = {"finding": finding._asdict(), "versions": versions()}
            documents = self.documents | {"divergence.json": mark}
            aside.save(processes.of_one_device(state), documents)
            aside.close()
        return _FoundError(finding, step, str(self.run.path / "diverged" / str(step)))

    def _roll_back(
        self, diverged: _FoundError, before: tuple[dict[str, Any], ...]
    ) -> tuple[dict[str, Any], str]:
        """The record of a rollback and what the user is told, or the end if the policy is to stop.

        The record holds nothing that depends on when the divergence was noticed.

        Raises:
            DivergedError: naming player, quantity and steps.
        """
        policy, finding = self.config.divergence, diverged.finding
        what = f"Training diverged: {finding}."
        if policy.policy == "stop" or len(before) >= policy.rollbacks:
            tried = f" after {len(before)} rollbacks" if before else ""
            raise DivergedError(
                f"{what} The run stops{tried}; its last checkpoint is sound, and the state in "
                f"which it diverged is in {diverged.aside}. Try a lower learning rate, "
                "clip_norm, a penalty, or divergence.policy=rollback.",
                finding,
            )
        self.checkpoints.wait()
        every = self.config.checkpoint.every
        back = max((s for s in self.checkpoints.steps() if s % every == 0), default=0)
        self.goodput.steps_repeated += diverged.step - back
        if self.first:
            self.checkpoints.discard_after(back)
        factor = policy.factor ** (len(before) + 1)
        record = {
            "player": finding.player,
            "quantity": finding.quantity,
            "value": finding.value,
            "step": finding.first,
            "back_to": back,
            "learning_rate_factor": factor,
        }
        return record, (
            f"{what} Going back to step {back} with learning rates times {factor:g} "
            f"(rollback {len(before) + 1} of at most {policy.rollbacks})."
        )
