"""A laboratory for adversarial training: the command `gan`, and the same in Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gancli.api import compare, evaluate, load, resume, sample, train

__all__ = ["compare", "evaluate", "load", "resume", "sample", "train"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the version and the help load no numerical library.
    if name in __all__:
        from gancli import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
