"""A trained generator, which needs only its checkpoint."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Weights
from gancli.config import Config, from_json
from gancli.data.configured import located
from gancli.data.dataset import DataSpec
from gancli.errors import UserError
from gancli.files import read_json, read_text, sha256
from gancli.runs.checkpoints import (
    CHECKSUMS,
    CheckpointDamagedError,
    find_checkpoints,
    require_sound,
)
from gancli.runs.directory import DataIdentity
from gancli.runs.state_files import read_arrays
from gancli.runs.versions import read_versions
from gancli.tasks import Sampler, Task, Translator
from gancli.tasks.program import weights_like


class Generator(NamedTuple):
    """A trained generator and where it came from.

    `sha256` is that of its checkpoint's checksums; a run in training may remove the checkpoint.
    """

    task: Task
    weights: Weights
    config: Config
    data: DataIdentity
    checkpoint: Path
    step: int
    averaged: bool
    skipped: tuple[str, ...]
    sha256: str

    @property
    def spec(self) -> DataSpec:
        """The description of its examples."""
        return self.data.spec

    def provenance(self) -> dict[str, Any]:
        """The provenance of results of this generator, as a JSON object."""
        return {
            "checkpoint": str(self.checkpoint),
            "checkpoint_sha256": self.sha256,
            "step": self.step,
            "weights": "ema" if self.averaged else "raw",
            "training_seed": self.config.train.seed,
            "task": self.config.task,
            "loss": self.config.loss,
            "model": self.config.model,
            "precision": self.config.train.precision,
            "data": self.data.as_json(),
        }


def load_generator(
    path: Path, raw: bool = False, dataset: str | None = None, player: str | None = None
) -> Generator:
    """Restores a trained generator.

    Args:
        path: a run directory, or the folder of one checkpoint.
        raw: whether to use the raw weights instead of their moving average.
        dataset: where its data are now; None for where they were.
        player: whose weights to read; None for those of the player that samples.

    Returns:
        The generator of that checkpoint, or of the run's newest sound one.

    Raises:
        UserError: if there is no checkpoint.
        CheckpointDamagedError: if none is sound.
    """
    skipped: list[str] = []
    for checkpoint in find_checkpoints(path):
        try:
            found = _load(checkpoint, raw, tuple(skipped), player)
            return found._replace(config=located(found.config, path, dataset))
        except CheckpointDamagedError as error:
            skipped.append(str(error))
    raise CheckpointDamagedError(" ".join(skipped))


def sampler_of(task: Task) -> Sampler:
    """The sampler of a task that generates examples from noise.

    Raises:
        UserError: for an image-to-image task.
    """
    if isinstance(task.sampler, Translator):
        raise UserError(
            "the generator is an image-to-image model",
            "--source FOLDER with the input images, without --labels, --interpolate or --traverse",
        )
    return task.sampler


def _load(checkpoint: Path, raw: bool, skipped: tuple[str, ...], player: str | None) -> Generator:
    """Restores the generator of one checkpoint."""
    # Verified before anything is read, because the documents decide what is built.
    require_sound(checkpoint)
    checksum = sha256(checkpoint / CHECKSUMS)
    read_versions(checkpoint)
    config_path = checkpoint / "config.json"
    config = from_json(read_text(config_path), str(config_path))
    data = DataIdentity.from_json(read_json(checkpoint / "data.json"))
    task, average, like = weights_like(config, data.spec, player)
    averaged = average and not raw
    held = {"average": like._asdict()} if averaged else like._asdict()
    player = player or task.sampler.player
    tree = {"step": jax.ShapeDtypeStruct((), jnp.int32), "players": {player: held}}
    read = read_arrays(checkpoint, tree)
    found = read["players"][player]
    weights = Weights(**(found["average"] if averaged else found))
    step = int(read["step"])
    return Generator(task, weights, config, data, checkpoint, step, averaged, skipped, checksum)
