"""One run on disk: configuration, checkpoints, metrics, samples, status, and its lock."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from pydantic import TypeAdapter, ValidationError

from gancli.config import Config, from_json, to_json
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, printable
from gancli.files import (
    cannot_write,
    is_disposable,
    is_partial,
    read_json,
    read_text,
    replacing,
    require_utf8,
    write_json,
    write_text,
)
from gancli.runs.checkpoints import CHECKSUMS, Checkpoints
from gancli.runs.lock import locked
from gancli.runs.metrics import MetricsFile

# Entries that `create`, or `gan submit`, makes before the configuration.
_MADE_FIRST = {".lock", ".lock.held", "samples", "run.json", "slurm"}
_SPEC = TypeAdapter(DataSpec)


class DataIdentity(NamedTuple):
    """The description and content hash of a run's data."""

    spec: DataSpec
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """The identity as a JSON object."""
        return {**_described(self.spec), "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, value: Any) -> "DataIdentity":
        """Parses the result of `as_json`.

        Raises:
            UserError: if the object has another form.
        """
        try:
            spec = {name: held for name, held in value.items() if name != "fingerprint"}
            return cls(_SPEC.validate_python(spec), str(value["fingerprint"]))
        except (AttributeError, KeyError, ValidationError) as error:
            raise UserError(
                f"the data's description is damaged: {error}", "a file that gan train wrote"
            ) from None


def _described(spec: DataSpec) -> dict[str, Any]:
    """A data set's description as a JSON object."""
    target = {"target": _described(spec.target)} if spec.target else {}
    own = spec._asdict()
    del own["target"]
    return own | target


class Run:
    """A run directory.

    Args:
        path: the directory; `create` creates a new one.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def config_path(self) -> Path:
        """The path of the resolved configuration."""
        return self.path / "config.json"

    @property
    def exists(self) -> bool:
        """Whether the directory holds a run, finished or not; a checkpoint of one is none."""
        try:
            return self.config_path.is_file() and not (self.path / CHECKSUMS).exists()
        except OSError as error:
            raise UserError(
                f"cannot read {printable(str(self.path))}: {error.strerror}",
                "a readable path",
            ) from None

    @property
    def config(self) -> Config:
        """The resolved configuration.

        Raises:
            UserError: if the directory holds no run.
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
        whole = isinstance(held, dict) and {"status", "data", "restarts"} <= held.keys()
        if not whole or not isinstance(held["restarts"], int):
            raise UserError(
                f"{str(path)!r} is not the status of a run", "a file that gan train wrote"
            )
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
        """Its checkpoints; of those at multiples of `every` steps the newest `keep` are kept."""
        return Checkpoints(self.path / "checkpoints", keep, every)

    def require_free(self) -> None:
        """Refuses a directory with other content; an unfinished `create` counts as free.

        Raises:
            UserError: naming the content, or the reason why it cannot be read.
        """
        require_utf8(self.path)
        try:
            held = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
            samples = any(self.samples.iterdir()) if self.samples.exists() else False
        except OSError as error:
            raise cannot_write(self.path, error) from None
        strangers = {name for name in held - _MADE_FIRST if not is_disposable(name)}
        if found := sorted(strangers) or (["samples"] if samples else []):
            raise UserError(
                f"{str(self.path)!r} is not a run, but holds {found[0]!r}",
                "an empty or new directory",
                "Choose another --out",
            )

    def create(
        self, config: Config, data: DataIdentity, records: Mapping[str, Any] | None = None
    ) -> None:
        """Creates the directory; an existing one is not touched.

        Args:
            config: the configuration of the run.
            data: the identity of its data.
            records: further values for `run.json`.

        Raises:
            UserError: if it holds anything, or cannot be written.
        """
        self.require_free()
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from None
        status = {"status": "new", "data": data.as_json(), "restarts": 0, **(records or {})}
        write_json(self.path / "run.json", status)
        # Written last, because a directory with a configuration is a run.
        write_text(self.config_path, to_json(config))

    def update_config(self, config: Config) -> None:
        """Replaces the configuration; the caller has confirmed that it is the same run."""
        write_text(self.config_path, to_json(config))

    def update_status(self, **values: Any) -> None:
        """Updates values of `run.json`."""
        write_json(self.path / "run.json", self.status | values)

    def add_sample(self, step: int, examples: np.ndarray, labels: Sequence[str] = ()) -> None:
        """Stores the examples that were sampled at a step, for pictures of the progress.

        Args:
            step: the step.
            examples: the examples, of the same latents or sources at each step.
            labels: their labels, which are therefore the same at each step; empty for none.
        """
        path = self.samples / f"{step:08d}.npy"
        try:
            self.samples.mkdir(exist_ok=True)  # Somebody may have removed them all.
        except OSError as error:
            raise cannot_write(self.samples, error) from None
        if labels and not self._labels_path.exists():
            write_json(self._labels_path, list(labels))
        with replacing(path) as beside, beside.open("wb") as file:
            np.save(file, examples, allow_pickle=False)

    @property
    def sample_labels(self) -> list[str]:
        """The labels of the stored samples; empty if they have none.

        Raises:
            UserError: if they cannot be read.
        """
        if not self._labels_path.exists():
            return []
        held = read_json(self._labels_path)
        if not isinstance(held, list) or not all(isinstance(label, str) for label in held):
            raise UserError(
                f"{str(self._labels_path)!r} is not the labels of samples",
                "a file that gan train wrote",
                "Remove it; the next sample writes it again",
            )
        return held

    @property
    def _labels_path(self) -> Path:
        return self.samples / "labels.json"

    def sample_history(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the stored samples by step, ascending."""
        for path in sorted(self.samples.glob("[0-9]*.npy")):
            try:
                # Memory-mapped, so that a false header allocates nothing.
                yield int(path.stem), np.load(path, mmap_mode="r", allow_pickle=False)
            except Exception as error:
                # NumPy parses the header as Python, which raises many kinds of errors.
                raise UserError(
                    f"{str(path)!r} is not a sample: {str(error)[:200]!r}",
                    "a file that gan train wrote",
                    "Restore it, or remove it",
                ) from error

    def drop_samples_from(self, step: int) -> None:
        """Removes samples from a step on, which a resumed run will generate again."""
        try:
            for path in self.samples.glob("[0-9]*.*"):
                if path.stem.isdecimal() and int(path.stem) >= step:
                    path.unlink()
        except OSError as error:
            raise cannot_write(self.samples, error) from None

    def clean(self) -> None:
        """Removes unfinished files of a killed process.

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
        """Prevents other processes from writing to this run; see `locked`."""
        return locked(self.path)


def device_name() -> str:
    """The device that computes, in words."""
    first = jax.devices()[0]
    return f"{jax.device_count()} × {first.device_kind} ({first.platform})"
