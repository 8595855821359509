"""The elements of a page, independent of format: sections of texts, tables, charts, samples."""

from collections.abc import Sequence
from typing import Literal, NamedTuple


class Text(NamedTuple):
    """A paragraph; a `strong` one is the page's answer, a `note` is smaller."""

    text: str
    strong: bool = False
    note: bool = False
    kind = "text"


class Listing(NamedTuple):
    """A list of sentences."""

    items: Sequence[str]
    kind = "listing"


class Table(NamedTuple):
    """A table of texts; the columns after the first `words` are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    kind = "table"


class Chart(NamedTuple):
    """A chart: its title, the SVG document, and a note."""

    title: str
    svg: str
    note: str = ""


class Key(NamedTuple):
    """A variant in the key of charts: its number, name, and line as an SVG element."""

    number: int
    name: str
    svg: str


class Charts(NamedTuple):
    """Charts side by side, below the key of their lines."""

    charts: Sequence[Chart]
    keys: Sequence[Key] = ()
    kind = "charts"


class Frame(NamedTuple):
    """The samples of a run at a step: a picture as a data URI, or lines of text.

    `position` is the first slider position that shows the frame.
    """

    position: int
    step: int
    picture: str = ""
    lines: Sequence[str] = ()


class Film(NamedTuple):
    """The samples of one run over its steps; `note` describes problems."""

    name: str
    frames: Sequence[Frame]
    note: str = ""


class Samples(NamedTuple):
    """Films that one slider controls, side by side for each seed.

    `steps` are the positions of the slider; `look` says how frames are shown: as `pixels`, each a
    square, `picture` or `text`.
    """

    steps: Sequence[int]
    films: Sequence[tuple[str, Sequence[Film]]]
    look: Literal["pixels", "picture", "text"]
    kind = "samples"


class Code(NamedTuple):
    """A text for copying."""

    text: str
    kind = "code"


class Folded(NamedTuple):
    """Content that a click on its summary reveals."""

    summary: str
    blocks: "Sequence[Block]"
    kind = "folded"


class Beside(NamedTuple):
    """Two blocks side by side if there is room."""

    blocks: "Sequence[Block]"
    kind = "beside"


Block = Text | Listing | Table | Charts | Samples | Code | Folded | Beside


class Section(NamedTuple):
    """A titled part of a page."""

    title: str
    blocks: Sequence[Block]


class Page(NamedTuple):
    """A page: its title and sections."""

    title: str
    sections: Sequence[Section]
