"""What a refusal is tested by: its kind, and the values and names in its parts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gancli.errors import UserError

Names = str | tuple[str, ...]


@contextmanager
def refused(
    *given: str, allowed: Names = (), remedy: Names = ()
) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expects a `UserError`.

    Args:
        *given: offending values, and keys, files or options by which they came, all of which
            its `given` names.
        allowed: values or names that its `allowed` offers.
        remedy: commands, options, settings or names that its `remedy` offers.
    """
    with pytest.raises(UserError) as caught:
        yield caught
    require_parts(caught.value, given, allowed, remedy)


def require_parts(error: UserError, given: Names, allowed: Names = (), remedy: Names = ()) -> None:
    """Requires that a refusal's parts name these; see `refused`."""
    for part, expected in (("given", given), ("allowed", allowed), ("remedy", remedy)):
        said = getattr(error, part)
        for name in (expected,) if isinstance(expected, str) else expected:
            assert name in said, f"{part} does not name {name!r}: {said!r}"
