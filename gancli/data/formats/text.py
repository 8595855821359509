"""Characters of a text file, cut into sequences of one length."""

import os
from pathlib import Path
from typing import Annotated

import numpy as np

from gancli.data.dataset import (
    DATASETS,
    DataRequest,
    Dataset,
    DataSpec,
    refuse_size,
    require_split,
)
from gancli.data.facts import fingerprint
from gancli.errors import UserError, excerpt
from gancli.files import open_regular
from gancli.registry import Bounds

SPLITS = ("train", "test")
MOST_BYTES = 1 << 28
MOST_CHARACTERS = 1 << 16  # different ones, as many as a vocabulary may have
DEFAULT_LENGTH = 32

_ALLOWED = (
    f"a text in UTF-8 of at most {MOST_BYTES >> 20} MiB, with 2 to {MOST_CHARACTERS:,} different "
    "characters"
)
_CODE_POINTS = 0x110000


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
        path: path of the file, with any suffix.
        length: length of a sequence in characters.

    Returns:
        Tokens (count, length); see `read`.

    Raises:
        UserError: if no file is named, or `read` refuses it.
    """
    if not path:
        raise UserError("text without a path", "text:path=FILE", "For example text:path=book.txt")
    return read(Path(os.path.expanduser(path)), request, length)


def read(path: Path, request: DataRequest, length: int = DEFAULT_LENGTH) -> Dataset:
    """Cuts a text into consecutive sequences; the remainder at the end is not used.

    Tokens number the characters of the text in Unicode order; every line end is one line feed. The
    first nine tenths of the sequences are the split `train`, the rest `test`.

    Args:
        path: the file.
        request: only its `split` applies.
        length: length of a sequence in characters.

    Returns:
        Tokens (count, length), uint8 where there are at most 256 characters, else int32.

    Raises:
        UserError: if the file is not such a text, or too short.
        OSError: if it cannot be read, or is empty.
    """
    refuse_size(str(path), request, "tokens")
    require_split("a text", request.split, SPLITS)
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
    """The number of each character, and the characters that there are, in their order."""
    with open_regular(path) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES:,} bytes", _ALLOWED)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeError as error:
        raise UserError(f"{path} is not text in UTF-8: {excerpt(error)}", _ALLOWED) from None
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    occurs = np.zeros(_CODE_POINTS, bool)
    occurs[codes] = True
    characters = np.flatnonzero(occurs)
    if len(characters) > MOST_CHARACTERS:
        raise UserError(f"{path} has more than {MOST_CHARACTERS:,} different characters", _ALLOWED)
    numbers = np.zeros(_CODE_POINTS, np.uint8 if len(characters) <= 256 else np.int32)
    numbers[characters] = np.arange(len(characters))
    return numbers[codes], "".join(map(chr, characters))
