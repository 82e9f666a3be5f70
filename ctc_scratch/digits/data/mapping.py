"""The names of a data set's classes: digits, or what its mapping file says.

EMNIST has a mapping file beside the images, `emnist-letters-mapping.txt` for instance. Each line has a label
and the codes of its characters: "1 65 97" means that label 1 is an A or an a. The first one is the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    from importlib.abc import Traversable

DIGITS = tuple("0123456789")
MOST_BYTES = 1 << 16
"""The most bytes in a mapping file; 256 lines have about 3000."""


def read_mapping(path: Traversable) -> dict[int, str]:
    """The name of each label, sorted by label, from a mapping file.

    Raises
    ------
    DataError
        The file cannot be read, or a line is not a label 0..255 and the codes of letters or digits, or
        a label or a name occurs twice.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, found: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: expected a mapping file of at most {MOST_BYTES} bytes, found more")
    names: dict[int, str] = {}
    for number, line in enumerate(content.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        label, *codes = (int(word) if word.isdigit() and len(word) < 8 else -1 for word in words)
        if not 0 <= label <= 255 or not codes or not all(_is_character(code) for code in codes):
            raise DataError(f"{path}: expected lines of a label 0..255 and the codes of letters or digits, "
                            f"like '1 65 97', found {line[:40].decode('ascii', 'replace')!r} "
                            f"in line {number}")
        if label in names or chr(codes[0]) in names.values():
            raise DataError(f"{path}: expected each label and each name once, found label {label} or name "
                            f"{chr(codes[0])} again in line {number}")
        names[label] = chr(codes[0])
    if not names:
        raise DataError(f"{path}: expected lines of a label and the codes of its characters, found none")
    return dict(sorted(names.items()))


def _is_character(code: int) -> bool:
    return 0 <= code < 0x110000 and chr(code).isalnum()
