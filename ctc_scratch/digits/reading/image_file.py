"""An image file as grey values: upright, opaque and of bounded size."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import ImageError

MOST_PIXELS = 2_000_000     # a larger image is reduced: a row is only 28 pixels high in the end
MOST_HEIGHT = 4000          # [pixels] a taller one is reduced too: `row` pads tall ink almost to a square


STDIN = "-"
"""This name stands for an image that is piped in."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"}
"""How the names of image files end; other files of a folder are not read."""


def load_grey(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """Read an image file as grey values; "-" stands for standard input.

    Returns
    -------
    grey : (height, width) float32 array
    scale : how many pixels of the file, along each axis, make one grey value

    Raises
    ------
    ImageError
        The file is missing, is not a whole image, or is far too large.
    """
    file: Any = io.BytesIO(sys.stdin.buffer.read()) if path == STDIN else path
    if file is path and not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "no such file"
        raise ImageError(f"{path}: expected an image file, found {found}")
    try:
        with warnings.catch_warnings():
            # Pillow warns of images that would unpack to a gigabyte, before it unpacks them.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return grey_values(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{path}: expected an image of at most {Image.MAX_IMAGE_PIXELS} pixels, "
                         f"found more") from None
    except UnidentifiedImageError:
        size = file.getbuffer().nbytes if file is not path else os.path.getsize(path)
        raise ImageError(f"{path}: expected an image (PNG, JPEG...), found {size} bytes that are not one"
                         ) from None
    # In Pillow's readers a damaged file can raise almost any exception.
    except Exception as error:
        raise ImageError(f"{path}: expected an image, found a damaged one: {error}") from error


def grey_values(image: Image.Image) -> tuple[np.ndarray, float]:
    """The grey values of an open image, reduced if it is large, and the scale of that reduction."""
    if image.mode.startswith(("I", "F")):                   # 16 bits or more; convert("L") would cut them off
        image = Image.fromarray(np.asarray(image, np.float32))
    elif image.has_transparency_data:
        image = _opaque(image.convert("RGBA"))
    elif image.mode not in ("L", "1"):
        image = image.convert("RGB")
    else:
        image = image.convert("L")
    by_area, by_height = (image.width * image.height / MOST_PIXELS) ** 0.5, image.height / MOST_HEIGHT
    scale = int(np.ceil(max(1, by_area, by_height)))
    if scale > 1:
        image = image.reduce(scale)
    if image.mode == "RGB":
        return _strongest_contrast(np.asarray(image, np.float32)), float(scale)
    return np.asarray(image, np.float32), float(scale)


def _strongest_contrast(colours: np.ndarray) -> np.ndarray:
    """Colours (height, width, 3) as grey values, along the direction in which neighbours differ most.

    Red ink on green paper can be as bright as the paper. The differences between neighbouring pixels show by
    which colours ink and paper differ; light and shadow change slowly and hardly add to them.
    """
    steps = np.concatenate([np.diff(colours[::2, ::2], axis=axis).reshape(-1, 3) for axis in (0, 1)])
    _, axes = np.linalg.eigh(steps.T @ steps)
    direction = axes[:, -1] * np.sign(axes[:, -1].sum() or 1)
    return (colours @ direction.astype(np.float32)) / np.float32(np.abs(direction).sum())


def _opaque(image: Image.Image) -> Image.Image:
    """Put an image with transparency on white paper if its ink is dark, on black paper if it is light."""
    grey, alpha = (np.asarray(image.convert(mode).getchannel(band), np.float32)
                   for mode, band in (("L", 0), ("RGBA", 3)))
    ink = (grey * alpha).sum() / max(alpha.sum(), 1)
    paper = 255 if ink < 128 else 0
    return Image.fromarray(paper + (grey - paper) * alpha / 255)
