"""Returns to an earlier checkpoint: after divergence, and to train on with a remedy."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.config.layers import with_values
from gancli.data.dataset import Dataset
from gancli.errors import DivergedError, UserError
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.directory import Run
from gancli.runs.state_files import forms
from gancli.tasks.program import build_program, state_like
from gancli.training.monitors import Change, Diagnosis, Finding, Remedy
from gancli.training.monitors.diagnosis import in_words
from gancli.training.monitors.divergence import lowered

# A rollback as `run.json` and resume points hold it.
Record = Mapping[str, Any]


class FoundError(Exception):
    """A monitor found a fault that training cannot continue with."""

    def __init__(self, finding: Finding):
        self.finding = finding


class Rollback(NamedTuple):
    """A return to a checkpoint: its record, and the message for the user.

    Every record has `step`, `back_to`, and `changes`, the values of the configuration with which
    the run goes on, by dotted key. Besides, that of a divergence has `player`, `quantity`, `value`
    and `learning_rate_factor`, and that of a remedy `pathology`, `evidence` and `remedy`. Nothing
    in it depends on when a divergence was noticed.
    """

    record: Record
    message: str


class RemediedError(Exception):
    """The attempt ends, because the run goes back to train on with a remedy."""

    def __init__(self, rollback: Rollback):
        self.rollback = rollback


def changes_of(records: Iterable[Record]) -> dict[str, Any]:
    """What rollbacks have changed in a configuration, by dotted key.

    Raises:
        UserError: if an earlier version wrote one, which did not say.
    """
    return {key: value for record in records for key, value in _changes(record).items()}


def _changes(record: Record) -> Mapping[str, Any]:
    if "changes" not in record:
        raise UserError(
            f"the rollback from step {record.get('step')} does not say what it changed: an earlier "
            "version of gan made it",
            "rollbacks with `changes`",
            "Train the run anew, from its config.json",
        )
    return record["changes"]


def changed(config: Config, records: Iterable[Record]) -> Config:
    """The configuration that a run computes with after rollbacks."""
    changes = changes_of(records)
    return with_values(config, changes) if changes else config


def sentence_of(record: Record) -> str:
    """A rollback in words."""
    if "pathology" in record:
        found = f"{in_words(record['pathology'])}, {record['evidence']}"
    else:
        found = "{quantity} of the {player} was {value}".format(**record)
    words = shlex.join(Remedy(_changes(record), "").options)
    return "step {step}: {0}; went back to step {back_to} with {1}".format(found, words, **record)


def after_divergence(
    config: Config,
    run: Run,
    checkpoints: Checkpoints,
    state: TrainState,
    documents: Mapping[str, Any],
    finding: Finding,
    before: Sequence[Record],
) -> Rollback:
    """Keeps the state in which a run diverged, and decides which checkpoint it returns to.

    Args:
        config: configuration that the run computes with.
        run: the run.
        checkpoints: checkpoints of the run.
        state: the state, which is kept for inspection.
        documents: the documents that are saved with it.
        finding: the monitor's finding.
        before: earlier rollbacks.

    Raises:
        DivergedError: if the policy is to stop, or the rollbacks are used up.
    """
    aside = Checkpoints(run.path / "diverged", keep=2**31)
    aside.save(state, {**documents, "divergence.json": finding._asdict()})
    aside.close()
    checkpoints.wait()
    policy, what = config.divergence, f"Training diverged: {finding}."
    number = 1 + sum("pathology" not in record for record in before)
    if policy.policy == "stop" or number > policy.rollbacks:
        tried = f" after {number - 1} rollbacks" if number > 1 else ""
        raise DivergedError(
            f"{what} The run stops{tried}; its last checkpoint is sound, and the state in which "
            f"it diverged is in {aside.folder(int(state.step))}. Try a lower learning rate, "
            "clip_norm, a penalty, or divergence.policy=rollback.",
            finding,
        )
    every = config.checkpoint.every
    record = {
        "player": finding.player,
        "quantity": finding.quantity,
        "value": finding.value,
        "step": finding.first,
        "back_to": max((s for s in checkpoints.steps() if s % every == 0), default=0),
        "learning_rate_factor": policy.factor**number,
        "changes": lowered(config),
    }
    return Rollback(
        record,
        f"{what} Going back to step {record['back_to']} with learning rates times "
        f"{record['learning_rate_factor']:g} (rollback {number} of at most {policy.rollbacks}).",
    )


def plan_remedy(
    diagnosis: Diagnosis,
    begun: Sequence[Change],
    dataset: Dataset,
    checkpoints: Checkpoints,
    before: Sequence[Record],
) -> Rollback | None:
    """Decides which checkpoint a run returns to for a pathology, and with which remedy.

    The checkpoint is the newest one that was saved on schedule before the first evidence. The
    remedy is the first one of the pathology that was not applied yet, and with which the state
    keeps its shape.

    Args:
        diagnosis: diagnosis of the run, by the configuration that it computes with.
        begun: the pathologies that begin.
        dataset: data of the run.
        checkpoints: checkpoints of the run, all of them written.
        before: earlier rollbacks.

    Returns:
        The rollback for the first of them that has such a checkpoint and such a remedy; None
        without one, or if the remedies are used up.
    """
    config = diagnosis.history.config
    applied = {record["remedy"] for record in before if "pathology" in record}
    number = len(applied) + 1
    if number > config.monitors.remedies:
        return None
    for change in begun:
        back = _checkpoint_before(diagnosis.since(change.name), change.step, checkpoints)
        for remedy in diagnosis.known[change.name].remedies if back is not None else ():
            if remedy.reason not in applied and _can_be_applied(config, remedy, dataset):
                record = {
                    "pathology": change.name,
                    "evidence": change.evidence,
                    "remedy": remedy.reason,
                    "step": change.step,
                    "back_to": back,
                    "changes": dict(remedy.changes),
                }
                return Rollback(
                    record,
                    f"{change.sentence}; going back to step {back} with "
                    f"{shlex.join(remedy.options)} (remedy {number} of at most "
                    f"{config.monitors.remedies})",
                )
    return None


def _checkpoint_before(first: int, step: int, checkpoints: Checkpoints) -> int | None:
    """The newest scheduled checkpoint from before step `first` of those kept at `step`, or None.

    Older ones may be left by a process that was killed, or kept as the best. They do not count, so
    that the choice does not depend on interruptions.
    """
    every = checkpoints.every
    oldest = (step // every - checkpoints.keep + 1) * every
    kept = (one for one in checkpoints.steps() if one % every == 0 and oldest <= one < first)
    return max(kept, default=None)


def _can_be_applied(config: Config, remedy: Remedy, dataset: Dataset) -> bool:
    """Whether a run can go on from its state with a remedy."""
    try:
        remedied = with_values(config, remedy.changes)
        build_program(remedied, dataset)
    except UserError:  # Its parts do not fit, such as a penalty and batch normalization.
        return False
    own, other = (forms(state_like(one, dataset.spec)[1]) for one in (config, remedied))
    return own == other
