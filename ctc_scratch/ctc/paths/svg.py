"""The lattice and an alignment as SVG text, which notebooks show; it needs no drawing library.

A drawing has a white background of its own, so that it looks the same in light and dark notebooks. What it
distinguishes by colour differs in darkness, size or outline too. Long sequences are pooled or cut short,
and a note under the drawing says how.
"""

from __future__ import annotations

from typing import Iterable, Sequence
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from .star import STAR
from .trellis import hundredths

ACCENT = "#c1432e"  # the target's path, and where its labels stand
INK, RULE, BACKGROUND = "#22303c", "#8a949e", "#ffffff"

WIDTH, MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP = 720, 46, 14, 30  # pixels; the margins are those of the cells
LINE = 16  # pixels from one line of text to the next
MOST_COLUMNS, MOST_ROWS = 120, 61
"""More frames or states than this share cells."""
MOST_NUMBERS = 140
"""A lattice of at most this many cells shows the number in each of them."""
MOST_SPANS = 120
"""An alignment shows this many labels, from the first on."""
BAR_HEIGHT = 80
"""Pixels of a bar whose confidence is 1."""


def lattice_svg(gamma: NDArray[np.float64], names: Sequence[str], states: Sequence[int], caption: str) -> str:
    """A cell for each state and frame, as dark as gamma is large, and a path through the cells.

    gamma : (T, S)
    names : what each state is called
    states : (T,) the states of the path; empty if there is no path
    caption : a line about the lattice
    """
    T, S = gamma.shape
    per_column, per_row = max(1, -(-T // MOST_COLUMNS)), max(1, -(-S // MOST_ROWS))
    pooled = _largest(gamma, per_column, per_row)
    columns, rows = pooled.shape
    cell_width = min(46.0, (WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / max(columns, 1))
    numbered = columns * rows <= MOST_NUMBERS and cell_width >= 38
    cell_height = 28.0 if numbered else max(5.0, min(22.0, 330 / rows))
    bottom = MARGIN_TOP + rows * cell_height

    parts: list[str] = []
    if numbered:
        parts += _numbered_cells(pooled, names, cell_width, cell_height)
    else:
        parts += _shaded_cells(pooled, cell_width, cell_height)
    if per_row == 1:
        every = 1 if cell_height >= 9 else 2 if cell_height >= 6 else 4
        for s in range(0 if every == 1 else 1, S, every):  # the labels alone where there is little room
            y = MARGIN_TOP + (s + 0.5) * cell_height + 3.5
            parts.append(_text(MARGIN_LEFT - 6, y, names[s], "end", 10))
    parts += _frame_axis(T, cell_width / per_column, bottom)
    middles = [min(column * per_column + (per_column - 1) // 2, T - 1) for column in range(columns)]
    points = [
        (MARGIN_LEFT + (column + 0.5) * cell_width, MARGIN_TOP + (states[t] // per_row + 0.5) * cell_height)
        for column, t in enumerate(middles) if len(states)
    ]
    parts += _path(points, cell_height)

    notes = ["shade: gamma, the posterior of each state at each frame"]
    if points:
        notes[0] += "; line: the most likely alignment"
    if per_column > 1 or per_row > 1:
        notes.append(f"each cell is the largest gamma of {_counted(per_column, 'frame')} and "
                     f"{_counted(per_row, 'state')}; the path has one point per column of cells")
    return _document([caption, *notes], parts, bottom + 18)


def alignment_svg(spans: Sequence[tuple[int, int, int, float]], T: int, caption: str) -> str:
    """A bar for each label, over its frames and as high as its confidence; grey for what a star covers.

    spans : label, first frame, last frame and confidence of each label or star, in order
    T : how many frames there are
    caption : a line about the alignment
    """
    shown, frames = spans[:MOST_SPANS], T
    if len(shown) < len(spans):
        _, _, last_shown, _ = shown[-1]
        frames = last_shown + 1
    frame_width = (WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / max(frames, 1)
    top, bottom = MARGIN_TOP + LINE, MARGIN_TOP + LINE + BAR_HEIGHT
    parts = [
        f'<path d="M{MARGIN_LEFT} {y}H{WIDTH - MARGIN_RIGHT}" stroke="{RULE}" stroke-width="{width}"/>'
        for y, width in ((top, 0.5), ((top + bottom) / 2, 0.5), (bottom, 1))
    ]
    parts += [_text(MARGIN_LEFT - 6, y + 3.5, value, "end", 10)
              for y, value in ((top, "1"), ((top + bottom) / 2, ".5"), (bottom, "0"))]
    free, unnamed = 0.0, 0
    for label, first, last, confidence in shown:
        x, width = MARGIN_LEFT + first * frame_width, max((last + 1 - first) * frame_width - 1, 1.0)
        height = max(min(confidence, 1.0) * BAR_HEIGHT, 1.0)
        frames_text = f"frame {first}" if first == last else f"frames {first} to {last}"
        colour, name, title = (RULE, "*", "star") if label == STAR else (ACCENT, str(label), f"label {label}")
        parts.append(
            f'<rect x="{x:.1f}" y="{bottom - height:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{colour}">'
            f"<title>{title}, {frames_text}, confidence {confidence:.3f}</title></rect>")
        half = 3.2 * len(name) + 1
        if x + width / 2 - half >= free:
            parts.append(_text(x + width / 2, bottom - height - 4, name, "middle", 11))
            free = x + width / 2 + half
        else:
            unnamed += 1
    parts += _frame_axis(frames, frame_width, bottom)

    notes = ["bar: the frames of a label; height: its confidence"]
    if any(label == STAR for label, *_ in shown):
        notes[0] += "; grey (*): what a star covers"
    if len(shown) < len(spans):
        notes.append(f"only the first {len(shown)} of {len(spans)} labels are shown, "
                     f"in {frames} of {T} frames")
    if unnamed:
        notes.append(f"{_counted(unnamed, 'bar')} had no room for the label")
    return _document([caption, *notes], parts, bottom + 18)


def _largest(gamma: NDArray[np.float64], per_column: int, per_row: int) -> NDArray[np.float64]:
    """The largest gamma of each block of frames and states."""
    T, S = gamma.shape
    if T == 0:
        return np.zeros((0, -(-S // per_row)))
    by_frames = np.maximum.reduceat(gamma, np.arange(0, T, per_column), axis=0)
    return np.maximum.reduceat(by_frames, np.arange(0, S, per_row), axis=1)


def _numbered_cells(
    gamma: NDArray[np.float64], names: Sequence[str], width: float, height: float
) -> Iterable[str]:
    """A rectangle for each cell, with its gamma as a number where that is above 0."""
    for (t, s), p in np.ndenumerate(gamma):
        x, y = MARGIN_LEFT + t * width, MARGIN_TOP + s * height
        yield (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height - 1:.1f}" '
               f'fill="{INK}" fill-opacity="{0.04 + 0.86 * p:.3f}">'
               f"<title>t={t}, state {s} ({escape(names[s])}): gamma {p:.4f}</title></rect>")
        if p > 0:
            # At the lower left: paths come from the upper left and leave to the lower right.
            colour = BACKGROUND if p > 0.6 else INK
            yield _text(x + 3, y + height - 4, hundredths(p), "start", 9, colour)


def _shaded_cells(gamma: NDArray[np.float64], width: float, height: float) -> Iterable[str]:
    """The cells in 16 shades, all cells of one shade as a single path; the lightest are left out."""
    levels = np.rint(16 * gamma).astype(int)
    box = f"h{width:.1f}v{height:.1f}h-{width:.1f}z"
    yield (f'<rect x="{MARGIN_LEFT}" y="{MARGIN_TOP}" width="{len(gamma) * width:.1f}" '
           f'height="{gamma.shape[1] * height:.1f}" fill="{INK}" fill-opacity="0.04"/>')
    for level in range(1, 17):
        cells = "".join(f"M{MARGIN_LEFT + t * width:.1f} {MARGIN_TOP + s * height:.1f}{box}"
                        for t, s in np.argwhere(levels == level))
        if cells:
            yield f'<path d="{cells}" fill="{INK}" fill-opacity="{0.9 * level / 16:.3f}"/>'


def _path(points: Sequence[tuple[float, float]], cell_height: float) -> Iterable[str]:
    """A line with a white outline, which keeps it visible on dark cells, and dots if there is room."""
    if not points:
        return
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    for colour, thickness in ((BACKGROUND, 4.5), (ACCENT, 2)):
        yield (f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="{thickness}" '
               'stroke-linejoin="round" stroke-linecap="round"/>')
    if cell_height >= 12 and len(points) <= 40:
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{ACCENT}" stroke="{BACKGROUND}"/>'


def _frame_axis(T: int, frame_width: float, y: float) -> Iterable[str]:
    """Frame numbers at round distances, each below the middle of its frame."""
    spacing = next((n for n in (m * 10**e for e in range(9) for m in (1, 2, 5)) if n * frame_width >= 44), 1)
    for t in range(0, T, spacing):
        name = f"t={t}" if t == 0 else str(t)
        yield _text(MARGIN_LEFT + (t + 0.5) * frame_width, y + 13, name, "middle", 10)


def _text(x: float, y: float, content: str, anchor: str, size: int, colour: str = INK) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
            f"{escape(content)}</text>")


def _document(lines: Sequence[str], parts: Iterable[str], bottom: float) -> str:
    """The drawing with its caption above and the notes below it."""
    caption, *notes = lines
    height = bottom + LINE * len(notes) + 8
    texts = [_text(12, 19, caption, "start", 12)]
    texts += [_text(12, bottom + LINE * (k + 1), note, "start", 11) for k, note in enumerate(notes)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-family="sans-serif" style="max-width:100%">'
        f"<title>{escape(caption)}</title>"
        f'<rect width="{WIDTH}" height="{height:.0f}" rx="4" fill="{BACKGROUND}"/>'
        + "".join([*texts, *parts]) + "</svg>"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
