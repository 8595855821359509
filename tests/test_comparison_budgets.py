"""Equal budgets: the steps that examples or seconds are good for."""

import pytest
from refusals import refused
from tiny_variants import variant

from gancli.comparison import Budget, make_cells
from gancli.comparison.budgets import keep_steps, kept_steps, steps_of_examples, steps_of_seconds
from gancli.training.planning import plan


@pytest.mark.parametrize(
    ("values", "steps"),
    [({}, 50), ({"train__discriminator_steps": 5}, 10), ({"inputs__packing": 2}, 25)],
)
def test_steps_of_a_thousand_examples(values, steps):
    """A batch of 20, seen once, by five updates a step, or as 20 packs of two."""
    assert steps_of_examples(plan(variant("one", **values).layers), 1000) == steps


def test_all_variants_see_as_many_examples(tmp_path):
    variants = [variant("one"), variant("five", train__discriminator_steps=5)]
    cells = make_cells(variants, 2, tmp_path, Budget(examples=1000))
    assert [cell.planned.config.train.steps for cell in cells] == [50, 10, 50, 10]
    with refused("99 examples", " 100", allowed="2,147,483,647"):
        make_cells(variants, 1, tmp_path, Budget(examples=99))


def test_a_comparison_that_was_begun_keeps_its_steps_with_its_budget(tmp_path):
    keep_steps(tmp_path, 60.0, {"one": 6})
    keep_steps(tmp_path, 60.0, {"two": 7})
    assert kept_steps(tmp_path, 60.0) == {"one": 6, "two": 7}
    (cell,) = make_cells([variant("one")], 1, tmp_path, Budget(seconds=60.0))
    assert cell.planned.config.train.steps == 6
    assert kept_steps(tmp_path, 600.0) == {}
    keep_steps(tmp_path, 600.0, {"one": 80})
    assert kept_steps(tmp_path, 60.0) == {}
    (tmp_path / "budget.json").write_text("[]")
    with refused("budget.json"):
        kept_steps(tmp_path, 60.0)


@pytest.mark.slow
def test_time_is_measured():
    """A step of this network takes from microseconds to a second on anything."""
    steps = steps_of_seconds(plan(variant("one").layers), 1000.0)
    assert 1e3 <= steps <= 1e9
    assert steps == int(float(f"{steps:.2g}"))
    with refused("1e-09 seconds", allowed="2,147,483,647"):
        steps_of_seconds(plan(variant("one").layers), 1e-9)


def test_without_recipes_losses_differ_in_nothing_else(tmp_path):
    variants = [variant("w", loss="wasserstein"), variant("h", loss="hinge")]
    own, other = (cell.planned.config for cell in make_cells(variants, 1, tmp_path))
    assert own.penalties
    assert own.train.discriminator_steps == 5
    own, other = (cell.planned.config for cell in make_cells(variants, 1, tmp_path, recipes=False))
    assert own == other.model_copy(update={"loss": "wasserstein"})
