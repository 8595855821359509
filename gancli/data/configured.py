"""The data sets that a configuration names."""

import os
from pathlib import Path

from gancli.config import Config
from gancli.data.catalogue import load, load_pairs, load_two
from gancli.data.dataset import DATASETS, DataRequest, Dataset
from gancli.data.formats.tfds import is_prepared
from gancli.files import is_output, seen_from_above


def load_data(config: Config) -> Dataset:
    """Loads the data set of a configuration.

    Raises:
        UserError: if it is missing or cannot be read.
    """
    return load_split(config, config.data.split)


def load_split(config: Config, split: str) -> Dataset:
    """Loads a split of the data set of a configuration, and of its target, if it has one.

    Raises:
        UserError: if they are missing, cannot be read, or do not fit each other.
    """
    data, request = config.data, request_of(config)._replace(split=split)
    if data.paired:
        return load_pairs(data.name, data.target, request, turned=data.paired == "BtoA")
    return load_two(data.name, data.target, request) or load(data.name, request)


def located(config: Config, run: Path, dataset: str | None = None) -> Config:
    """A run's configuration, naming its data where they are now.

    Args:
        config: as the run has it. A relative path in it that leads nowhere from the working
            directory is looked for from each directory above the run.
        run: the directory of the run, or of a checkpoint in it.
        dataset: where its data are; None for where the configuration says.

    Returns:
        The configuration. Whether the data are the same their fingerprint decides.
    """
    found = {"name": dataset or _found(config.data.name, run)}
    if config.data.target:
        found["target"] = _found(config.data.target, run)
    return config.model_copy(update={"data": config.data.model_copy(update=found)})


def _found(name: str, run: Path) -> str:
    path = Path(os.path.expanduser(name))
    known = name.partition(":")[0].strip() in DATASETS or is_prepared(name)
    if known or os.path.lexists(path):
        return name
    return next((str(place) for place in seen_from_above(path, run) if not _is_run(place)), name)


def _is_run(place: Path) -> bool:
    """Whether a place is a run, which may have the name of its data set."""
    return place.is_dir() and is_output(place, set(os.listdir(place)))


def request_of(config: Config) -> DataRequest:
    """How a configuration wants its data delivered."""
    data = config.data
    return DataRequest(
        data.size,
        data.fit,
        data.split,
        data.skip_damaged,
        data.holdout,
        data.white_level,
        data.keep,
    )
