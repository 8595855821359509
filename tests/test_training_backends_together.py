"""Runs trained together: each equals the run alone up to rounding, and none is lost."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gancli.adversarial.losses import LOSSES
from gancli.adversarial.penalties import PENALTIES
from gancli.config import Layer
from gancli.data.configured import load_data
from gancli.errors import DivergedError, RunInterruptedError
from gancli.registry import Registry, Spec
from gancli.runs.state_files import read_arrays
from gancli.system.interruption import StopRequest
from gancli.tasks.program import state_like
from gancli.training.backends.devices import Devices
from gancli.training.backends.likeness import differing, likeness, with_numbers
from gancli.training.backends.together import Seat, Together, train_together
from gancli.training.events import Finished, Saved, Started
from gancli.training.loop import train
from gancli.training.monitors import Remedy, diagnosis
from gancli.training.monitors.diagnosis import Pathology
from gancli.training.planning import opened, plan

POINTS = {
    "data.name": "ring8:count=1000",
    "model": "mlp:width=16,depth=2",
    "loss": "wasserstein",
    "train.steps": 12,
    "train.batch": 20,
    "logging.every": 5,
    "sample.every": 6,
    "sample.count": 10,
    "checkpoint.every": 4,
}
IMAGES = POINTS | {
    "data.name": "digits",
    "model": "dcgan:width=4",
    "task": "generation:latent=4",
    "loss": "hinge",
    "inputs.augment": ["translation"],
}
# Adam divides by gradients: where they are next to nothing it makes rounding visible.
SCHEDULED = {
    "optimizer.generator.learning_rate": "cosine:initial=1e-3,steps=2",
    "penalties": ["gradient-penalty:weight=(linear:initial=10,steps=4)"],
}
PLAIN = {"optimizer.generator.name": "sgd", "optimizer.discriminator.name": "sgd"}


def planned(**values):
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return plan([Layer("test", flat)])


def play_together(folder: Path, plans, stop=None, at=None, ended=()):
    """What happened; a request to stop is made when a run saves step `at`."""
    happened = []
    with ExitStack() as stack:
        runs = [
            None if place in ended else stack.enter_context(opened(folder / str(place), one))
            for place, one in enumerate(plans)
        ]
        for index, event in train_together(plans, runs, stop):
            happened.append((index, event))
            if isinstance(event, Saved) and event.step == at:
                stop.made = True
    return happened


def arrays(path: Path, step: int):
    from gancli.runs.directory import Run

    run = Run(path)
    _, like = state_like(run.config, load_data(run.config).spec)
    return jax.tree.leaves(read_arrays(run.checkpoints().folder(step), like))


def lines(path: Path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


# What can be trained together


def test_seeds_and_numbers_may_differ_and_nothing_else():
    first = planned(**POINTS).config
    alike = [
        {"train.seed": 7},
        {"optimizer.generator.learning_rate": 1e-3, "optimizer.discriminator.beta2": 0.99},
        {"penalties": ["gradient-penalty:weight=3"]},
    ]
    others = [
        {"train.batch": 21},
        {"loss": "hinge"},
        {"model": "mlp:width=17,depth=2"},
        {"penalties": ["gradient-penalty:weight=10,target=0"]},
        {"penalties": ["r1"]},
        {"optimizer.generator.name": "rmsprop"},
        {"train.steps": 13},
        {"data.name": "ring8:count=1001"},
    ]
    scheduled = {
        "optimizer.generator.learning_rate": "linear:initial=1e-3",
        "penalties": ["gradient-penalty:weight=(linear:initial=10)"],
    }
    assert likeness(planned(**POINTS | scheduled).config) == likeness(
        planned(**POINTS | scheduled | {"train.seed": 7}).config
    )
    others += [{key: value} for key, value in scheduled.items()]
    own = likeness(first)
    assert all(likeness(planned(**POINTS | values).config) == own for values in alike)
    assert all(likeness(planned(**POINTS | values).config) != own for values in others)


def test_the_numbers_that_differ_and_a_configuration_with_them():
    configs = [
        planned(**POINTS | {"penalties": [f"gradient-penalty:weight={weight}"]}).config
        for weight in (3, 5)
    ]
    numbers = differing(configs)
    assert numbers.places == (("penalties", "0", "weight"),)
    np.testing.assert_array_equal(numbers.table, np.float32([[3], [5]]))
    other = with_numbers(configs[0], numbers.places, [jnp.float32(5)])
    assert other.penalties[0].options["weight"] == 5
    assert differing(configs[:1]).places == ()


def every_number():
    """Each option of a loss or penalty that may differ among runs trained together."""
    for registry in (LOSSES, PENALTIES):
        for entry in registry:
            for option in entry.options:
                if option.kind is float:
                    yield pytest.param(registry, entry, option, id=f"{entry.name}-{option.name}")


@pytest.mark.parametrize(("registry", "entry", "option"), list(every_number()))
def test_every_number_may_be_unknown_until_it_is_computed_with(registry, entry, option):
    real, fake = (jnp.linspace(low, 1.0, 64).reshape(4, 4, 4, 1) for low in (-1.0, -2.0))

    def figure(number):
        built = registry.build(Spec(entry.name, {option.name: number}))
        if registry is LOSSES:
            logits = real[:, 0, 0, 0], fake[:, 0, 0, 0]
            return built.discriminator(*logits) + built.generator(*logits)
        return built(lambda x: (x**2).sum(axis=(1, 2, 3)), real, fake, jax.random.key(0), 0)

    number = option.default or 0.5
    np.testing.assert_allclose(jax.jit(figure)(number), figure(number), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "differ"),
    [
        (POINTS | PLAIN | SCHEDULED, [{"train.seed": seed} for seed in (0, 1, 5)]),
        pytest.param(
            *(IMAGES | PLAIN, [{"train.seed": seed} for seed in (0, 3)]), marks=pytest.mark.slow
        ),
        pytest.param(
            POINTS | {"train.discriminator_steps": 2, "train.microbatch": 10},
            [
                {"optimizer.generator.learning_rate": rate, "penalties": [penalty]}
                for rate, penalty in (
                    (1e-3, "gradient-penalty:weight=1"),
                    (1e-4, "gradient-penalty:weight=10"),
                )
            ],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["points", "digits", "numbers"],
)
def test_steps_together_equal_those_of_each_alone(values, differ):
    """Of three steps, within a ten-thousandth of what the weights moved, or rounding."""
    plans = [planned(**values | own) for own in differ]
    seats = {place: Seat(one.config) for place, one in enumerate(plans)}
    started = [begin(seat, one) for seat, one in zip(seats.values(), plans, strict=True)]
    together = Together([one.config for one in plans], seats, plans[0].dataset)
    together.compile()
    for seat in seats.values():
        seat.compiling.set_result(True)
    futures = [seats[place].advance(here, 3, list) for place, here in enumerate(started)]
    together.play(list(seats), 3)
    found = [future.result() for future in futures]
    for place, one in enumerate(plans):
        alone = Devices()
        here = begin(alone, one)
        before = jax.device_get(here.state)
        after = alone.advance(here, 3, list).result()
        np.testing.assert_allclose(found[place].rows(), after.rows(), rtol=2e-3, atol=2e-5)
        for name, player in jax.device_get(after.state).players.items():
            own = jax.device_get(found[place].state).players[name]
            moved = max(
                float(np.abs(new - old).max())
                for new, old in zip(
                    jax.tree.leaves(player.params),
                    jax.tree.leaves(before.players[name].params),
                    strict=True,
                )
            )
            assert moved > 0
            for ours, theirs in zip(
                jax.tree.leaves(own.params), jax.tree.leaves(player.params), strict=True
            ):
                np.testing.assert_allclose(ours, theirs, atol=max(1e-6, 1e-4 * moved))


def begin(backend, one):
    """Where a run stands whose program is compiled, or waits for that."""
    state = one.program.initial_state(one.config.train.seed)
    _, here = backend.prepare(one.config, one.program, state)
    backend.compile(here, StopRequest())
    return here


# Whole runs


def test_each_is_an_ordinary_run(tmp_path):
    plans = [planned(**POINTS | {"train.seed": seed}) for seed in (0, 1)]
    happened = play_together(tmp_path, plans)
    for index, one in enumerate(plans):
        own = [event for place, event in happened if place == index]
        assert own[0] == Started(0, 12)
        assert isinstance(own[-1], Finished)
        assert [e.step for e in own if isinstance(e, Saved)] == [0, 4, 8, 12]
        assert [line["step"] for line in lines(tmp_path / str(index))] == [5, 10, 12]
        with opened(tmp_path / str(index), one) as run:
            assert run.status["status"] == "finished"
            assert run.status["goodput"]["steps"] == 12
    first, second = (arrays(tmp_path / name, 12) for name in ("0", "1"))
    assert any((one != other).any() for one, other in zip(first, second, strict=True))


@pytest.mark.slow
def test_runs_that_were_stopped_go_on_bit_identical(tmp_path):
    """Also when they stand at different steps, as after a kill."""
    plans = [planned(**POINTS | {"train.seed": seed}) for seed in (0, 1)]
    play_together(tmp_path / "whole", plans)
    stop = StopRequest()
    errors = [
        e for _, e in play_together(tmp_path / "cut", plans, stop, 8) if isinstance(e, Exception)
    ]
    assert [type(error) for error in errors] == [RunInterruptedError] * 2
    # One of them lost its last checkpoint.
    shutil.rmtree(tmp_path / "cut" / "1" / "checkpoints" / "8")
    happened = play_together(tmp_path / "cut", plans)
    # The first had been asked before there was a request, and went on to its next line.
    assert [e.step for _, e in happened if isinstance(e, Started)] == [10, 4]
    for name in ("0", "1"):
        whole, cut = (tmp_path / place / name for place in ("whole", "cut"))
        for one, other in zip(arrays(whole, 12), arrays(cut, 12), strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(lines(whole), lines(cut), strict=True):
            assert {**one, "examples_per_second": 0} == {**other, "examples_per_second": 0}


@pytest.mark.slow
@pytest.mark.parametrize("ended", [(), (0, 2)])
def test_what_is_left_ends_bit_identical_after_others_have_ended(tmp_path, ended):
    """As after a kill between the ends of two runs, whether the first could still say that."""
    plans = [planned(**POINTS | {"train.steps": 60, "train.seed": seed}) for seed in (0, 1, 2)]
    play_together(tmp_path / "whole", plans)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for step in (56, 60):
        shutil.rmtree(tmp_path / "cut" / "1" / "checkpoints" / str(step))
    happened = play_together(tmp_path / "cut", plans, ended=ended)
    assert [e.step for i, e in happened if isinstance(e, Started) and i == 1] == [52]
    whole, cut = (arrays(tmp_path / place / "1", 60) for place in ("whole", "cut"))
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_that_was_begun_alone_goes_on_together(tmp_path):
    plans = [planned(**POINTS | {"train.seed": seed}) for seed in (0, 1)]
    with opened(tmp_path / "0", plans[0]) as run:
        list(train(plans[0], run))
    happened = play_together(tmp_path, plans)
    assert [(i, e.step) for i, e in happened if isinstance(e, Started)] == [(0, 12), (1, 0)]
    assert arrays(tmp_path / "1", 12)


def test_one_that_diverges_does_not_stop_the_others(tmp_path):
    wild = {"optimizer.discriminator.learning_rate": 1e30}
    plans = [planned(**POINTS | PLAIN | {"loss": "least-squares"} | own) for own in (wild, {})]
    assert likeness(plans[0].config) == likeness(plans[1].config)
    happened = play_together(tmp_path, plans)
    ((index, diverged),) = [own for own in happened if isinstance(own[1], DivergedError)]
    assert index == 0
    assert diverged.finding.player in ("discriminator", "generator")
    assert 1 <= diverged.finding.first <= diverged.finding.last <= 12
    assert [i for i, event in happened if isinstance(event, Finished)] == [1]
    with opened(tmp_path / "0", plans[0]) as run:
        assert run.status["status"] == "diverged"


@pytest.mark.slow
def test_one_that_goes_back_for_a_remedy_goes_on_by_itself(tmp_path, monkeypatch):
    known = Registry("pathology")

    @known.register("low-tide", reference="a test")
    def low_tide(config):
        """From step 6 on, where the generator takes large steps."""

        def evidence(history):
            fast = history.config.optimizer.generator.learning_rate == 0.5
            return "it is" if fast and history.steps[-1] >= 6 else None

        slower = Remedy({"optimizer.generator.learning_rate": 0.1}, "smaller steps")
        return Pathology("", evidence, 1, (slower,))

    monkeypatch.setattr(diagnosis, "PATHOLOGIES", known)
    sick = POINTS | PLAIN | {"monitors.every": 3, "monitors.policy": "remedy"}
    rates = [{"optimizer.generator.learning_rate": rate} for rate in (0.5, 0.1)]
    plans = [planned(**sick | rate) for rate in rates]
    assert likeness(plans[0].config) == likeness(plans[1].config)
    happened = play_together(tmp_path, plans)
    assert sorted(i for i, event in happened if isinstance(event, Finished)) == [0, 1]
    counts = []
    for place, one in enumerate(plans):
        with opened(tmp_path / str(place), one) as run:
            counts.append(len(run.status["rollbacks"]))
    assert counts == [1, 0]


@pytest.mark.slow
def test_one_that_rolls_back_goes_on_by_itself(tmp_path):
    rate = {"optimizer.discriminator.learning_rate": 1e12}
    policy = {"divergence.policy": "rollback", "divergence.factor": 1e-15}
    plans = [
        planned(**POINTS | PLAIN | {"loss": "least-squares"} | policy | own) for own in (rate, {})
    ]
    happened = play_together(tmp_path, plans)
    assert sorted(i for i, event in happened if isinstance(event, Finished)) == [0, 1]
    with opened(tmp_path / "0", plans[0]) as run:
        assert len(run.status["rollbacks"]) >= 1
        assert run.status["status"] == "finished"
