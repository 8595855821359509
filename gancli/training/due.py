"""What is due at a step of a run, the same in all processes."""

from typing import NamedTuple

from gancli.config import Config


class Due(NamedTuple):
    """What is due at a step."""

    check: bool
    probe: bool
    evaluate: bool
    line: bool
    preview: bool
    save: bool
    stop: bool


def due_at(config: Config, step: int, is_boundary: bool, stop: bool, old: bool) -> Due:
    """What is due at a step.

    Args:
        config: configuration of the run.
        step: the step.
        is_boundary: whether it is the last one of those that were dispatched up to something due.
        stop: whether the run was asked to stop.
        old: whether the newest checkpoint is old.
    """
    save = stop or old or _divides(config.checkpoint.every, step)
    probe = _divides(config.monitors.every, step)
    return Due(
        check=save or is_boundary,
        probe=probe,
        evaluate=_divides(config.evaluation.every, step),
        line=probe or _divides(config.logging.every, step),
        preview=_divides(config.sample.every, step),
        save=save,
        stop=stop,
    )


def next_due(config: Config, step: int) -> int:
    """The next step after a step at which something is due."""
    sections = (
        config.logging,
        config.sample,
        config.checkpoint,
        config.evaluation,
        config.monitors,
    )
    return min(step - step % of.every + of.every for of in sections if of.every)


def _divides(every: int, step: int) -> bool:
    """Whether what happens every so many steps, 0 for never, happens at a step."""
    return bool(every) and step % every == 0
