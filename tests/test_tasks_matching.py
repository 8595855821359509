"""What fits from one run's weights: layer by layer, from the image and from the far end."""

import pytest

from gancli.config import Layer
from gancli.data.dataset import DataSpec
from gancli.tasks import TASKS
from gancli.tasks.matching import Side, match
from gancli.tasks.program import state_like
from gancli.tasks.recipes import resolve

LABELS = ("a", "b")


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def side(model, side=8, channels=1, task="generation:latent=3", classes=LABELS, **settings):
    spec = DataSpec("test", "image", (side, side, channels), classes)
    if task.startswith(("cyclegan", "paired")):
        spec = spec._replace(target=spec)
    return made(spec, model, task, **settings)


def made(spec, model, task, **settings):
    values = {key.replace("__", "."): value for key, value in settings.items()}
    given = {"model": model, "task": task, **values}
    return Side(*state_like(resolve([Layer("test", given)], spec.kind).config, spec))


def paths(names, *, averaged=False):
    """Written as in `0/kernel 1/scale`, in `params/layers`; with their averages if there are."""
    own = {f"params/layers/{name}" for name in names.split()}
    return own | {f"average/{path}" for path in own} if averaged else own


OF_TASKS = {
    "generation": "dcgan:width=2,norm=batch",
    "conditional": "dcgan:width=2,generator_norm=conditional",
    "infogan": "mlp:width=2",
    "vae": "mlp:width=2",
    "vae-gan": "mlp:width=2",
    "super-resolution": "unet:width=2,depth=1",
    "colorization": "unet:width=2,depth=1",
    "paired": "unet:width=2,depth=1",
    "cyclegan": "cyclegan:width=2,blocks=1",
    "gumbel": "sequence:hidden=2,width=2",
    "policy-gradient": "sequence:hidden=2,width=2",
    "maximum-likelihood": "sequence:hidden=2,width=2",
}


@pytest.mark.parametrize("task", TASKS.names())
def test_a_run_of_the_same_configuration_takes_every_weight(task):
    model = OF_TASKS[task]
    channels = 3 if task == "colorization" else 1
    if model.startswith("sequence"):
        tokens = DataSpec("test", "tokens", (4,), vocabulary=5)
        one = made(tokens, model, task)
    else:
        one = side(model, channels=channels, task=task)
    found = match(one, one)
    assert found.keys() == one.state.players.keys()
    for own in found.values():
        assert own.taken
        assert all(path == origin for path, origin in own.taken.items())
        # What a task gathers is of the run: no parameter is among it.
        left = {*own.new, *own.unused}
        assert not {path for path in left if "params" in path}
        assert {path.rpartition("/")[2] for path in left} <= {"images", "added", "baseline"}


def test_more_levels_are_found_from_the_image():
    """DCGAN 16 to 32: channels 2, 4 and 2, 4, 8 after each halving, maps of 4x4 in both."""
    found = match(side("dcgan:width=2", 32), side("dcgan:width=2", 16))
    # 0 linear, 2 norm, 4 convolution, 5 norm, 7 convolution; of 32, 10 is the last one.
    generator = found["generator"].taken
    assert generator["params/layers/10/kernel"] == "params/layers/7/kernel"
    assert generator["params/layers/7/kernel"] == "params/layers/4/kernel"
    assert generator["average/params/layers/7/kernel"] == "average/params/layers/4/kernel"
    assert "params/layers/4/kernel" not in generator
    assert "params/layers/0/kernel" in found["generator"].unused
    discriminator = found["discriminator"].taken
    assert {*discriminator} >= paths("0/layer/kernel 0/layer/bias 2/layer/kernel 2/layer/bias")
    assert all(path == origin for path, origin in discriminator.items() if "/kernel" in path)
    # The kernel of the last layer has other inputs, and statistics go with their parameters.
    assert {"params/layers/4/layer/kernel", "stats/layers/4/u"} <= {*found["discriminator"].new}


@pytest.mark.parametrize(
    ("model", "generator", "discriminator"),
    [
        # A 1x1 convolution to the wider maps and its block, or the block and the convolution.
        slow("r3gan:width=1,group=1", {"layers/5", "layers/7"}, {"layers/10", "layers/12"}),
        # Two styled layers and their image; a residual block.
        slow(
            "stylegan2:width=1,style=3,mapping=2",
            {"layers/3", "layers/4", "images/2"},
            {"layers/5"},
        ),
        # A convolution and its normalization; a convolution.
        ("dcgan:width=1", {"layers/4", "layers/5"}, {"layers/8"}),
        slow("resnet:width=1", {"layers/2"}, {"layers/4"}),
    ],
)
def test_a_further_level_is_new_and_everything_else_is_taken(model, generator, discriminator):
    """64 to 128 pixels: widths of 1, 2, 4, 8, 8 from the image, and a further level of 8."""
    found = match(side(model, 128), side(model, 64))
    for name, expected in (("generator", generator), ("discriminator", discriminator)):
        # The noise of StyleGAN2's layers has the size of their maps.
        assert not [path for path in found[name].unused if not path.endswith("noise")]
        new = [path.removeprefix("params/") for path in found[name].new if path[:7] == "params/"]
        assert {"/".join(path.split("/")[:2]) for path in new} == expected


def test_other_channels_labels_and_options_leave_what_does_not_fit():
    new = side("mlp:width=2,depth=2", channels=3, classes=("a", "b", "c"), task="conditional")
    found = match(new, side("mlp:width=2,depth=2", task="conditional"))
    # 64 and one value a label to 2, 2 to 2, 2 to the image; the discriminator 1 and one a label.
    assert {*found["generator"].taken} == paths("0/bias 2/kernel 2/bias", averaged=True)
    assert found["generator"].values["new"] == 2 * (67 * 2 + 2 * 192 + 192)
    assert "params/layers/3/layer/kernel" in found["discriminator"].taken
    assert "params/layers/1/layer/kernel" in found["discriminator"].new
    assert "params/layers/5/layer/bias" in found["discriminator"].unused


def test_statistics_under_those_that_a_task_updates_are_found():
    adaptive = {"inputs__augment": ["flip"], "inputs__augment_target": 0.6}
    found = match(side("mlp:width=2", **adaptive), side("mlp:width=2"))["discriminator"]
    assert found.taken["stats/network/layers/1/u"] == "stats/layers/1/u"
    back = match(side("mlp:width=2"), side("mlp:width=2", **adaptive))["discriminator"]
    assert back.taken["stats/layers/1/u"] == "stats/network/layers/1/u"
    again = match(side("mlp:width=2", **adaptive), side("mlp:width=2", **adaptive))
    assert "stats/augment/p" in again["discriminator"].new


@pytest.mark.slow
def test_players_and_averages_that_are_on_one_side_only():
    reader = side("mlp:width=2", task="infogan:agreement=1,latent=3")
    found = match(reader, side("mlp:width=2", task="infogan:latent=3", average__decay=0.0))
    assert not found["reader"].taken
    assert found["reader"].new
    generator = found["generator"]
    assert {path for path in generator.new if path.startswith("average/")} == {
        f"average/{path}" for path in generator.taken
    }
    without = match(side("mlp:width=2", average__decay=0.0), side("mlp:width=2"))["generator"]
    assert without.new == ()
    assert {*without.unused} == {f"average/{path}" for path in without.taken}
