"""Reports as files."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gancli.comparison import RESULTS, read_results
from gancli.errors import UserError
from gancli.files import write_own
from gancli.report.comparison_page import comparison_page
from gancli.report.facts import as_toml
from gancli.report.html import as_html
from gancli.report.latex import latex_table
from gancli.report.markdown import as_markdown
from gancli.report.page import Page, Text
from gancli.report.run_page import CONFIGURATION, run_page
from gancli.report.spreadsheets import pairs_csv, runs_csv, variants_csv
from gancli.runs.directory import Run

MANIFEST = "report.json"


class Written(NamedTuple):
    """The written files, and the first sentence of the report."""

    paths: tuple[Path, ...]
    sentence: str


def write_report(
    folder: Path, out: Path | None = None, figure: str = "", baseline: str = ""
) -> Written:
    """Writes the report of a comparison or of a run.

    Args:
        folder: the directory of the comparison or run.
        out: the directory of the files, created if missing; None for `folder`. Files there that
            no report has written are not replaced.
        figure: `metric/figure` for ranking; empty for the comparison's own.
        baseline: the variant to compare the others with; empty for the comparison's own.

    Returns:
        The files, and the first sentence of the report.

    Raises:
        UserError: if the directory is neither, has no such figure or variant, or is read-only, or
            a file would be replaced that no report has written.
    """
    if Run(folder).exists and not (folder / RESULTS).exists():
        if figure or baseline:
            raise UserError(
                f"{'--by' if figure else '--baseline'} with {str(folder)!r}, which is one run",
                "the directory of a comparison",
                "Leave it out",
            )
        page = run_page(folder)
        texts = _pages(page)
        with suppress(UserError):  # The page says that it cannot be read.
            texts |= {CONFIGURATION: as_toml(Run(folder).config) + "\n"}
    else:
        results = read_results(folder)
        answer = results.answer(figure, baseline)
        page = comparison_page(folder, results, answer)
        texts = _pages(page) | {
            "runs.csv": runs_csv(results.outcomes),
            "variants.csv": variants_csv(answer),
            "pairs.csv": pairs_csv(answer),
            "table.tex": latex_table(results, answer),
        }
    return Written(write_own(out or folder, texts, MANIFEST), _sentence(page))


def _pages(page: Page) -> dict[str, str]:
    return {"report.html": as_html(page), "report.md": as_markdown(page)}


def _sentence(page: Page) -> str:
    return next(
        block.text
        for section in page.sections
        for block in section.blocks
        if isinstance(block, Text) and block.strong
    )
