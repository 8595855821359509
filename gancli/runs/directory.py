"""One run on disk: configuration, checkpoints, metrics, samples, status, and its lock."""

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gancli.config import Config, from_json, to_json
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, printable, shown
from gancli.files import (
    cannot_write,
    is_partial,
    read_json,
    read_text,
    replacing,
    require_utf8,
    write_json,
    write_text,
)
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.lock import locked
from gancli.runs.metrics import MetricsFile

# What `create` has made when it is cut off before the configuration.
_MADE_FIRST = {".lock", ".lock.held", "samples", "run.json"}


class DataIdentity(NamedTuple):
    """What a run remembers of its data: the shape of an example, and the content's hash."""

    spec: DataSpec
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """The identity as a JSON object."""
        return {**_described(self.spec), "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, value: Any) -> "DataIdentity":
        """Restores what `as_json` gave.

        Raises:
            UserError: if the object is not one.
        """
        try:
            return cls(_spec(value), str(value["fingerprint"]))
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise UserError(
                f"the data's description is not one: {error!r}", "what gan train wrote"
            ) from None


def _described(spec: DataSpec) -> dict[str, Any]:
    """A data set's description as a JSON object."""
    target = {"target": _described(spec.target)} if spec.target else {}
    own = spec._asdict()
    del own["target"]
    return own | target


def _spec(value: Any, second: bool = False) -> DataSpec:
    """What `_described` gave, again; the second set has none beside it."""
    kind, shape = value["kind"], tuple(int(side) for side in value["shape"])
    axes = {"image": 3, "points": 1, "tokens": 1}.get(kind)
    if len(shape) != axes or not all(0 < side <= 2**16 for side in shape):
        raise ValueError(f"kind {kind!r}, shape {shape}")
    # What was written before there were tokens has none of these.
    vocabulary, characters = int(value.get("vocabulary", 0)), str(value.get("characters", ""))
    least, most = (2, 2**16) if kind == "tokens" else (0, 0)
    if not least <= vocabulary <= most or len(characters) not in (0, vocabulary):
        raise ValueError(f"kind {kind!r}, {vocabulary} tokens of {shown(characters)}")
    height = int(value.get("height", 0))
    if height and (kind != "tokens" or height < 0 or shape[0] % height):
        raise ValueError(f"kind {kind!r}, shape {shape}, {height} rows of pixels")
    target = _spec(value["target"], second=True) if "target" in value and not second else None
    name, classes = str(value["name"]), tuple(map(str, value["classes"]))
    return DataSpec(name, kind, shape, classes, vocabulary, characters, height, target)


class Run:
    """A run directory.

    Args:
        path: the directory; `create` makes a new one.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def config_path(self) -> Path:
        """Where the resolved configuration is."""
        return self.path / "config.json"

    @property
    def exists(self) -> bool:
        """Whether there is a run here, finished or not."""
        try:
            return self.config_path.is_file()
        except OSError as error:
            raise UserError(
                f"cannot look into {printable(str(self.path))}: {error.strerror}",
                "a path that can be read",
            ) from None

    @property
    def config(self) -> Config:
        """The resolved configuration.

        Raises:
            UserError: if there is no run here.
        """
        if not self.exists:
            raise UserError(
                f"{str(self.path)!r} is not a run",
                "a directory made by gan train",
                "Check the path",
            )
        return from_json(read_text(self.config_path), str(self.config_path))

    @property
    def status(self) -> dict[str, Any]:
        """The content of `run.json`."""
        path = self.path / "run.json"
        held = read_json(path)
        if not isinstance(held, dict) or not {"status", "data", "restarts"} <= held.keys():
            raise UserError(f"{str(path)!r} is not the status of a run", "what gan train wrote")
        return held

    @functools.cached_property
    def metrics(self) -> MetricsFile:
        """Its metrics."""
        return MetricsFile(self.path / "metrics.jsonl")

    @property
    def samples(self) -> Path:
        """The folder of its samples."""
        return self.path / "samples"

    def checkpoints(self, keep: int = 1, every: int = 1) -> Checkpoints:
        """Its checkpoints, of which the newest `keep` of those `every` so many steps stay."""
        return Checkpoints(self.path / "checkpoints", keep, every)

    def require_free(self) -> None:
        """Refuses a directory that holds what is not a run; one cut off in its making is free.

        Raises:
            UserError: naming what is there, or why it cannot be read.
        """
        require_utf8(self.path)
        try:
            held = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            samples = any(self.samples.iterdir()) if self.samples.exists() else False
        except OSError as error:
            raise cannot_write(self.path, error) from None
        strangers = {name for name in held - _MADE_FIRST if not is_partial(name)}
        if found := sorted(strangers) or (["samples"] if samples else []):
            raise UserError(
                f"{str(self.path)!r} holds {found[0]!r} and is not a run",
                "an empty or a new directory",
                "Choose another --out",
            )

    def create(self, config: Config, data: DataIdentity) -> None:
        """Makes the directory; nothing of an existing one is touched.

        Raises:
            UserError: if it holds anything, or cannot be written.
        """
        self.require_free()
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from None
        write_json(self.path / "run.json", {"status": "new", "data": data.as_json(), "restarts": 0})
        # Last: a directory with a configuration is a run.
        write_text(self.config_path, to_json(config))

    def update_config(self, config: Config) -> None:
        """Replaces the configuration, whose identity the caller has confirmed."""
        write_text(self.config_path, to_json(config))

    def update_status(self, **values: Any) -> None:
        """Changes values of `run.json`."""
        write_json(self.path / "run.json", self.status | values)

    def add_sample(self, step: int, examples: np.ndarray) -> None:
        """Keeps the examples that were sampled at a step, for pictures of their growth."""
        path = self.samples / f"{step:08d}.npy"
        try:
            self.samples.mkdir(exist_ok=True)  # Somebody may have removed them all.
        except OSError as error:
            raise cannot_write(self.samples, error) from None
        with replacing(path) as beside, beside.open("wb") as file:
            np.save(file, examples, allow_pickle=False)

    def sample_history(self) -> Iterator[tuple[int, np.ndarray]]:
        """The samples that were kept, by step, ascending."""
        for path in sorted(self.samples.glob("[0-9]*.npy")):
            try:
                # Mapped, so that a header that is false of its file allocates nothing.
                yield int(path.stem), np.load(path, mmap_mode="r", allow_pickle=False)
            except Exception as error:
                # NumPy parses the header as Python, whose errors are of many kinds.
                raise UserError(
                    f"{str(path)!r} is not a sample: {str(error)[:200]!r}",
                    "what gan train wrote",
                    "Bring it back, or remove it",
                ) from error

    def drop_samples_from(self, step: int) -> None:
        """Removes samples of a step and later ones, which a resumed run will make again."""
        try:
            for path in self.samples.glob("[0-9]*.*"):
                if path.stem.isdecimal() and int(path.stem) >= step:
                    path.unlink()
        except OSError as error:
            raise cannot_write(self.samples, error) from None

    def clean(self) -> None:
        """Removes the part of a file that a process was writing when it was killed.

        Raises:
            UserError: if the file system refuses.
        """
        try:
            for folder in (self.path, self.samples):
                for path in folder.iterdir() if folder.is_dir() else ():
                    if is_partial(path.name) and path.is_file():
                        path.unlink()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def lock(self) -> AbstractContextManager[None]:
        """Keeps other processes from writing to this run; see `locked`."""
        return locked(self.path)


def device_name() -> str:
    """The device that computes, in words."""
    first = jax.devices()[0]
    return f"{jax.device_count()} × {first.device_kind} ({first.platform})"
