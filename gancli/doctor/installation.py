"""Checks of the installation: versions, settings of JAX, devices and their drivers."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import jax
from packaging.requirements import Requirement

import gancli
from gancli.doctor.finding import Finding, Machine, fault, note, warning
from gancli.errors import UserError
from gancli.system.processes import start_devices

# The oldest driver for each CUDA (NVIDIA, CUDA Toolkit Release Notes, table 2).
_OLDEST_DRIVER = {12: 525, 13: 580}
_SECONDS = 10
_LOCK = "requirements.lock"


def versions(machine: Machine) -> Iterator[Finding]:
    """Installed packages outside the range that gan supports, or other than the lock's."""
    outside = []
    for text in requires("gancli") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        held = _version(requirement.name)
        if held is None or not requirement.specifier.contains(held, prereleases=True):
            outside.append(str(requirement))
            yield fault(
                "versions",
                f"{requirement.name} is {held or 'not installed'}, and gan needs "
                f"{requirement.specifier or 'it'}",
                f"pip install '{requirement.name}{requirement.specifier}'",
            )
    lock = Path(gancli.__file__).parents[1] / _LOCK
    if lock.is_file():  # A checkout; an installed package has none.
        pinned = dict(re.findall(r"^([\w.\-]+)==(\S+)$", lock.read_text(), re.MULTILINE))
        other = [
            f"{name} {held} ({wanted})"
            for name, wanted in pinned.items()
            if (held := _version(name)) is not None and held != wanted
        ]
        if other:
            yield warning(
                "versions",
                f"other than in {_LOCK}: {', '.join(other)}",
                f"pip install --upgrade --constraint {lock} --editable {lock.parent}",
            )
    if not outside:
        named = ("gancli", "jax", "flax", "optax", "orbax-checkpoint")
        yield note("versions", ", ".join(f"{name} {_version(name)}" for name in named))


def settings(machine: Machine) -> Iterator[Finding]:
    """Variables by which JAX computes something else, or not compiled."""
    for name, said, effect in (
        ("JAX_DISABLE_JIT", fault, "nothing is compiled, and training fails"),
        ("JAX_DEBUG_NANS", warning, "every step waits for its values to be checked"),
    ):
        if machine.environment.get(name, "").lower() in ("1", "true", "yes", "on"):
            yield said("settings", f"{name} is set: {effect}", f"unset {name}")


def devices(machine: Machine) -> Iterator[Finding]:
    """The devices that JAX computes on."""
    try:
        start_devices()
    except UserError as error:
        yield fault("devices", error.given, "unset JAX_PLATFORMS")
        return
    kinds = Counter(f"{one.platform} ({one.device_kind})" for one in jax.local_devices())
    yield note("devices", ", ".join(f"{count} × {kind}" for kind, count in kinds.items()))


def drivers(machine: Machine) -> Iterator[Finding]:
    """A GPU that JAX cannot use: its plugin is missing, or the driver is too old for it."""
    said = _nvidia_smi(machine)
    if said is None and not (machine.root / "proc/driver/nvidia/version").exists():
        return
    plugins = {
        major: name
        for major in _OLDEST_DRIVER
        if _version(name := f"jax-cuda{major}-plugin") is not None
    }
    asked = machine.environment.get("JAX_PLATFORMS", "")
    if asked and not {"cuda", "gpu"} & set(asked.split(",")):
        yield warning(
            "GPU", f"there is one, but JAX_PLATFORMS={asked} leaves it out", "unset JAX_PLATFORMS"
        )
    elif not plugins:
        yield fault(
            "GPU",
            "there is one, but JAX is installed without CUDA and computes on the CPU",
            "pip install 'gancli[cuda]'",
        )
    found = re.search(r"Driver Version: (\d+)", said or "")
    if found and plugins:
        driver, major = int(found[1]), max(plugins)
        if driver < _OLDEST_DRIVER[major]:
            fits = [one for one, oldest in _OLDEST_DRIVER.items() if driver >= oldest]
            yield fault(
                "GPU",
                f"its driver {driver} is too old for {plugins[major]}, which needs "
                f"{_OLDEST_DRIVER[major]}",
                f"pip install 'jax[cuda{max(fits)}]'" if fits else "update the driver",
            )


def _nvidia_smi(machine: Machine) -> str | None:
    """What `nvidia-smi` prints; None where it is missing or finds no GPU."""
    try:
        ended = subprocess.run(
            ["nvidia-smi"], capture_output=True, text=True, timeout=_SECONDS, check=False,
            env=dict(machine.environment),
        )  # fmt: skip
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
