"""The lattice as text, for terminals: states from top to bottom, frames from left to right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lattice import Lattice

GAP = 7  # columns between two frames, in which moves are drawn
CELL = 3  # columns of a state: .25
SHADES = " .:-=+*#%@"
"""From probability 0 to 1, in tenths; what is above 0 is never blank."""


def trellis_text(lattice: Lattice, width: int = 80) -> str:
    """Every path of a small lattice: gamma at each state, and the moves between them.

    A stay runs to the right, a step one state down, a skip two. `.25` is a posterior of 0.25,
    `.00` one that rounds to 0; a dot stands where no path is. Where the frames do not fit in
    `width` columns, the answer is `gamma_text`.

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
            text = _hundredths(lattice.gamma[t, s]) if possible[t, s] else " · "
            grid[2 * s][at:at + CELL] = text
        if t + 1 < T:
            _draw_moves(grid, at + CELL, lattice.xi[:, t] > 0)
    names = [_name(lattice, s) for s in range(S)]
    lines = ["".join(["      ", *(f" t={t}".ljust(CELL + GAP) for t in range(T))])]
    for r, row in enumerate(grid):
        lines.append((f"{names[r // 2]:>4}  " if r % 2 == 0 else " " * 6) + "".join(row))
    return "\n".join(line.rstrip() for line in lines)


def gamma_text(lattice: Lattice, width: int = 80) -> str:
    """gamma of any lattice, a shade for each state and frame: one of " .:-=+*#%@", from 0 to 1.

    Frames that do not fit in `width` columns share one, and show the largest of theirs.

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
    per_column = max(1, -(-T // (width - 6)))
    lines = []
    for s in range(S):
        shades = [_shade(gamma[t:t + per_column, s].max()) for t in range(0, T, per_column)]
        lines.append(f"{_name(lattice, s):>4}  {''.join(shades)}".rstrip())
    frames = "1 frame" if per_column == 1 else f"{per_column} frames"
    lines.append(f"      t = 0 to {T - 1}; a column is {frames}" if T else "      no frames")
    return "\n".join(lines)


def _draw_moves(grid: list[list[str]], at: int, moves: NDArray[np.bool_]) -> None:
    """The moves (3, S) of one frame, into the GAP columns from `at` on."""
    for s, (stay, step, skip) in enumerate(moves.T):
        if stay:
            for x in range(at, at + GAP):
                if grid[2 * s][x] == " ":
                    grid[2 * s][x] = "─"
        if step:
            grid[2 * s + 1][at + GAP // 2] = "╲"
        if skip:  # across the blank between: left, middle, right
            for down, x in enumerate((at + 1, at + GAP // 2, at + GAP - 2), start=1):
                grid[2 * s + down][x] = "╲"


def _name(lattice: Lattice, s: int) -> str:
    return "-" if s % 2 == 0 else str(lattice.ext[s])


def _hundredths(p: float) -> str:
    return "1.0" if p >= 0.995 else f"{p:.2f}"[1:]


def _shade(p: float) -> str:
    return SHADES[0] if p == 0 else SHADES[max(1, min(round(9 * p), 9))]
