"""The data sets that a configuration names."""

from gancli.config import Config
from gancli.data.catalogue import load
from gancli.data.dataset import DataRequest, Dataset, towards


def load_data(config: Config) -> Dataset:
    """The data set that a configuration names.

    Raises:
        UserError: if it is not there or cannot be read.
    """
    return load_split(config, config.data.split)


def load_split(config: Config, split: str) -> Dataset:
    """A split of the data set that a configuration names, and of its target, if it has one.

    Raises:
        UserError: if they are not there, cannot be read, or do not fit each other.
    """
    request = request_of(config)._replace(split=split)
    dataset = load(config.data.name, request)
    return towards(dataset, load(config.data.target, request)) if config.data.target else dataset


def request_of(config: Config) -> DataRequest:
    """How a configuration wants its data delivered."""
    data = config.data
    return DataRequest(
        data.size, data.fit, data.split, data.skip_damaged, data.holdout, data.white_level
    )
