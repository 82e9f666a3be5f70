"""What a lesson leaves in its folder: figures, and a text that explains them."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from ..errors import OptionError


class LessonFolder:
    """The folder that a lesson writes to; older files of the same names are replaced.

    Parameters
    ----------
    out : its path; OptionError if the folder cannot be made

    Attributes
    ----------
    files : list of str, the paths of all files written, in order
    """

    def __init__(self, out: str):
        self.path = Path(out)
        self.files: list[str] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"--out {self.path} cannot be made: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"LessonFolder({str(self.path)!r}, {len(self.files)} files)"

    def file(self, name: str) -> Path:
        """The path for a file that the caller is about to write."""
        self.files.append(str(self.path / name))
        return self.path / name

    def save(self, name: str, figure: Any) -> None:
        """Write a matplotlib figure as name.png."""
        figure.savefig(self.file(f"{name}.png"), dpi=200)

    def explain(self, text: str) -> None:
        """Print a text, wrapped at 79 columns, and write it to explanation.txt."""
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        wrapped = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 79) for paragraph in paragraphs)
        print(wrapped)
        self.file("explanation.txt").write_text(wrapped + "\n", encoding="utf-8")
