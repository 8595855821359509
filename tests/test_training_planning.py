"""From what is asked for to a plan: what is absurd or too large is refused before it costs."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from refusals import refused

from gancli.config import Layer
from gancli.data.configured import located
from gancli.runs.directory import Run
from gancli.training import memory
from gancli.training.memory import memory_bytes
from gancli.training.planning import choose_path, ended_schedules, opened, plan, reopened

MEMINFO = Path("/proc/meminfo")
SMALL = {
    "data.name": "ring8:count=200",
    "loss": "non-saturating",
    "model": "mlp:width=8,depth=1",
    "train.batch": 20,
}


def planned(**values):
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return plan([Layer("small", SMALL), Layer("test", flat)])


# What looks valid and is not: the key, its value, what the message names of it, and bounds or
# names that are allowed.
MILLION = "1,000,000"
RATE = "optimizer.generator.learning_rate"
OF_POINTS = ("'flip'", "points", "(2,)")
ABSURD = [
    ("model", "mlp:width=1000000000", ("width", "'mlp'", "'1000000000'"), ("1", "16,384")),
    ("model", "mlp:depth=1000000", ("depth", "'mlp'", "'1000000'"), ("1", "100")),
    ("model", "maxout-mlp:maxout_width=0", ("maxout_width", "'0'"), ("1", "16,384")),
    ("model", "maxout-mlp:pieces=1000000", ("pieces", "'1000000'"), ("1", "64")),
    ("task", "generation:latent=1000000000000", ("latent", "'1000000000000'"), ("1", "65,536")),
    ("data.name", "ring8:count=1000000000000", ("count", "'1000000000000'"), "10,000,000"),
    ("data.name", "ring8:seed=-1", ("seed", "-1"), "0"),
    ("loss", "minimax:smoothing=2", ("smoothing", "'2'"), ("0", "1")),
    ("loss", "least-squares:real_target=1e9", ("real_target", "'1e9'"), (f"-{MILLION}", MILLION)),
    ("penalties", ["r1:weight=-1"], ("weight", "'r1'", "'-1'"), ("0", MILLION)),
    ("penalties", ["r1:every=10000000000"], ("every", "'r1'", "'10000000000'"), ("1", MILLION)),
    ("penalties", ["dragan:spread=1e9"], ("spread", "'1e9'"), ("0", "1,000")),
    ("penalties", ["wgan-div:power=0.5"], ("power", "'0.5'"), ("1", "100")),
    ("penalties", ["consistency"], OF_POINTS, "images"),
    ("penalties", ["consistency:augment=" + "flip+" * 100], ("101", "'flip'"), "16"),
    ("inputs.augment", ["flip"], OF_POINTS, "images"),
    ("inputs.augment", ["cutout:ratio=2"], ("ratio", "'2'"), ("0", "1")),
    ("inputs.augment", ["translation:ratio=1e308"], ("ratio", "'1e308'"), ("0", "1")),
    ("inputs.augment", ["color:strength=11"], ("strength", "'11'"), ("0", "10")),
    ("train.dynamics", "consensus:weight=1e308", ("weight", "'1e308'"), ("-1e+30", "1e+30")),
    ("optimizer.generator.name", "x" * 1000, ("optimizer", "'xxx"), "sgd"),
    (RATE, "linear:initial=1,to=0", (RATE, "schedule", "'linear'", "'to'"), "final"),
    ("inputs.augment_probability", 0.5, ("inputs.augment_probability", "0.5", "[]"), "1"),
    ("train.batch", 2**20, ("train.batch", "1048576", "'ring8:count=200'", " 200"), "200"),
]


@pytest.mark.parametrize(("key", "value", "given", "allowed"), ABSURD)
def test_what_is_absurd_is_refused_with_what_is_allowed(key, value, given, allowed):
    with refused(*given, allowed=allowed) as caught:
        plan([Layer("small", SMALL), Layer("test", {key: value})])
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "values",
    [
        {"model": "mlp:width=4096"},
        {"task": "generation:latent=1024", "inputs__packing": 8},
        {"data__name": "ring8:count=70000", "train__batch": 65536},
        {"train__discriminator_steps": "100 epochs", "train__steps": 10_000_000},
        {"penalties": ["r1:weight=10000,every=16", "r2:weight=0", "drift"]},
        {"data__name": "digits", "model": "dcgan:width=1024"},
    ],
)
def test_what_practitioners_use_is_planned(values):
    planned(**values)


# In bytes, in the order of the message. A layer of n inputs and m units has (n + 1) m weights:
# the generator 2-8-2 has 42, the discriminator 2-8-1 33. A weight of float32 is there as it is,
# with Adam's two moments, and in the generator's average; steps are counted in the state and by
# both Adams: 4 (42 · 4 + 33 · 3) + 3 · 4 = 1080. Data: 200 points of 8 bytes, 200 labels of 4.
# A step: 64 latents and points of the grid, 2 + 2 floats each, are more than 20 real and 20
# generated points with latents, (2 + 2 + 2) floats; and 20 indices of 4 bytes for both moves.
STATE, DATA, EXAMPLES = 1080, 2400, 64 * 4 * 4 + 2 * 20 * 4
NEEDED = STATE + DATA + EXAMPLES


def test_remedies_need_a_checkpoint_from_before_the_first_evidence():
    """One that begins at step 300 had its first evidence at 200, so step 100 must be kept."""
    values = {"monitors.policy": "remedy", "monitors.every": 100, "checkpoint.every": 100}
    with refused("checkpoint.keep", "2", "100 steps after", allowed="at least 3"):
        planned(**values, **{"checkpoint.keep": 2})
    planned(**values, **{"checkpoint.keep": 3})


def test_a_run_that_just_fits_the_memory_is_planned_and_one_byte_less_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: NEEDED)
    planned()
    monkeypatch.setattr(memory, "memory_bytes", lambda: NEEDED - 1)
    smaller = ("model", "batch", "data.size", "data.resident_mib")
    with refused(allowed="4.554 KiB", remedy=smaller) as caught:
        planned()
    assert sizes(caught.value.given) == ["4.555 KiB", "1.055 KiB", "2.344 KiB", "1.156 KiB"]


def sizes(text):
    """Of the whole run, of networks and optimizers, of data, and of the examples of a step."""
    return re.findall(r"[\d.]+ [KMG]iB", text)


@pytest.mark.parametrize(
    ("values", "place", "most"),
    [
        ({"model": "mlp:width=16384,depth=4"}, 1, r"2\d\.\d GiB"),
        ({"train__discriminator_steps": 1_000_000, "train__batch": 200}, 3, r"762\.9 MiB"),
    ],
)
def test_what_needs_the_memory_is_named(monkeypatch, values, place, most):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 2**29)
    with refused(allowed="512 MiB") as caught:
        planned(**values)
    assert re.fullmatch(most, sizes(caught.value.given)[place])


@pytest.mark.skipif(not MEMINFO.exists(), reason="only Linux says it there")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an accelerator has its own memory")
def test_the_memory_of_the_machine_is_what_it_says_itself():
    total = MEMINFO.read_text(encoding="ascii").splitlines()[0].split()
    assert (total[0], memory_bytes()) == ("MemTotal:", int(total[1]) * 1024)


def test_epochs_of_too_many_updates_are_refused():
    given = ("10,000,000", "train.discriminator_steps", "1000 epochs")
    with refused(*given, allowed="1,000,000"):
        planned(
            data__name="ring8:count=10000",
            train__batch=1,
            train__discriminator_steps="1000 epochs",
        )


ENDING = {
    "optimizer__generator__learning_rate": "cosine:initial=2e-4",
    "optimizer__discriminator__learning_rate": "linear:initial=2e-4,final=1e-4",
    "inputs__noise": "linear:initial=0.1,steps=4",
    "penalties": ["r1:weight=(step:initial=1,final=0.5,begin=2)"],
}


def test_a_run_that_is_made_longer_names_the_schedules_that_end_before_it(tmp_path):
    """Those over the whole run; the noise and the penalty end where the user put it."""
    short = planned(train__steps=10, **ENDING)
    assert short.warnings == ()
    with opened(tmp_path / "run", short):
        pass
    with reopened(tmp_path / "run", 20) as (_, longer):
        still, slow = longer.warnings
    assert still.startswith("optimizer.generator.learning_rate is 0 from step 10 of 20 on")
    assert slow.startswith("optimizer.discriminator.learning_rate is 0.0001 from step 10 of 20 on")
    with reopened(tmp_path / "run", None) as (_, again):
        assert again.warnings == (still,)  # The run has twenty steps now.


def test_a_learning_rate_that_ends_at_0_before_its_run_is_named():
    rates = {
        "optimizer__generator__learning_rate": "linear:initial=1,begin=2,steps=3",
        "optimizer__discriminator__learning_rate": "linear:initial=1,final=0.1,steps=3",
    }
    config = planned(train__steps=6, **rates).config
    (told,) = ended_schedules(config, 6)
    assert told.startswith("optimizer.generator.learning_rate is 0 from step 5 of 6 on")


def test_a_run_is_the_same_however_its_configuration_is_written(tmp_path):
    with opened(tmp_path / "run", planned(loss="hinge:margin=1", penalties=["r1"])):
        pass
    with opened(tmp_path / "run", planned(loss="hinge", penalties=["r1:weight=10.0"])) as run:
        assert run.config.loss == "hinge"
    with (
        refused("loss", "'hinge'", "margin=2"),
        opened(tmp_path / "run", planned(loss="hinge:margin=2", penalties=["r1"])),
    ):
        pass


def test_a_run_without_a_name_goes_on_with_its_unfinished_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, longer = planned(), planned(train__steps=40)
    with opened(choose_path(None, own), own) as run:
        assert choose_path(None, own) != run.path, "while it is trained by another"
    assert choose_path(None, own) == run.path
    assert choose_path(None, longer) != run.path
    run.update_status(status="finished")
    assert choose_path(None, own) != run.path


@pytest.mark.parametrize(
    ("data", "loss", "name"),
    [
        ("ring8:count=300", "hinge:margin=2", "ring8-hinge-1"),
        ("ring8:count=300", " hinge\n", "ring8-hinge-1"),
        ("/photos/my\nfolder.d", "wasserstein", "my-folder-wasserstein-1"),
        ("/photos/" + "x" * 250, "hinge", "x" * 40 + "-hinge-1"),
        ("/", "hinge", "data-hinge-1"),
    ],
)
def test_a_run_without_a_name_gets_a_short_and_plain_one(tmp_path, monkeypatch, data, loss, name):
    monkeypatch.chdir(tmp_path)
    own = planned(loss=loss)
    named = own.config.data.model_copy(update={"name": data})
    config = own.config.model_copy(update={"data": named})
    assert choose_path(None, own._replace(config=config)).name == name


# The data of a run are known by their content


IMAGES = {"model": "mlp:width=8,depth=1", "loss": "non-saturating", "train.batch": 2}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with an array file and a run on it."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GAN_CACHE", str(tmp_path / "cache"))
    write_array("a.npz", 0)
    with opened(Path("runs/a"), of("a.npz")):
        pass
    return folder


def write_array(path, seed):
    images = np.random.default_rng(seed).integers(256, size=(4, 8, 8), dtype=np.uint8)
    np.savez(path, images=images)


def of(name, **values):
    return plan([Layer("test", IMAGES | {"data.name": str(name)} | values)])


@pytest.mark.parametrize("spelling", ["./a.npz", "../project/a.npz", "{}/a.npz", "b.npz"])
def test_the_same_data_are_the_same_run_however_they_are_spelled(project, spelling):
    if spelling == "b.npz":
        Path("a.npz").rename("b.npz")
    name = spelling.format(project)
    with opened(Path("runs/a"), of(name)) as run:
        assert run.config.data.name == name
    with reopened(Path("runs/a"), None, name):
        pass
    with refused("'runs/a'", "data.size"), opened(Path("runs/a"), of(name, **{"data.size": 4})):
        pass


def test_other_data_are_another_run_whatever_their_name(project):
    write_array("a.npz", 1)
    with (
        refused("'a.npz'", "SHA-256", "'runs/a'", remedy="--dataset"),
        reopened(Path("runs/a"), None),
    ):
        pass
    assert Run(Path("runs/a")).config.data.name == "a.npz"


def test_a_run_that_is_called_as_its_data_set_is_not_taken_for_it(project):
    config = of("a.npz").config
    config = config.model_copy(update={"data": config.data.model_copy(update={"name": "a"})})
    run = project / "runs" / "a"
    for place in (run, run / "checkpoints" / "0"):
        assert located(config, place).data.name == "a"


def test_data_are_found_from_another_directory(project, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with reopened(Path("../project/runs/a"), None) as (run, planned):
        assert len(planned.dataset.examples) == 4
    checkpoint = project / "runs" / "a" / "checkpoints" / "0"
    assert located(run.config, checkpoint).data.name == str(project / "a.npz")
    assert located(run.config, checkpoint, "c.npz").data.name == "c.npz"
    (project / "a.npz").unlink()
    with refused("a.npz"), reopened(project / "runs" / "a", None):
        pass
