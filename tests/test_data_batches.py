"""Batches as a function of (seed, draw)."""

import itertools

import jax
import numpy as np
import pytest
from refusals import refused

from gancli.data.batches import BatchPlan, batch_source
from gancli.data.dataset import Dataset, DataSpec


def images(count=10, labelled=True):
    examples = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2, 1)
    labels = np.arange(count, dtype=np.int32) if labelled else None
    return Dataset(DataSpec("numbers", "image", (2, 2, 1), ()), examples, labels, "f")


def test_an_epoch_holds_each_example_at_most_once_and_epochs_differ():
    plan = BatchPlan(10, 3, seed=7)
    assert plan.draws_per_epoch == 3
    epochs = [np.concatenate([plan.indices(3 * e + d) for d in range(3)]) for e in range(4)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 9
    assert len({tuple(epoch) for epoch in epochs}) == 4
    left_out = {(set(range(10)) - set(epoch.tolist())).pop() for epoch in epochs}
    assert len(left_out) > 1


def test_draws_depend_on_seed_and_number_alone():
    plan = BatchPlan(1000, 8, seed=7)
    late = plan.indices(12345)
    np.testing.assert_array_equal(late, BatchPlan(1000, 8, seed=7).indices(12345))
    assert (late != BatchPlan(1000, 8, seed=8).indices(12345)).any()
    # Philox keyed by (7, epoch 98), as NumPy has given it since 1.17.
    order = np.random.Generator(np.random.Philox(key=[7, 98])).permutation(1000)
    np.testing.assert_array_equal(late, order[95 * 8 : 96 * 8])


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("first", [0, 5])
def test_streamed_and_resident_batches_are_equal(first, labelled):
    dataset = images(labelled=labelled)
    sources = [batch_source(dataset, 4, 3, limit) for limit in (2**20, 0)]
    assert [source.streams for source in sources] == [False, True]
    batches = [
        [
            jax.jit(source.materialize)(source.resident, argument)
            for argument in itertools.islice(source.arguments(first), 6)
        ]
        for source in sources
    ]
    for resident, streamed in zip(*batches, strict=True):
        assert (
            set(resident) == set(streamed) == ({"examples", "labels"} if labelled else {"examples"})
        )
        for name in resident:
            np.testing.assert_array_equal(resident[name], streamed[name])


def test_images_come_in_minus_one_to_one_with_their_labels():
    source = batch_source(images(64), 64, 0, 2**20)
    batch = source.materialize(source.resident, next(source.arguments(0)))
    first = np.asarray(batch["examples"])[:, 0, 0, 0]
    np.testing.assert_allclose(first, np.asarray(batch["labels"]) * 4 / 127.5 - 1, atol=1e-6)
    assert batch["examples"].dtype == np.float32


def test_a_batch_larger_than_the_set_is_refused():
    with refused("11 examples", "'numbers'", "10", allowed="10", remedy="--batch"):
        batch_source(images(), 11, 0, 2**20)
