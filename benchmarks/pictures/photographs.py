"""Pictures of rows of digits as people take them: one difficulty at a time, at three strengths.

    photograph(images, labels, "shadow", "strong", rng)

Apart from the condition, pictures are alike: MNIST digits `scenes.HEIGHT` pixels high, dark on light paper,
with 0.5 to 1.5 heights of paper around them. `mixed` draws two or three conditions at once. The same
arguments and the same state of `rng` give the same picture.

CONDITIONS lists the conditions; `scenes.py` draws them. A picture is made in the order of KINDS: digits are
written on paper, the paper is photographed, and the photograph becomes a file.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
from PIL import Image

from ctc_scratch.digits.data.mnist_files import SIDE

from . import scenes

STRENGTHS = ("mild", "middle", "strong")

KINDS = ("writing", "paper", "material", "view", "desk", "light", "camera", "file")
"""What a condition changes. `mixed` draws conditions of different kinds."""


class Condition(NamedTuple):
    """What a condition does to a picture, and how much of it.

    kind : one of KINDS
    change : a function (scene, value, rng) of `scenes`, or an option of `scenes.write`
    mild, middle, strong : the value for each strength
    """

    kind: str
    change: Callable[[scenes.Scene, Any, np.random.Generator], scenes.Scene] | str
    mild: Any
    middle: Any
    strong: Any


LINES = ((1, 0.4), (2, 0.6), (3, 0.8))      # width [pixels], and share of ink's contrast

CONDITIONS = {
    # digits of this height [pixels]
    "small": Condition("writing", "height", 40, 20, 14),
    "large": Condition("writing", "height", 90, 120, 160),
    # each digit is larger or smaller than `height` by up to this share
    "sizes": Condition("writing", "vary", 0.10, 0.25, 0.45),
    # columns of MNIST from the ink of a digit to that of the next: at 0 they meet, below 0 they overlap
    "touching": Condition("writing", "gap", 1, 0, -2),
    # number of lines, and the distance from one to the next [heights of a digit]
    "lines": Condition("writing", "lines", (2, 2.0), (3, 2.0), (3, 1.5)),
    # least and most paper on each side of the ink [heights of a digit]; MNIST has 0.2
    "margins": Condition("writing", "margins", (0.2, 2), (0.2, 5), (0.1, 0.2)),
    # horizontal lines, squared paper, a line below the digits, a frame around each digit or the row
    "rules": Condition("paper", scenes.rules, *LINES),
    "grid": Condition("paper", scenes.grid, *LINES),
    "underline": Condition("paper", scenes.underline, *LINES),
    "boxes": Condition("paper", scenes.boxes, *LINES),
    # specks of 1 to 3 pixels per million pixels
    "specks": Condition("paper", scenes.specks, 10, 40, 120),
    # light ink on dark paper, grey values of both
    "light ink": Condition("material", scenes.light_ink, (255, 0), (215, 40), (130, 60)),
    # chalk on a board: unevenness of the board [grey values], grain of the chalk
    "chalk": Condition("material", scenes.chalk, (5, 0.3), (10, 0.5), (18, 0.7)),
    # ink and paper of opposite colours that differ by this much in brightness [grey values]
    "colours": Condition("material", scenes.colours, 40, 15, 0),
    # the row is turned [degrees]; the corners of the picture move by this share of its height
    "slant": Condition("view", scenes.turn, 4, 8, 12),
    "perspective": Condition("view", scenes.tilt, 0.05, 0.10, 0.18),
    # on how many sides of the paper the desk is seen
    "desk": Condition("desk", scenes.desk, 1, 2, 4),
    # light falls off along the row to this share; a shadow of this brightness covers part of the row
    "light": Condition("light", scenes.fall_off, 0.70, 0.45, 0.30),
    "shadow": Condition("light", scenes.shadow, 0.75, 0.50, 0.35),
    # standard deviation of noise [grey values], and of blur [pixels]
    "noise": Condition("camera", scenes.noise, 10, 20, 30),
    "blur": Condition("camera", scenes.blur, 1.5, 3.0, 4.5),
    # quality of the JPEG file
    "jpeg": Condition("file", scenes.jpeg, 75, 50, 25),
}
"""Each condition with its three strengths."""

MIXED = {"mild": (2, 2), "middle": (2, 3), "strong": (3, 3)}
"""The fewest and the most conditions that `mixed` draws, each at any strength."""

NAMES = ("plain", *CONDITIONS, "mixed")


class Photograph(NamedTuple):
    """A picture, and what a reader should find in it.

    picture : grey ("L") or in colour ("RGB")
    lines : the digits, from left to right in each line, lines from top to bottom
    extents : for each digit, where its own ink begins and ends horizontally [pixels of the picture]
    spans : for each line, where its ink begins and ends vertically [pixels of the picture]
    """

    picture: Image.Image
    lines: list[list[int]]
    extents: list[list[tuple[float, float]]]
    spans: list[tuple[float, float]]

    def __repr__(self) -> str:
        digits = " ".join("".join(map(str, line)) for line in self.lines)
        return f"Photograph({digits}, {self.picture.width} x {self.picture.height} pixels)"


def photograph(images: np.ndarray, labels: np.ndarray, condition: str, strength: str,
               rng: np.random.Generator) -> Photograph:
    """Take a picture of digits under a condition.

    Parameters
    ----------
    images : (K, 28, 28) uint8, from left to right, line by line; at least one, and no line is empty
    labels : (K,) integers
    condition : one of NAMES
    strength : one of STRENGTHS; it has no effect on "plain"

    Raises
    ------
    ValueError
        There is no such condition or strength, no digit, or images and labels do not match.
    """
    if images.shape != (len(labels), SIDE, SIDE) or images.dtype != np.uint8 or not len(labels):
        raise ValueError(f"expected a (K, {SIDE}, {SIDE}) uint8 array and K labels, K at least 1, "
                         f"not {images.shape} {images.dtype} and {len(labels)} labels")
    if condition not in NAMES:
        raise ValueError(f"expected a condition out of {', '.join(NAMES)}, not {condition!r}")
    if strength not in STRENGTHS:
        raise ValueError(f"expected a strength out of {', '.join(STRENGTHS)}, not {strength!r}")
    if condition == "mixed":
        chosen = draw_conditions(strength, rng)
    else:
        chosen = {} if condition == "plain" else {condition: strength}

    options, changes = {}, {}
    for name, how in chosen.items():
        kind, change, *values = CONDITIONS[name]
        value = values[STRENGTHS.index(how)]
        if isinstance(change, str):
            options[change] = value
        else:
            changes[kind] = change, value

    scene = scenes.write(images, labels, rng, **options)
    for kind in KINDS[1:]:
        if kind == "desk":      # from here on, changes apply to the picture, not to the paper
            scene = scenes.crop(scene, rng)
        if kind in changes:
            change, value = changes[kind]
            scene = change(scene, value, rng)
    extents = [[(float(x.min()), float(x.max())) for x, _ in (points.T for points in line)]
               for line in scene.outlines]
    heights = [np.concatenate(line)[:, 1] for line in scene.outlines]
    spans = [(float(y.min()), float(y.max())) for y in heights]
    digits = [part.tolist() for part in np.array_split(labels, len(scene.outlines))]
    return Photograph(Image.fromarray(scenes.to_uint8(scene.image)), digits, extents, spans)


def lines_found(photo: Photograph, places: Sequence[tuple[float, float]]) -> list[int | None]:
    """For each line of a photograph, the number of the line that a reader found there, or None.

    places : where each line that was found begins and ends vertically [pixels]. Its middle must lie within
        the line of the photograph; if several do, the nearest to the middle of that line counts.
    """
    middles = {k: (top + bottom) / 2 for k, (top, bottom) in enumerate(places)}
    numbers: list[int | None] = []
    for top, bottom in photo.spans:
        off = {k: abs(middle - (top + bottom) / 2) for k, middle in middles.items()
               if top <= middle <= bottom}
        numbers.append(min(off, key=lambda k: off[k], default=None))
        middles.pop(numbers[-1], None)
    return numbers


def draw_conditions(strength: str, rng: np.random.Generator) -> dict[str, str]:
    """Two or three conditions of different kinds, each with a strength."""
    count = rng.integers(*MIXED[strength], endpoint=True)
    by_kind: dict[str, str] = {}
    for name in rng.permutation(list(CONDITIONS)).tolist():
        if len(by_kind) < count:
            by_kind.setdefault(CONDITIONS[name].kind, name)
    return {name: str(rng.choice(STRENGTHS)) for name in by_kind.values()}


def lines_of(condition: str, strength: str) -> int:
    """How many lines a picture has; 1 for "mixed", although "lines" may be among its conditions."""
    return getattr(CONDITIONS["lines"], strength)[0] if condition == "lines" else 1
