"""Compilation in tests: fast for programs of a few steps, and its memory given back."""

import ctypes
import gc
import sys

# Without optimization, and by the emitters that are done soonest.
SOON = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
)

# Caches of functions, and with them of compiled programs, for later runs of a process.
_KEEPING = [
    ("gancli.training.execution", "_compiled"),
    ("gancli.training.execution", "step_of"),
    ("gancli.tasks.program", "_kept_moves"),
    ("gancli.tasks.program", "_kept_parts"),
]


def let_go():
    """Frees the compiled programs of this process."""
    for module, name in _KEEPING:
        if module in sys.modules:
            getattr(sys.modules[module], name).cache_clear()
    sys.modules["jax"].clear_caches()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
