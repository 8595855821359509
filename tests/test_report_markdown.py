"""A page as Markdown: what each block becomes."""

import pytest

from gancli.report.markdown import as_markdown, escaped
from gancli.report.page import (
    Beside,
    Chart,
    Charts,
    Code,
    Folded,
    Listing,
    Page,
    Samples,
    Section,
    Table,
    Text,
)


def test_every_kind_of_block():
    charts = Charts([Chart("loss", "<svg></svg>")])
    page = Page(
        "A & B",
        [
            Section("Answer", [Text("Why?"), Text("So.", strong=True), Text("", note=True)]),
            Section("Drawn", [charts, Samples([0], [], "pixels")]),
            Section(
                "Rest",
                [
                    Listing(["one", "two_three"]),
                    Beside([charts, Table(["x", "y"], [["a|b", "1"]])]),
                    Folded("More", [Code("gan ```train```")]),
                ],
            ),
        ],
    )
    assert as_markdown(page) == (
        "# A \\& B\n\n"
        "## Answer\n\nWhy?\n\n**So.**\n\n"
        "## Rest\n\n"
        "- one\n- two\\_three\n\n"
        "| x | y |\n| --- | ---: |\n| a\\|b | 1 |\n\n"
        "### More\n\n````\ngan ```train```\n````\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>", r"\<script\>"),
        ("[a](b)", r"\[a\](b)"),
        ("**a** _b_ `c` ~~d~~", r"\*\*a\*\* \_b\_ \`c\` \~\~d\~\~"),
        ("100 %: -1 to +2", "100 %: -1 to +2"),
    ],
)
def test_nothing_of_a_text_is_markup(text, expected):
    assert escaped(text) == expected
