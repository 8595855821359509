"""Comparisons: what counts as a variant, what is trained when, and which figures are kept."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from refusals import refused
from test_training_account import COLLAPSED, run_of
from test_training_monitors_diagnosis import FAR, SOUND
from tiny_results import results, write_comparison
from tiny_runs import points_run, snapshot
from tiny_variants import TINY, WILD, variant

from gancli.comparison import (
    Cell,
    Variant,
    check_question,
    default_folder,
    existing_cells,
    has_result,
    make_cells,
    measure,
    measure_all,
    open_folder,
    require_baseline,
    run_all,
    variant_name,
    write_results,
)
from gancli.comparison import measurements as outcomes_module
from gancli.comparison.measurements import collapse
from gancli.comparison.verdicts import standings_of
from gancli.config import Layer, to_json
from gancli.data import load
from gancli.errors import DivergedError, UserError
from gancli.evaluation import Question
from gancli.evaluation.generator import load_generator
from gancli.evaluation.kept import EVALUATIONS, keep, kept
from gancli.files import cannot_write, read_json
from gancli.runs.directory import Run

QUESTION = Question(samples=100)


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"runs": 7}', "no JSON"])
def test_no_results_of_somebody_else_are_replaced(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with refused("results.json", remedy="--out"):
        open_folder(tmp_path)
    with refused("results.json", remedy="--out"):
        write_results(tmp_path, results(tmp_path))
    assert (tmp_path / "results.json").read_text() == content


def test_no_run_becomes_a_comparison():
    with refused(str(points_run()), remedy="--out"):
        open_folder(points_run())


def test_a_comparison_replaces_its_own_results(tmp_path):
    write_comparison(tmp_path / "c")
    open_folder(tmp_path / "c")
    write_results(tmp_path / "c", results(tmp_path / "c", ("d", "e", "f")))
    assert '"d"' in (tmp_path / "c" / "results.json").read_text()


# Names


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hinge", "hinge"),
        ("f-divergence:kind=pearson,saturating=true", "f-divergence-kind-pearson-saturating-true"),
        ("least-squares:real_target=0.9", "least-squares-real-target-0.9"),
        ("ring8:count=500", "ring8-count-500"),
        ("../../etc/passwd", "etc-passwd"),
        (" hinge ", "hinge"),
        (":", "variant"),
        ("", "variant"),
    ],
)
def test_specs_as_folder_names(spec, name):
    assert variant_name(spec) == name


def on(name, *datasets):
    """A variant whose layers name these data sets, one after another."""
    return Variant(name, tuple(Layer("test", {"data.name": dataset}) for dataset in datasets))


@pytest.mark.parametrize(
    ("variants", "folder"),
    [
        ([on("hinge"), on("wasserstein")], "comparisons/digits-hinge-wasserstein"),
        ([on("hinge", "mnist", "ring8:count=500")], "comparisons/ring8-count-500-hinge"),
        ([on("hinge", "/data/cats/faces.npz")], "comparisons/faces.npz-hinge"),
        ([on("a", "ring8"), on("b", "grid25"), on("c", "ring8")], "comparisons/ring8-grid25-a-b-c"),
    ],
)
def test_a_comparison_has_a_folder_by_its_question(variants, folder):
    assert default_folder(variants) == Path(folder)


def test_runs_alone_name_the_folder_of_their_comparison(tmp_path):
    (cell,) = existing_cells([copy_of_run(tmp_path / "one")])
    assert default_folder([], [cell]) == Path("comparisons/ring8-count-500-one")


def test_the_name_of_a_large_comparison_fits_a_file_system():
    assert len(default_folder([on("f-divergence")] * 40).name) <= 120


# Cells


def test_variants_are_trained_over_the_same_seeds(tmp_path):
    cells = make_cells([variant("one"), variant("two", loss="hinge")], 2, tmp_path / "out")
    assert [(cell.variant, cell.seed) for cell in cells] == [
        ("one", 0), ("two", 0), ("one", 1), ("two", 1),
    ]  # fmt: skip
    for cell in cells:
        assert cell.run.path == tmp_path / "out" / cell.variant / f"seed-{cell.seed}"
        assert cell.planned.config.train.seed == cell.seed
        assert cell.planned.config.train.steps == 6
    assert cells[0].planned.config.loss == "non-saturating"
    assert cells[1].planned.config.loss == "hinge"
    assert not (tmp_path / "out").exists()


def test_variants_of_a_seed_begin_alike(tmp_path):
    """The same weights where shapes agree, the same batches, the same latents to sample."""
    noisy = variant("noisy", loss="least-squares", inputs__noise=0.1)
    one, other = (cell.planned for cell in make_cells([variant("one"), noisy], 1, tmp_path))
    for player in ("generator", "discriminator"):
        states = [plan.program.initial_state(0).players[player] for plan in (one, other)]
        jax.tree.map(np.testing.assert_array_equal, states[0].params, states[1].params)
    batches = [next(plan.program.source.arguments(3)) for plan in (one, other)]
    jax.tree.map(np.testing.assert_array_equal, *batches)
    key, rows = jax.random.key(0), np.arange(4)
    latents = [plan.program.task.sampler.latents(key, rows, rows) for plan in (one, other)]
    np.testing.assert_array_equal(*latents)


def test_seeds_go_on_from_the_variants_own(tmp_path):
    cells = make_cells([variant("one", train__seed=9), variant("two")], 2, tmp_path)
    assert [(c.variant, c.seed, c.planned.config.train.seed) for c in cells] == [
        ("one", 9, 9), ("two", 0, 0), ("one", 10, 10), ("two", 1, 1),
    ]  # fmt: skip
    assert cells[2].run.path == tmp_path / "one" / "seed-10"


def test_a_baseline_is_a_variant():
    require_baseline("", ["one", "two"])
    require_baseline("two", ["one", "two"])
    with refused("baseline", "'twe'", allowed=("one", "two"), remedy="'two'"):
        require_baseline("twe", ["one", "two"])


@pytest.mark.parametrize(
    ("variants", "given", "remedy"),
    [
        ([variant("one"), variant("one", loss="hinge")], ("variant", "'one'"), ()),
        ([variant("one"), variant("two", loss="hing")], ("loss", "'hing'"), "'hinge'"),
        ([variant("one"), variant("two", train__batch=501)], ("501", "500"), "--batch"),
    ],
)
def test_nothing_is_made_unless_all_variants_are_sound(tmp_path, variants, given, remedy):
    with refused(*given, remedy=remedy):
        make_cells(variants, 1, tmp_path)
    assert not list(tmp_path.iterdir())


def copy_of_run(path, **values):
    """The finished run under another path, its configuration changed."""
    run = Run(Path(shutil.copytree(points_run(), path)))
    config = run.config
    train = config.train.model_copy(update={"seed": values.pop("seed", config.train.seed)})
    run.config_path.write_text(to_json(config.model_copy(update={"train": train, **values})))
    return run.path


def variants_or_refusal(paths):
    """The variants and seeds that runs count as; None if they are refused."""
    try:
        return [(cell.variant, cell.seed) for cell in existing_cells(paths)]
    except UserError:
        return None


def test_runs_of_an_earlier_comparison_are_its_variants_and_seeds(tmp_path):
    paths = [
        copy_of_run(tmp_path / name / f"seed-{seed}", seed=seed, loss=loss)
        for name, loss in [("a", "hinge"), ("b", "minimax")]
        for seed in (0, 1)
    ]
    assert variants_or_refusal(paths) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_runs_of_one_configuration_are_seeds_of_one_variant(tmp_path):
    paths = [copy_of_run(tmp_path / f"ring8-{seed}", seed=seed) for seed in (0, 1)]
    (one, seed), (other, other_seed) = variants_or_refusal(paths)
    assert one == other
    assert (seed, other_seed) == (0, 1)


def test_runs_of_different_configurations_are_never_averaged(tmp_path):
    paths = [
        copy_of_run(tmp_path / "here" / "hinge" / "seed-0", loss="hinge"),
        copy_of_run(tmp_path / "there" / "hinge" / "seed-1", loss="hinge:margin=2", seed=1),
    ]
    found = variants_or_refusal(paths)
    assert found is None or len({name for name, _ in found}) == 2


def test_a_seed_counts_once(tmp_path):
    paths = [copy_of_run(tmp_path / place / "hinge" / "seed-0") for place in ("here", "there")]
    found = variants_or_refusal(paths)
    assert found is None or len(set(found)) == 2


# Training and measuring


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A comparison of a variant that diverges and one that does not, and what happened."""
    out = tmp_path_factory.mktemp("comparison")
    cells = make_cells([variant("wild", **WILD), variant("tame")], 1, out)
    return out, cells, list(run_all(cells, QUESTION, way="alone"))


def test_one_that_diverges_does_not_stop_the_others(ended):
    _, cells, happened = ended
    errors = [(cell.variant, event) for cell, event in happened if isinstance(event, Exception)]
    assert [name for name, _ in errors] == ["wild"]
    assert isinstance(errors[0][1], DivergedError)
    assert [cell.run.status["status"] for cell in cells] == ["diverged", "finished"]
    assert all(has_result(cell) for cell in cells)


def test_a_second_time_nothing_is_trained(ended):
    out, cells, _ = ended
    before = snapshot(out)
    assert list(run_all(cells, QUESTION, way="alone")) == []
    assert snapshot(out) == before


def test_outcomes_hold_figures_or_the_reason_that_there_are_none(ended):
    _, cells, _ = ended
    wild, tame = measure_all(cells, QUESTION)
    assert (wild.variant, wild.metrics) == ("wild", {})
    assert re.search(r"(loss|logit|gradient).* (nan|inf|-inf)\b.*\d", wild.failure)
    assert (tame.variant, tame.seed, tame.failure) == ("tame", 0, "")
    assert {"modes/found", "modes/high_quality"} <= set(tame.metrics)
    standings = standings_of([wild, tame])
    assert [(one.finished, one.diverged) for one in standings] == [(0, 1), (1, 0)]


def test_figures_are_kept_until_the_question_changes(ended, monkeypatch):
    _, (_, cell), _ = ended
    kept = measure(cell, QUESTION)
    (written,) = read_json(cell.run.path / EVALUATIONS)
    asked = []

    def evaluate(generator, dataset, question):
        asked.append((question.samples, question.metrics))
        report = {
            "samples": question.samples, "asked": list(question.metrics),
            "metrics": {"modes/found": 5.0},
        }  # fmt: skip
        return SimpleNamespace(report=written | report)

    monkeypatch.setattr(outcomes_module, "evaluate", evaluate)
    assert measure(cell, QUESTION) == kept
    assert asked == []
    assert measure(cell, Question(samples=120)).metrics == {"modes/found": 5.0}
    assert measure(cell, Question(samples=120)).metrics == {"modes/found": 5.0}
    assert measure(cell, Question(("modes",), 120)).metrics == {"modes/found": 5.0}
    every = ("frechet", "kernel", "modes", "neighbours", "wasserstein")
    assert asked == [(120, every), (120, ("modes",))]


def test_a_run_that_cannot_be_written_is_measured_all_the_same(tmp_path, monkeypatch):
    (cell,) = existing_cells([Path(shutil.copytree(points_run(), tmp_path / "run"))])

    def refuse(path, value):
        raise cannot_write(path, PermissionError(13, "Permission denied"))

    monkeypatch.setattr("gancli.evaluation.kept.write_json", refuse)
    with pytest.warns(UserWarning, match="evaluation.json"):
        assert measure(cell, QUESTION).metrics


def test_figures_are_not_lost_where_the_earlier_ones_are_damaged(tmp_path):
    run = Path(shutil.copytree(points_run(), tmp_path / "run"))
    (run / EVALUATIONS).write_text("[")
    with pytest.warns(UserWarning, match="evaluation.json"):
        keep(load_generator(run), {})
    assert (run / EVALUATIONS).read_text() == "["


def test_figures_of_an_earlier_checkpoint_are_not_reused(tmp_path):
    (cell,) = existing_cells([Path(shutil.copytree(points_run(), tmp_path / "run"))])
    assert measure(cell, QUESTION).left == ""
    shutil.rmtree(cell.run.path / "checkpoints" / "6")
    assert re.search(r"\b0\b.*\b6\b", measure(cell, QUESTION).left)
    both = [report["generator"]["step"] for report in kept(cell.run.path)]
    assert both == [6, 0]


def test_fewer_steps_than_were_trained_are_not_passed_off_as_such(tmp_path):
    """Else figures of 6 steps would stand under a configuration of 3."""
    shutil.copytree(points_run(), tmp_path / "tame" / "seed-0")
    beyond = ("checkpoint.every", "sample.count")  # Which the tiny run has as they come.
    layers = (Layer("test", {key: TINY[key] for key in TINY if key not in beyond}),)
    (same,) = make_cells([Variant("tame", layers)], 1, tmp_path)
    assert has_result(same)
    before = snapshot(tmp_path)
    fewer = (*layers, Layer("fewer", {"train.steps": 3}))
    (cell,) = make_cells([Variant("tame", fewer)], 1, tmp_path)
    with refused("3 steps", f"'{cell.run.path}'", allowed="6"):
        list(run_all([cell], QUESTION, way="alone"))
    after = {name: held for name, held in snapshot(tmp_path).items() if not name.endswith(".lock")}
    assert after == {name: held for name, held in before.items() if not name.endswith(".lock")}


@pytest.mark.parametrize(
    ("figures", "samples", "shown"),
    [
        ({"modes/found": 3}, 1000, ["3", "8"]),
        ({"modes/found": 3, "modes/high_quality": 0.012}, 1000, ["3", "8", "1", "2"]),
        ({"modes/found": 4}, 1000, []),
        ({"modes/found": 0}, 1000, ["0", "8"]),
        ({}, 1000, []),
        # Of four samples spread evenly over eight modes 8 (1 - (7 / 8)^4) = 3.31 modes have one.
        ({"modes/found": 2}, 4, []),
        ({"modes/found": 1}, 4, ["1", "8"]),
    ],
)
def test_a_collapse_is_less_than_half_of_what_even_samples_show(figures, samples, shown):
    found = collapse(figures, load("ring8:count=500"), samples)
    assert re.findall(r"\d+", found) == shown
    assert ("modes" in found) == bool(found) == bool(shown)


@pytest.mark.parametrize(
    ("lines", "collapsed"), [([], False), ([SOUND | FAR] * 9, False), (COLLAPSED, True)]
)
def test_a_run_that_has_barely_begun_has_not_collapsed(tmp_path, monkeypatch, lines, collapsed):
    (cell,) = existing_cells([run_of(tmp_path / "run", lines)])
    monkeypatch.setattr(outcomes_module, "measure_run", lambda *_: ({"modes/found": 1.0}, 6))
    assert bool(measure(cell, QUESTION).collapse) == collapsed


def test_metrics_that_a_run_cannot_have_are_refused_before_any_is_trained(tmp_path):
    cells = make_cells([variant("tame")], 1, tmp_path)
    check_question(cells, Question(("modes",), 100))
    with refused("'elbo'", "'ring8:count=500'", allowed="modes"):
        check_question(cells, Question(("modes", "elbo"), 100))
    with refused("split", "'validation'"):
        check_question(cells, Question(("modes",), 100, split="validation"))
    check_question(cells, Question(("modes",), 100), "modes/kl")
    with refused("--by 'kernel/distance'", allowed="modes", remedy="--metrics modes,kernel"):
        check_question(cells, Question(("modes",), 100), "kernel/distance")


def test_runs_of_different_data_are_not_compared(tmp_path):
    (there,) = existing_cells([points_run()])
    check_question([there, there], QUESTION)
    for key, value in (("data.name", "ring8:count=501"), ("data.split", "test")):
        (other,) = make_cells([variant("other", **{key: value})], 1, tmp_path)
        with refused("'points'", "'ring8:count=500'", "'other'", value):
            check_question([there, other], QUESTION)


def test_more_samples_than_there_are_sources_are_refused_before_any_run_is_trained(tmp_path):
    of_images = {
        "data.name": "digits",
        "task": "super-resolution:factor=2",
        "model": "unet:width=4",
    }
    layer = Layer("test", {**of_images, "train.steps": 2})
    cells = make_cells([Variant("one", (layer,))], 1, tmp_path)
    check_question(cells, Question(samples=1797))
    with refused("--samples 1798", "'digits'", allowed="1797"):
        check_question(cells, Question(samples=1798))


def test_an_unfinished_run_has_no_result(tmp_path):
    assert not has_result(Cell("a", 0, Run(tmp_path / "nowhere"), None))
    run = Run(Path(shutil.copytree(points_run(), tmp_path / "run")))
    assert has_result(Cell("a", 0, run, None))
    run.update_status(status="interrupted")
    assert not has_result(Cell("a", 0, run, None))
    assert re.search(r"\b6\b.*\b6\b", measure(Cell("a", 0, run, None), QUESTION).left)
