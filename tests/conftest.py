"""What all tests share: a cache of their own, compiled programs kept between them."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from gancli.interruption import SIGNALS

# Before jax is imported anywhere: decoded data and compiled programs stay out of the user's
# cache, and compiled programs are shared by the tests of a machine.
_CACHE = Path(tempfile.gettempdir()) / f"gan-tests-{os.getuid()}"
os.environ["GAN_CACHE"] = str(_CACHE / "cache")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE / "compiled")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def at_first():
    """Handlers of signals by number, and the hook; before a module's fixture, a command, too."""
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    return handlers, sys.unraisablehook


@pytest.fixture(autouse=True)
def signal_handlers(at_first):
    """Gives back the handlers that a command under test keeps to the end of its process."""
    yield
    handlers, sys.unraisablehook = at_first
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of MNIST's IDX files; the test is skipped where it is not at hand."""
    return _folder("mnist")


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """The folder of Fashion-MNIST's IDX files."""
    return _folder("fashion_mnist")


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing, and tests may not skip here")
        pytest.skip(f"{folder} is not at hand")
    return folder
