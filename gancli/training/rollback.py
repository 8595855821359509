"""What happens when training diverges: the state is put aside; the run rolls back or stops."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.errors import DivergedError
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.directory import Run
from gancli.training.monitors import Finding


class FoundError(Exception):
    """A monitor found a fault that training cannot continue with."""

    def __init__(self, finding: Finding):
        self.finding = finding


class Rollback(NamedTuple):
    """One rollback in `run.json`; nothing in it depends on when the divergence was noticed."""

    player: str
    quantity: str
    value: str
    step: int
    back_to: int
    learning_rate_factor: float


def put_aside(run: Run, state: TrainState, documents: Mapping[str, Any], finding: Finding) -> None:
    """Keeps the state in which a run diverged, for inspection."""
    aside = Checkpoints(run.path / "diverged", keep=2**31)
    aside.save(state, {**documents, "divergence.json": finding._asdict()})
    aside.close()


def plan_rollback(
    config: Config, run: Run, checkpoints: Checkpoints, finding: Finding, step: int, before: int
) -> tuple[Rollback, str]:
    """Decides which checkpoint a diverged run returns to.

    Args:
        config: configuration of the run.
        run: the run, with its diverged state already put aside.
        checkpoints: checkpoints of the run.
        finding: the monitor's finding.
        step: step at which it was noticed.
        before: number of earlier rollbacks.

    Returns:
        The rollback, and the message for the user.

    Raises:
        DivergedError: if the policy is to stop, or the rollbacks are used up.
    """
    policy, what = config.divergence, f"Training diverged: {finding}."
    if policy.policy == "stop" or before >= policy.rollbacks:
        tried = f" after {before} rollbacks" if before else ""
        raise DivergedError(
            f"{what} The run stops{tried}; its last checkpoint is sound, and the state in which "
            f"it diverged is in {run.path / 'diverged' / str(step)}. Try a lower learning rate, "
            "clip_norm, a penalty, or divergence.policy=rollback.",
            finding,
        )
    every = config.checkpoint.every
    back = max((s for s in checkpoints.steps() if s % every == 0), default=0)
    factor = policy.factor ** (before + 1)
    rollback = Rollback(
        finding.player, finding.quantity, finding.value, finding.first, back, factor
    )
    return rollback, (
        f"{what} Going back to step {back} with learning rates times {factor:g} "
        f"(rollback {before + 1} of at most {policy.rollbacks})."
    )
