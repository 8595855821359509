"""Reports: a comparison or a run as a page in HTML and Markdown, and as tables."""

from gancli.report.writing import write_report

__all__ = ["write_report"]
