"""The newest sound checkpoint of a run, with what is remembered beside it."""

from typing import NamedTuple

from gancli.adversarial.dynamics import TrainState
from gancli.errors import UserError
from gancli.runs.checkpoints import CheckpointDamagedError, Checkpoints, require_sound
from gancli.runs.resume_point import ResumePoint, beginning, read_resume_point
from gancli.runs.state_files import read_arrays
from gancli.runs.versions import other_versions, read_versions


class Newest(NamedTuple):
    """A state (None at step 0), its resume point, and what the user should know of newer ones."""

    state: TrainState | None
    resume_point: ResumePoint
    warnings: list[str]


def restore_newest(checkpoints: Checkpoints, like: TrainState, scheduled: bool = False) -> Newest:
    """Restores the newest sound checkpoint; those that are damaged are passed over, and said.

    Args:
        checkpoints: the run's.
        like: a state of the same shapes and types, abstract or not.
        scheduled: whether to leave out states that were saved at another time than the
            configuration says, which an uninterrupted run would not have.

    Returns:
        What was found; the beginning where there is no checkpoint at all.

    Raises:
        UserError: if there are checkpoints and none is sound, or one is of an incompatible
            version.
    """
    warnings: list[str] = []
    found = checkpoints.steps()
    for step in reversed(found):
        if scheduled and step % checkpoints.every:
            continue
        folder = checkpoints.folder(step)
        try:
            require_sound(folder)
            wrote = read_versions(folder)
            state = read_arrays(folder, like)
        except CheckpointDamagedError as error:
            warnings.append(f"{error} Going on from the one before it.")
            continue
        if others := other_versions(wrote):
            warnings.append(
                f"{folder} was written with other versions ({'; '.join(others)}): what follows "
                "may differ in its last digits from a run that was not stopped"
            )
        return Newest(state, read_resume_point(folder), warnings)
    if found:
        raise UserError(
            " ".join(warnings) or f"{checkpoints.path} has none from before the divergence",
            "at least one sound checkpoint",
            f"Bring one back, or remove {checkpoints.path} to train again from step 0",
        )
    return Newest(None, beginning(), warnings)
