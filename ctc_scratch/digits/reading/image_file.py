"""An image file as grey values: upright, opaque and of bounded size."""

from __future__ import annotations

import os
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import ImageError

KEPT = 2_000_000    # pixels: a larger image is reduced, none of which a reader of 28 lines would see
HIGHEST = 4000      # pixels: a higher image is reduced, too, for paper is put around ink to make it a square


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
