"""A page as one self-contained HTML file, which loads nothing."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from gancli.report.page import Page


def as_html(page: Page) -> str:
    """Renders a page as HTML; its texts are escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_part("template.html"))
    return template.render(page=page, style=_part("style.css"), script=_part("script.js"))


def _part(name: str) -> str:
    return (files("gancli.report") / name).read_text(encoding="utf-8")
