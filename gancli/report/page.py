"""What a page is made of, whatever it is written as: sections of texts, tables, charts, samples."""

from collections.abc import Sequence
from typing import Literal, NamedTuple


class Text(NamedTuple):
    """A paragraph; one that is `strong` is the page's answer, a `note` is smaller."""

    text: str
    strong: bool = False
    note: bool = False
    kind = "text"


class Listing(NamedTuple):
    """Sentences, one below the other."""

    items: Sequence[str]
    kind = "listing"


class Table(NamedTuple):
    """A table of texts, of which the columns after the first `words` are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    kind = "table"


class Chart(NamedTuple):
    """A picture of lines: its title, the SVG document, and what must be said of it."""

    title: str
    svg: str
    note: str = ""


class Key(NamedTuple):
    """A variant in the key of charts: its number there, its name, its line as an SVG element."""

    number: int
    name: str
    svg: str


class Charts(NamedTuple):
    """Charts side by side, below the key of their lines."""

    charts: Sequence[Chart]
    keys: Sequence[Key] = ()
    kind = "charts"


class Frame(NamedTuple):
    """What a run showed at a step: a picture as a data URI, or lines of text.

    `position` is that of the slider from which on it is shown.
    """

    position: int
    step: int
    picture: str = ""
    lines: Sequence[str] = ()


class Film(NamedTuple):
    """The samples of one run over its steps; `note` says what is wrong with it or with them."""

    name: str
    frames: Sequence[Frame]
    note: str = ""


class Samples(NamedTuple):
    """Films that one slider moves: of each seed, side by side.

    `steps` are those of the slider; `look` is how frames are shown: `pixels`, each a square,
    `picture` or `text`.
    """

    steps: Sequence[int]
    films: Sequence[tuple[str, Sequence[Film]]]
    look: Literal["pixels", "picture", "text"]
    kind = "samples"


class Code(NamedTuple):
    """A text that is to be copied."""

    text: str
    kind = "code"


class Folded(NamedTuple):
    """What is seen once its summary is clicked."""

    summary: str
    blocks: "Sequence[Block]"
    kind = "folded"


class Beside(NamedTuple):
    """Two blocks beside each other where there is room."""

    blocks: "Sequence[Block]"
    kind = "beside"


Block = Text | Listing | Table | Charts | Samples | Code | Folded | Beside


class Section(NamedTuple):
    """A part of a page under its title."""

    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """A page: its title, and its sections in their order."""

    title: str
    sections: Sequence[Section]
