"""Characters of a text file, cut into sequences of one length."""

import io
from pathlib import Path
from typing import Annotated

import numpy as np

from gancli.data.builtin.oracle import refuse_size
from gancli.data.dataset import DATASETS, DataRequest, Dataset, DataSpec
from gancli.data.facts import fingerprint
from gancli.errors import UserError, excerpt, unknown_name
from gancli.files import open_regular
from gancli.registry import Bounds

SPLITS = ("train", "test")
MOST_BYTES = 1 << 28
MOST_CHARACTERS = 256  # different ones, as many as a byte can number
DEFAULT_LENGTH = 32

_ALLOWED = (
    f"a text in UTF-8 of at most {MOST_BYTES >> 20} MiB, with 2 to {MOST_CHARACTERS} different "
    "characters"
)
_CODE_POINTS = 0x110000
_READ_AT_ONCE = 1 << 20


@DATASETS.register("text", reference="a file of yours; a .txt needs no option")
def text(
    request: DataRequest,
    *,
    path: str = "",
    length: Annotated[int, Bounds(2, 1024)] = DEFAULT_LENGTH,
) -> Dataset:
    """The characters of a text file, cut into sequences of one length.

    Args:
        request: only its `split` applies.
        path: of the file, of any suffix.
        length: of a sequence, in characters.

    Returns:
        Tokens (count, length) uint8; see `read`.

    Raises:
        UserError: if no file is named, or `read` refuses it.
    """
    if not path:
        raise UserError("text without a path", "text:path=FILE", "For example text:path=book.txt")
    return read(Path(path).expanduser(), request, length)


def read(path: Path, request: DataRequest, length: int = DEFAULT_LENGTH) -> Dataset:
    """Cuts a text into sequences that follow each other; what is left at the end is not used.

    Tokens number the characters that occur, in the order of Unicode; every line end is one line
    feed. The first nine tenths of the sequences are the split `train`, the rest `test`.

    Args:
        path: the file.
        request: only its `split` applies.
        length: of a sequence, in characters.

    Returns:
        Tokens (count, length) uint8.

    Raises:
        UserError: if the file is not such a text, or too short.
        OSError: if it cannot be read, or is empty.
    """
    refuse_size(str(path), request)
    if request.split not in SPLITS:
        raise unknown_name("split of a text", request.split, SPLITS)
    tokens, characters = _numbered(path)
    count = len(tokens) // length
    train = count * 9 // 10
    if train < 1 or len(characters) < 2:
        raise UserError(
            f"{path} has {len(tokens):,} characters, {len(characters):,} of them different",
            f"at least 2 sequences of {length:,} characters, and 2 different ones",
            "Give a longer text, or text:path=FILE,length=N with a smaller length",
        )
    rows = slice(train) if request.split == "train" else slice(train, count)
    examples = tokens[: count * length].reshape(count, length)[rows]
    spec = DataSpec(
        path.stem, "tokens", (length,), vocabulary=len(characters), characters=characters
    )
    return Dataset(spec, examples, None, fingerprint(examples, characters=characters))


def _numbered(path: Path) -> tuple[np.ndarray, str]:
    """The number of each character, uint8, and the characters that there are, in their order."""
    numbers = np.full(_CODE_POINTS, -1, np.int16)  # In the order in which they are met.
    met: list[int] = []
    parts: list[np.ndarray] = []
    with open_regular(path) as file:
        if file.seek(0, io.SEEK_END) > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES:,} bytes", _ALLOWED)
        file.seek(0)
        try:
            with io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
                while part := lines.read(_READ_AT_ONCE):
                    codes = np.frombuffer(part.encode("utf-32-le"), "<u4")
                    new = np.unique(codes[numbers[codes] < 0])
                    numbers[new] = np.arange(len(met), len(met) + len(new))
                    met += new.tolist()
                    if len(met) > MOST_CHARACTERS:
                        raise UserError(
                            f"{path} has more than {MOST_CHARACTERS} different characters", _ALLOWED
                        )
                    parts.append(numbers[codes].astype(np.uint8))
        except UnicodeError as error:
            raise UserError(f"{path} is no text in UTF-8: {excerpt(error)}", _ALLOWED) from None
    in_order = np.argsort(np.argsort(met)).astype(np.uint8)
    tokens = in_order[np.concatenate(parts)] if parts else np.zeros(0, np.uint8)
    return tokens, "".join(map(chr, sorted(met)))
