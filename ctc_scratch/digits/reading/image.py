"""From an image file to a row like those the reader has learnt from.

MNIST scales the ink of a digit to fit 20 x 20 pixels and sets its centre of mass on the middle of
28 x 28; a row is such boxes side by side (`data.assemble_rows`). What a camera or a scanner gives is
brought there in four steps:

    load    the file as grey values, upright, of bounded size                        load_grey
    ink     paper to 0 and ink to 1, whichever of them was the lighter one           find_ink
    pieces  the ink cut where whole columns are empty: a digit, or digits that touch find_pieces
    row     all pieces at one scale, each centred by mass in a box of its own        make_row

Spaces between digits do not survive that, and a crooked line becomes straight; where digits touch,
they keep the places they have to one another, and to part them is left to the reader.
"""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..data.rows import SIDE

DIGIT = 20          # pixels: the larger side of a digit in MNIST
CENTRE = 14.5       # pixels from the upper left corner of its box to its centre of mass, both ways
LEVEL = 0.3         # what is darker, from paper 0 to ink 1, belongs to a digit
FLOOR = 0.08        # what is lighter is paper: MNIST's is exactly 0, that of a JPEG file is not
NEAR = 0.12         # of a digit's height: so near to its neighbour a piece may be a part of that digit
PART = 0.7          # of a digit's height: what is larger is a digit of its own
SPECK = 0.4         # of a digit's height: what is smaller, and not near, is dirt
CONTRAST = 4.0      # ink differs from paper by so many standard deviations of paper, or it is noise
SAMPLED = 40_000    # pixels: about so many are enough to know paper and ink by
KEPT = 2_000_000    # pixels: a larger image is reduced, none of which a reader of 28 lines would see
HIGHEST = 4000      # pixels: a higher image is reduced, too, for paper is put around ink to make it a square
LONGEST = 1000      # boxes: what seems to be a longer row is a line, or dirt


class ImageError(ValueError):
    """A file that is no image, or an image that holds no row of digits."""


class Piece(NamedTuple):
    """Ink between empty columns: its extent in pixels, right and bottom excluded."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def size(self) -> int:
        """The side that MNIST would scale to 20: the larger one, but of digits that touch the height."""
        width, height = self.right - self.left, self.bottom - self.top
        return height if width > 1.3 * height else max(width, height)


class Box(NamedTuple):
    """Where a piece has gone: columns left..right of the row, and the way back into the image.

    Column x of the row is origin + step * (x - left) in the image, in pixels. The piece has the
    pixels begin..end of it, with half of the space to each neighbour.
    """

    left: int
    right: int
    origin: float
    step: float
    begin: float
    end: float


class Row(NamedTuple):
    """An image as a row of digits."""

    pixels: np.ndarray      # (28, W) float32 in [0, 1], 1 is ink
    boxes: list[Box]        # from left to right, without gaps
    grey: np.ndarray        # (height, width) float32, the image, upright; `scale` of its pixels make one
    scale: float

    def place(self, first: float, last: float) -> tuple[float, float]:
        """From where to where the columns first..last of the row stand in the image [its pixels].

        Not beyond the space to the neighbours of the piece that they show, but at least a column
        of the row wide.
        """
        middle = (first + last) / 2
        box = next((box for box in self.boxes if middle < box.right), self.boxes[-1])
        first, last = (box.origin + box.step * (x - box.left) for x in (first, last))
        return min(max(first, box.begin), box.end - box.step), max(min(last, box.end), box.begin + box.step)


def load_row(path: str | os.PathLike) -> Row:
    """Make a row of an image file with one row of digits.

    Parameters
    ----------
    path : PNG, JPEG or whatever else Pillow reads; dark digits on light paper or light on dark

    Returns
    -------
    Row

    Raises
    ------
    ImageError
        There is no such file, it is no whole image, far too large, empty, or no row of digits.
    """
    grey, scale = load_grey(path)
    try:
        return make_row(grey, scale)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


# ---- load ---------------------------------------------------------------------------------


def load_grey(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """The grey values (height, width) of an image file, and how many of its pixels make one of them."""
    if not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "no such file"
        raise ImageError(f"{path}: expected an image file, found {found}")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that unpack to a gigabyte; it knows the size before it unpacks.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _grey(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{path}: expected an image of at most {Image.MAX_IMAGE_PIXELS} pixels, "
                         f"found more") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: expected an image (PNG, JPEG...), found {os.path.getsize(path)} bytes "
                         f"that are none") from None
    # Its readers answer damage with almost any exception there is.
    except Exception as error:
        raise ImageError(f"{path}: expected an image, found a damaged one: {error}") from error


def _grey(image: Image.Image) -> tuple[np.ndarray, float]:
    if image.mode.startswith(("I", "F")):                   # 16 bits or more, which "L" would cut off
        image = Image.fromarray(np.asarray(image, np.float32))
    elif image.has_transparency_data:
        image = _opaque(image.convert("RGBA"))
    else:
        image = image.convert("L")
    scale = int(np.ceil(max(1, (image.width * image.height / KEPT) ** 0.5, image.height / HIGHEST)))
    if scale > 1:
        image = image.reduce(scale)
    return np.asarray(image, np.float32), float(scale)


def _opaque(image: Image.Image) -> Image.Image:
    """What is transparent becomes white under dark ink, black under light ink."""
    grey, alpha = (np.asarray(image.convert(mode).getchannel(band), np.float32)
                   for mode, band in (("L", 0), ("RGBA", 3)))
    ink = (grey * alpha).sum() / max(alpha.sum(), 1)
    paper = 255 if ink < 128 else 0
    return Image.fromarray(paper + (grey - paper) * alpha / 255)


# ---- ink ----------------------------------------------------------------------------------


def find_ink(grey: np.ndarray) -> np.ndarray:
    """Ink (height, width) in [0, 1], 0 for paper, of grey values.

    Paper is what most of the border shows. Its brightness is a plane, for light falls off across a
    photograph: fitted to all pixels at first, then to what is paper beside that plane.
    """
    if not np.isfinite(grey).all():
        raise ImageError("expected finite grey values, found some that are infinite or no numbers")
    if grey.min() == grey.max():
        raise ImageError("expected a row of digits, found no ink")
    every = max(1, int((grey.size / SAMPLED) ** 0.5))
    sample = grey[::every, ::every]
    paper = np.ones(sample.shape, np.bool_)
    for _ in range(3):
        plane = _fit_plane(sample, paper)
        beside = sample - _plane(plane, sample.shape)
        dark = beside < otsu(beside)
        border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
        paper = dark if border.mean() > 0.5 else ~dark
    if paper.all() or not paper.any():
        raise ImageError("expected a row of digits, found no ink")

    level = np.median(beside[paper])
    # Thin strokes are pale: full ink is what the darkest fifth of it has.
    sign = np.sign(np.median(beside[~paper]) - level)
    full = np.percentile(sign * (beside[~paper] - level), 80)
    if not full > CONTRAST * beside[paper].std():
        raise ImageError("expected a row of digits, found nothing that stands out from the paper")
    beside = grey - _plane(plane, grey.shape)
    return np.clip(sign * (beside - level) / full, 0, 1).astype(np.float32)


def _fit_plane(grey: np.ndarray, where: np.ndarray) -> np.ndarray:
    """a, b, c of the plane a + b y + c x nearest to the grey values there, by least squares."""
    y, x = (np.broadcast_to(axis, grey.shape)[where] for axis in _axes(grey.shape))
    return np.linalg.lstsq(np.stack([np.ones_like(x), y, x], axis=1), grey[where], rcond=None)[0]


def _plane(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    y, x = _axes(shape)
    return plane[0] + plane[1] * y + plane[2] * x


def _axes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """y and x, both from -1 to 1 whatever the size."""
    return np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])


def otsu(values: np.ndarray) -> float:
    """The threshold between two classes with the least variance inside them (Otsu 1979).

    That is where the variance between their means, w0 w1 (m1 - m0)^2, is largest.

    >>> round(otsu(np.array([0., 0, 1, 1, 9, 9, 8])))
    4
    """
    # Measured from the least: beside a value the steps of a small range may be too small for its digits.
    least = values.min()
    counts, edges = np.histogram(values - least, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above = counts.sum() - below
    apart = total / np.maximum(below, 1) - ((counts * centres).sum() - total) / np.maximum(above, 1)
    between = below * above * apart**2
    # Where no value lies between the classes every threshold is as good: the middle one then.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(least + edges[1:][(best[0] + best[-1]) // 2])


# ---- pieces and row -----------------------------------------------------------------------


def find_pieces(ink: np.ndarray) -> list[Piece]:
    """The ink (height, width) cut at empty columns, from left to right, without specks of dirt."""
    dark = ink > LEVEL
    pieces = [_extent(dark, *run) for run in _runs(dark.any(axis=0))]
    if not pieces:
        raise ImageError("expected a row of digits, found no ink")
    tallest = max(piece.size for piece in pieces)
    joined = pieces[:1]
    for piece in pieces[1:]:
        near = piece.left - joined[-1].right <= NEAR * tallest
        if near and min(piece.size, joined[-1].size) < PART * tallest:
            joined[-1] = _extent(dark, joined[-1].left, piece.right)
        else:
            joined.append(piece)
    return [piece for piece in joined if piece.size >= SPECK * tallest]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of each run of true ones."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _extent(dark: np.ndarray, left: int, right: int) -> Piece:
    lines = np.flatnonzero(dark[:, left:right].any(axis=1))
    return Piece(left, right, int(lines[0]), int(lines[-1]) + 1)


def make_row(grey: np.ndarray, scale: float = 1.0) -> Row:
    """Grey values (height, width) with one row of digits as a `Row`; or ImageError."""
    ink = find_ink(grey)
    pieces = find_pieces(ink)
    step = float(np.median([piece.size for piece in pieces])) / DIGIT   # pixels here for one of the row
    counts = [int(np.ceil(((piece.right - piece.left) / step + 2) / SIDE)) for piece in pieces]
    if sum(counts) > LONGEST:       # a hairline would fill the memory
        raise ImageError(f"expected a row of at most {LONGEST} digits, found one as wide as {sum(counts)}")

    # A piece takes the half of the space to its neighbours with it: pale edges are ink, too.
    cuts = [0, *((a.right + b.left) // 2 for a, b in zip(pieces, pieces[1:])), ink.shape[1]]
    boxes, drawn, left = [], [], 0
    for piece, count, start, end in zip(pieces, counts, cuts, cuts[1:]):
        width = SIDE * count
        reach = int(np.ceil(2 * step))
        first, last = max(start, piece.left - reach), min(end, piece.right + reach)
        origin, pixels = _draw(ink[:, first:last], width, step)
        boxes.append(Box(left, left + width, scale * (first + origin), scale * step,
                         scale * start, scale * end))
        drawn.append(pixels)
        left += width
    return Row(np.concatenate(drawn, axis=1), boxes, grey, scale)


def _draw(ink: np.ndarray, width: int, step: float) -> tuple[float, np.ndarray]:
    """Ink (height, width) in a box, centred by mass; and where the box begins, in columns of the ink."""
    mass = ink * (ink > FLOOR)
    y, x = (float(mass.sum(axis=1 - k) @ (np.arange(ink.shape[k]) + 0.5) / mass.sum()) for k in (0, 1))
    top, left = y - CENTRE * step, x - (width / 2 + CENTRE - SIDE / 2) * step
    # Paper on all sides, so that the box lies within it.
    frame = int(np.ceil(max(-top, -left, top + SIDE * step - ink.shape[0],
                            left + width * step - ink.shape[1], 0)))
    framed = Image.fromarray(np.pad(ink, frame))
    right = min(left + width * step + frame, framed.width)      # but for rounding it is within
    bottom = min(top + SIDE * step + frame, framed.height)
    pixels = np.asarray(framed.resize((width, SIDE), Image.Resampling.BICUBIC,
                                      box=(left + frame, top + frame, right, bottom)))
    pixels = np.clip(pixels, 0, 1)
    return left, np.where(pixels < FLOOR, np.float32(0), pixels)
