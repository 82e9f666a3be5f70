"""The lattice as text, for terminals: states from top to bottom, frames from left to right."""

from __future__ import annotations

import math
import sys
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

GAP = 7  # columns between two frames, in which moves are drawn
CELL = 3  # columns of a state: .25
STAY, DOWN, NO_PATH = "─╲·"
ASCII = str.maketrans({STAY: "-", DOWN: "\\", NO_PATH: "."})
SHADES = " .:-=+*#%@"
"""From probability 0 to 1 in ninths; a probability above 0 is never blank."""


class Posterior(Protocol):
    """The part of a `Lattice` that is drawn."""

    @property
    def ext(self) -> NDArray[np.intp]: ...

    @property
    def gamma(self) -> NDArray[np.float64]: ...

    @property
    def xi(self) -> NDArray[np.float64]: ...


def trellis_text(lattice: Posterior, width: int = 80, ascii_only: bool = False) -> str:
    """Every path of a small lattice: gamma at each state, and the moves between the states.

    A stay runs to the right, a step goes one state down, a skip two. `.25` is a posterior of 0.25, and
    `.00` one that rounds to 0; a dot marks a state that no path passes. With `ascii_only` the lines are
    `-` and `\\`. If the frames do not fit in `width` columns, the result is that of `gamma_text`.

    >>> from .lattice import lattice
    >>> print(trellis_text(lattice(np.zeros((3, 3)), [1, 2])))
           t=0       t=1       t=2
       -  .20        ·         ·
                ╲
       1  .80───────.40        ·
              ╲ ╲       ╲
       -   ·    ╲   .20   ╲    ·
                  ╲       ╲ ╲
       2   ·        .40───────.80
                          ╲
       -   ·         ·        .20
    """
    T, S = lattice.gamma.shape
    if 7 + T * (CELL + GAP) > width + GAP:
        return gamma_text(lattice, width)
    grid = [[" "] * (T * (CELL + GAP)) for _ in range(2 * S - 1)]
    possible = lattice.gamma > 0
    for t in range(T):
        at = t * (CELL + GAP)
        for s in range(S):
            text = hundredths(lattice.gamma[t, s]) if possible[t, s] else f" {NO_PATH} "
            grid[2 * s][at:at + CELL] = text
        if t + 1 < T:
            _draw_moves(grid, at + CELL, lattice.xi[:, t] > 0)
    names = state_names(lattice.ext)
    lines = ["".join(["      ", *(f" t={t}".ljust(CELL + GAP) for t in range(T))])]
    for r, row in enumerate(grid):
        lines.append((f"{names[r // 2]:>4}  " if r % 2 == 0 else " " * 6) + "".join(row))
    text = "\n".join(line.rstrip() for line in lines)
    return text.translate(ASCII) if ascii_only else text


def gamma_text(lattice: Posterior, width: int = 80) -> str:
    """gamma of any lattice, one character for each state and frame: one of " .:-=+*#%@", from 0 to 1.

    If the frames do not fit in `width` columns, several share a column, which shows their largest gamma.

    >>> from .lattice import lattice
    >>> print(gamma_text(lattice(np.zeros((4, 3)), [1, 2])))
       -  -.
       1  *+:
       -   ::
       2   :+*
       -    .-
          t = 0 to 3; a column is 1 frame
    """
    gamma = lattice.gamma
    T, S = gamma.shape
    names = state_names(lattice.ext)
    per_column = max(1, -(-T // (width - 6)))
    lines = []
    for s in range(S):
        shades = [_shade(gamma[t:t + per_column, s].max()) for t in range(0, T, per_column)]
        lines.append(f"{names[s]:>4}  {''.join(shades)}".rstrip())
    frames = "1 frame" if per_column == 1 else f"{per_column} frames"
    lines.append(f"      t = 0 to {T - 1}; a column is {frames}" if T else "      no frames")
    return "\n".join(lines)


def terminal_draws_lines() -> bool:
    """Whether the encoding of the terminal has the characters of a trellis."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        (STAY + DOWN + NO_PATH).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def state_names(ext: NDArray[np.intp]) -> list[str]:
    """What each state of l' is called: `-` for a blank, the class for a label."""
    return ["-" if s % 2 == 0 else str(c) for s, c in enumerate(ext.tolist())]


def hundredths(p: float) -> str:
    """A probability in three characters: `.25`, or `1.0` from 0.995 on."""
    return "1.0" if p >= 0.995 else f"{p:.2f}"[1:]


def number_text(number: int) -> str:
    """A whole number as text: its digits if there are at most 15, else only its power of ten.

    >>> number_text(15), number_text(2**1000)
    ('15', 'about 10^301')
    """
    return str(number) if number < 10**15 else f"about 10^{int(math.log10(number))}"


def _draw_moves(grid: list[list[str]], at: int, moves: NDArray[np.bool_]) -> None:
    """Draw the moves (3, S) that are possible at one frame into the GAP columns from `at` on."""
    for s, (stay, step, skip) in enumerate(moves.T):
        if stay:
            for x in range(at, at + GAP):
                if grid[2 * s][x] == " ":
                    grid[2 * s][x] = STAY
        if step:
            grid[2 * s + 1][at + GAP // 2] = DOWN
        if skip:  # past the blank in between: left, middle, right
            for down, x in enumerate((at + 1, at + GAP // 2, at + GAP - 2), start=1):
                grid[2 * s + down][x] = DOWN


def _shade(p: float) -> str:
    return SHADES[0] if p == 0 else SHADES[max(1, min(round(9 * p), 9))]
