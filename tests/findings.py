"""What lines that tell of damage are tested by: the file that each begins with, and the facts."""

from collections.abc import Sequence


def require_findings(found: Sequence[str], *expected: tuple[str, ...]) -> None:
    """Requires that lines begin with these names, one after another, and hold these facts.

    Args:
        found: lines such as those of `verify`.
        *expected: for each line what it begins with, and what else is in it.
    """
    assert len(found) == len(expected), found
    for line, (name, *facts) in zip(found, expected, strict=True):
        assert line.startswith(name), (name, line)
        for fact in facts:
            assert fact in line.removeprefix(name), (fact, line)
