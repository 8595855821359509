"""Schedules: a value that may change over a run is a number or a function of the training step.

A schedule goes from an initial value to a final one. It is written as a spec,
`cosine:initial=2e-4,final=5e-5`, and stands in parentheses as the value of an option of another
spec: `r1:weight=(linear:initial=10,final=1),every=16`.
"""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gancli.errors import UserError, shown
from gancli.registry import Alternative, Bounds, Registry, Spec, parse_spec

# The training step -> the value there.
StepFunction = Callable[[ArrayLike], jax.Array]
# A number, which is traced as a constant, or a schedule as text or parsed.
Scheduled = ArrayLike | str | Spec

SCHEDULES = Registry("schedule")

Steps = Annotated[int, Bounds(0, 2**31 - 1)]


def value_at(value: Scheduled, step: ArrayLike) -> ArrayLike:
    """The value of a number or a schedule at a training step.

    Args:
        value: a number, which is returned unchanged, or a schedule.
        step: the training step, from 0.

    Returns:
        The number, or a float32 scalar.

    Raises:
        UserError: if the schedule does not fit the catalogue.
    """
    return SCHEDULES.build(value)(step) if isinstance(value, str | Spec) else value


def read_schedule(text: str, what: str, check: Callable[[float], object]) -> Spec:
    """Parses a schedule in place of a number.

    Args:
        text: the spec, with or without parentheses.
        what: name of the value in errors.
        check: raises an error for a number that is not allowed there; called with the initial
            and the final value.

    Raises:
        UserError: if the schedule does not fit the catalogue, naming the value.
    """
    try:
        spec = parse_spec(text)
        SCHEDULES.build(spec)
    except UserError as error:
        given = f"{what} was {shown(text)}, neither a number nor a schedule: {error.given}"
        raise UserError(given, error.allowed, error.remedy) from None
    for end in _ends(spec).values():
        check(end)
    return spec


MAY_BE_SCHEDULED = Alternative("a schedule", read_schedule)


def with_length(spec: Spec, last_step: int) -> Spec:
    """Sets the length of a schedule that lasts to the end of the run; others are unchanged."""
    options = SCHEDULES.options(spec)
    if options.get("steps") != 0:
        return spec
    length = max(1, last_step - options["begin"])
    return spec._replace(options={**spec.options, "steps": str(length)})


def end_of(spec: Spec) -> tuple[int, float]:
    """The step from which a schedule stays at its final value, and that value."""
    options = SCHEDULES.options(spec)
    return options["begin"] + options.get("steps", 0), options["final"]


def scaled(value: float | str, factor: float) -> float | str:
    """A number, or a schedule as text, multiplied by a factor."""
    if not isinstance(value, str):
        return value * factor
    spec = parse_spec(value)
    ends = {name: repr(end * factor) for name, end in _ends(spec).items()}
    return spec._replace(options={**spec.options, **ends}).text


@SCHEDULES.register("linear", reference="arXiv:1703.10593, section 4")
def linear(
    initial: float | None = None,
    final: float = 0.0,
    begin: Steps = 0,
    steps: Steps = 0,
    warmup: Steps = 0,
) -> StepFunction:
    """Linear from initial to final over steps, starting at begin; steps=0: to the run's end.

    f + (i - f) (1 - p), p = clip((step - begin) / steps, 0, 1).

    Args:
        initial: i, required.
        final: f.
        begin: the first step of the change.
        steps: its length; 0 for the rest of the run.
        warmup: number of first steps over which the value rises linearly from 0.
    """
    return _change(initial, final, warmup, lambda step: 1.0 - _progress(step, begin, steps))


@SCHEDULES.register("cosine", reference="arXiv:1608.03983")
def cosine(
    initial: float | None = None,
    final: float = 0.0,
    begin: Steps = 0,
    steps: Steps = 0,
    warmup: Steps = 0,
) -> StepFunction:
    """Half a cosine from initial to final over steps, starting at begin; steps=0: to the run's end.

    f + (i - f) (1 + cos(π p)) / 2, p = clip((step - begin) / steps, 0, 1).

    Args:
        initial: i, required.
        final: f.
        begin: the first step of the change.
        steps: its length; 0 for the rest of the run.
        warmup: number of first steps over which the value rises linearly from 0.
    """

    def ahead(step: jax.Array) -> jax.Array:
        return 0.5 * (1.0 + jnp.cos(jnp.pi * _progress(step, begin, steps)))

    return _change(initial, final, warmup, ahead)


@SCHEDULES.register("step", reference="arXiv:1512.03385, section 3.4")
def step(
    initial: float | None = None, final: float = 0.0, begin: Steps = 0, warmup: Steps = 0
) -> StepFunction:
    """The initial value before the step begin, and the final value from then on.

    Args:
        initial: the initial value, required.
        final: the value from `begin` on.
        begin: the step of the change.
        warmup: number of first steps over which the value rises linearly from 0.
    """
    return _change(initial, final, warmup, lambda step: jnp.float32(step < begin))


def _change(
    initial: float | None, final: float, warmup: int, ahead: Callable[[jax.Array], jax.Array]
) -> StepFunction:
    """Builds a schedule from the remaining share of its change at a step, 1 to 0."""
    if initial is None:
        raise UserError(
            "a schedule without its initial value",
            "the option initial",
            "For example cosine:initial=2e-4,final=5e-5",
        )
    change = initial - final

    def value(step: ArrayLike) -> jax.Array:
        now = jnp.float32(step)
        planned = final + change * ahead(now)
        return jnp.minimum(1.0, (now + 1) / warmup) * planned if warmup else planned

    return value


def _progress(step: jax.Array, begin: int, steps: int) -> jax.Array:
    """The completed share of the change at a step, in [0, 1]."""
    if not steps:
        raise UserError("a schedule without steps outside a run", "steps of at least 1")
    return jnp.clip((step - begin) / steps, 0.0, 1.0)


def _ends(spec: Spec) -> dict[str, float]:
    """The initial and the final value of a schedule."""
    options = SCHEDULES.options(spec)
    return {name: options[name] for name in ("initial", "final")}
