"""The newest sound checkpoint of a run, with its resume point."""

from typing import NamedTuple

from gancli.adversarial.dynamics import TrainState
from gancli.errors import UserError
from gancli.runs.checkpoints import CheckpointDamagedError, Checkpoints, require_sound
from gancli.runs.resume_point import ResumePoint, beginning, read_resume_point
from gancli.runs.state_files import read_arrays
from gancli.runs.versions import other_versions, read_versions


class Newest(NamedTuple):
    """A state (None at step 0), its resume point, and warnings about newer checkpoints."""

    state: TrainState | None
    resume_point: ResumePoint
    warnings: list[str]


def restore_newest(checkpoints: Checkpoints, like: TrainState, up_to: int | None = None) -> Newest:
    """Restores the newest sound checkpoint; damaged ones are skipped with a warning.

    Args:
        checkpoints: checkpoints of the run.
        like: a state of the same shapes and types, abstract or concrete.
        up_to: considers only states up to this step and, because an uninterrupted run would not
            have others, those that were saved on schedule; None for all.

    Returns:
        The checkpoint; step 0 if there is none at all.

    Raises:
        UserError: if there are checkpoints but none is sound, or one has an incompatible version.
    """
    warnings: list[str] = []
    found = checkpoints.steps()
    for step in reversed(found):
        if up_to is not None and (step > up_to or step % checkpoints.every):
            continue
        folder = checkpoints.folder(step)
        try:
            require_sound(folder)
            wrote = read_versions(folder)
            state = read_arrays(folder, like)
        except CheckpointDamagedError as error:
            warnings.append(f"{error} Resuming from the previous one.")
            continue
        if others := other_versions(wrote):
            warnings.append(
                f"{folder} was written with other versions ({'; '.join(others)}): further steps "
                "may differ in their last digits from an uninterrupted run"
            )
        return Newest(state, read_resume_point(folder), warnings)
    if found:
        raise UserError(
            " ".join(warnings) or f"{checkpoints.path} has none up to step {up_to}",
            "at least one sound checkpoint",
            f"Restore one, or remove {checkpoints.path} to train again from step 0",
        )
    return Newest(None, beginning(), warnings)
