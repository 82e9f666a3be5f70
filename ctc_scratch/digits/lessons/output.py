"""What a lesson leaves in its folder: figures, and a text that explains them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from ..errors import OptionError

NAMES = re.compile(
    r"(batch_runs|gamma_evolution|iteration_\d+|mended|objectives|plateau|sum_not_columns|uniform_gamma)"
    r"\.png|training\.gif|explanation\.txt")
"""The names of all files that lessons write; which iterations have a file depends on the seed."""


class LessonFolder:
    """The folder that a lesson writes to; before the first file, those of an earlier lesson are removed.

    Other files in it are left alone.

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
        assert NAMES.fullmatch(name), f"{name} would not be removed by the next lesson"
        if not self.files:
            for path in self.path.iterdir():
                if NAMES.fullmatch(path.name):
                    path.unlink()
        self.files.append(str(self.path / name))
        return self.path / name

    def save(self, name: str, figure: Any) -> None:
        """Write a matplotlib figure as name.png."""
        figure.savefig(self.file(f"{name}.png"), dpi=200)

    def explain(self, text: str, table: str = "") -> None:
        """Print a text, wrapped at 79 columns, and a table above it; write both to explanation.txt."""
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        wrapped = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 79) for paragraph in paragraphs)
        wrapped = f"{table}\n\n{wrapped}" if table else wrapped
        print(wrapped)
        self.file("explanation.txt").write_text(wrapped + "\n", encoding="utf-8")
