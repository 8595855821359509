"""A page as Markdown, without its charts and pictures."""

import re
from collections.abc import Iterable, Iterator, Sequence

from gancli.report.page import (
    Beside,
    Block,
    Code,
    Folded,
    Listing,
    Page,
    Table,
    Text,
)


def as_markdown(page: Page) -> str:
    """Renders the texts, lists and tables of a page as Markdown, escaped."""
    parts = [f"# {escaped(page.title)}"]
    for section in page.sections:
        if inner := [part for block in section.blocks for part in _parts(block)]:
            parts += [f"## {escaped(section.title)}", *inner]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Escapes the special characters of Markdown."""
    return re.sub(r"([\\`*_\[\]<>|~$&#!])", r"\\\1", text)


def _parts(block: Block) -> Iterator[str]:
    """Yields the paragraphs of a block; charts and pictures are only in HTML."""
    match block:
        case Text(text, strong) if text:
            yield f"**{escaped(text)}**" if strong else escaped(text)
        case Listing(items):
            yield "\n".join(f"- {escaped(item)}" for item in items)
        case Table(head, rows, words):
            yield "\n".join(_table(head, rows, words))
        case Code(text):
            longest = max(map(len, re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            yield f"{fence}\n{text}\n{fence}"
        case Folded(summary, blocks):
            inner = [part for one in blocks for part in _parts(one)]
            yield from [f"### {escaped(summary)}", *inner] if inner else []
        case Beside(blocks):
            for one in blocks:
                yield from _parts(one)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> Iterator[str]:
    sides = ["---" if index < words else "---:" for index in range(len(head))]
    yield _row(map(escaped, head))
    yield _row(sides)
    for row in rows:
        yield _row(map(escaped, row))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
