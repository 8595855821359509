"""Pieces of photographs: where they come from, and that the splits share no pixel."""

import numpy as np
import pytest
from refusals import refused
from sklearn.datasets import load_sample_images

from gancli.data import DataRequest, load


def is_within(piece, region):
    windows = np.lib.stride_tricks.sliding_window_view(region, piece.shape)[:, :, 0]
    corner = (windows[..., 0, 0, :] == piece[0, 0]).all(axis=-1)
    return any((windows[row, column] == piece).all() for row, column in np.argwhere(corner))


@pytest.mark.parametrize(
    ("split", "columns"), [("train", slice(0, 480)), ("test", slice(480, 640))]
)
def test_pieces_lie_in_the_region_of_their_split(split, columns):
    """The photographs have 427x640 pixels, and three quarters of 640 are 480."""
    pieces = load("photographs:count=6", DataRequest(size=16, split=split)).examples
    assert pieces.shape == (6, 16, 16, 3)
    regions = [image[:, columns] for image in load_sample_images().images]
    for piece in pieces:
        assert any(is_within(piece, region) for region in regions)


def test_the_seed_decides_the_places():
    one, same, other = (load(f"photographs:count=20,seed={seed}").fingerprint for seed in (1, 1, 2))
    assert one == same != other
    assert load("photographs:count=3").spec.shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "request_", "given", "allowed"),
    [
        ("photographs:count=0", DataRequest(), ("count", "'0'"), ("1 ", "100,000")),
        ("photographs:seed=-1", DataRequest(), ("seed", "-1"), "0"),
        ("photographs", DataRequest(split="validation"), ("split", "'validation'"), "test, train"),
        (
            "photographs",
            DataRequest(size=161, split="test"),
            ("data.size", "161", "427x160 pixels"),
            "160",
        ),
        (
            "photographs",
            DataRequest(size="160x428", split="test"),
            ("data.size", "160x428", "427x160 pixels"),
            "427x160",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(name, request_, given, allowed):
    with refused("photographs", *given, allowed=allowed):
        load(name, request_)
