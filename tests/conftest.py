"""What all tests share: strictness, a cache of their own, compiled programs kept between them."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from budget import Accountant
from compiling import SOON, let_go

from gancli.system.interruption import SIGNALS

# Before jax is imported anywhere: decoded data and compiled programs stay out of the user's
# cache, and compiled programs are shared by the tests of a machine.
_CACHE = Path(tempfile.gettempdir()) / f"gan-tests-{os.getuid()}"
os.environ["GAN_CACHE"] = str(_CACHE / "cache")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_CACHE / "compiled")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
# Arrays of other ranks or types meet only where the code says so.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"

# A worker that has grown by so much lets go of what JAX has compiled.
_MOST_GROWTH_MIB = 250

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Every session reports its cost; most compile programs without optimization."""
    if config.option.markexpr != "exhaustive":
        os.environ.setdefault("XLA_FLAGS", SOON)
    config.pluginmanager.register(Accountant(config))
    if not hasattr(config, "workerinput"):
        os.environ["GAN_TESTS_RUNS"] = tempfile.mkdtemp(prefix="gan-tests-runs-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the runs that the workers shared."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["GAN_TESTS_RUNS"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def at_first():
    """Handlers of signals by number, and the hook; before a module's fixture, a command, too."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Under nohup it would not be listened to.
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
def given_back():
    """The MiB that the worker held when it last let go of what it could."""
    return {"held": _resident_mib()}


@pytest.fixture(autouse=True)
def memory_is_given_back(given_back):
    """A worker that plays many programs would hold them all to its end."""
    yield
    if "jax" in sys.modules and _resident_mib() > given_back["held"] + _MOST_GROWTH_MIB:
        let_go()
        given_back["held"] = _resident_mib()


def _resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


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
