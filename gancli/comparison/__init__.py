"""Comparison of variants: each trained over the same seeds as ordinary runs, then measured."""

from gancli.comparison.budgets import keep_steps
from gancli.comparison.measurements import Outcome, check_question, measure, measure_all
from gancli.comparison.results import (
    RESULTS,
    Results,
    gather,
    open_folder,
    read_results,
    require_folder,
    results_as_json,
    write_results,
)
from gancli.comparison.running import run_all
from gancli.comparison.runs import (
    Budget,
    Cell,
    Variant,
    chosen_cells,
    default_folder,
    existing_cells,
    has_result,
    make_cells,
    require_baseline,
    require_distinct,
    variant_name,
)
from gancli.comparison.variants import swept
from gancli.comparison.verdicts import Answer, Standing, require_figure

__all__ = [
    "RESULTS",
    "Answer",
    "Budget",
    "Cell",
    "Outcome",
    "Results",
    "Standing",
    "Variant",
    "check_question",
    "chosen_cells",
    "default_folder",
    "existing_cells",
    "gather",
    "has_result",
    "keep_steps",
    "make_cells",
    "measure",
    "measure_all",
    "open_folder",
    "read_results",
    "require_baseline",
    "require_distinct",
    "require_figure",
    "require_folder",
    "results_as_json",
    "run_all",
    "swept",
    "variant_name",
    "write_results",
]
