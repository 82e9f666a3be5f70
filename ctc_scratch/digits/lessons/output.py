"""What `show` and `lattice` leave in their folder: figures, and a text that explains them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..errors import OptionError

Format = Literal["png", "svg", "pdf"]

NAMES = re.compile(
    r"(alpha_beta_gamma|batch_runs|gamma_evolution|gradient|iteration_\d+|mended|objectives|paths|plateau"
    r"|reading_stages|sum_not_columns|trellis|uniform_gamma)\.(png|svg|pdf)"
    r"|(reading|training)\.(gif|mp4)|explanation\.txt")
"""The names of all files that `show` and `lattice` write; which of them a run writes depends on options."""


class Output(NamedTuple):
    """Where figures are written, and how: the options --out, --format and --dpi."""

    out: str
    format: Format = "png"
    dpi: int = 200


class FigureFolder:
    """The folder that `show` or `lattice` writes to; the first file replaces all those of earlier runs.

    It does not matter which of the two wrote them, in which format and with which options. Other files in
    the folder are left alone.

    Parameters
    ----------
    output : its path and the format of figures; OptionError if the folder cannot be made

    Attributes
    ----------
    files : list of str, the paths of all files written, in order
    """

    def __init__(self, output: Output):
        self.path = Path(output.out)
        self.format, self.dpi = output.format, output.dpi
        self.files: list[str] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"--out {self.path} cannot be made: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"FigureFolder({str(self.path)!r}, {len(self.files)} files)"

    def file(self, name: str) -> Path:
        """The path for a file that the caller is about to write."""
        assert NAMES.fullmatch(name), f"{name} would not be removed by the next run"
        if not self.files:
            for path in self.path.iterdir():
                if NAMES.fullmatch(path.name):
                    path.unlink()
        self.files.append(str(self.path / name))
        return self.path / name

    def save(self, name: str, figure: Any) -> None:
        """Write a matplotlib figure as name.png, or in another format."""
        figure.savefig(self.file(f"{name}.{self.format}"), dpi=self.dpi)

    def animate(self, name: str, figures: Any) -> None:
        """Write matplotlib figures as the animation name.gif, and as the film name.mp4 if ffmpeg is there."""
        from ... import plots

        pictures = plots.pictures_of(figures)
        plots.save_gif(pictures, self.file(f"{name}.gif"))
        film = self.path / f"{name}.mp4"
        reason = plots.save_mp4(pictures, film)
        if reason:
            print(f"no {film}: {reason}")
        else:
            self.files.append(str(film))

    def explain(self, text: str, table: str = "") -> None:
        """Print a text, wrapped at 79 columns, and a table above it; write both to explanation.txt."""
        paragraphs = textwrap.dedent(text).strip().split("\n\n")
        wrapped = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 79) for paragraph in paragraphs)
        wrapped = f"{table}\n\n{wrapped}" if table else wrapped
        print(wrapped)
        self.file("explanation.txt").write_text(wrapped + "\n", encoding="utf-8")
