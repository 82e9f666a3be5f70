"""Scenes: digits written on paper, and the changes that lead from there to a picture.

`write` puts MNIST digits on a large sheet of paper, and `crop` cuts the picture out of it. Every other
function (scene, value, rng) returns the scene with one thing changed. `photographs.py` lists these changes
with their strengths.

Sizes of marks are given for digits HEIGHT pixels high, and scale with the height. Coordinates are those of
pixel edges: the first pixel of a line reaches from 0 to 1.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from ctc_scratch.digits.data.mnist_files import SIDE
from ctc_scratch.digits.data.touching import INKED, ink_edges, place

HEIGHT = 60             # [pixels] the height of a digit that has 20 pixels in MNIST
PAPER, INK = 215, 40    # grey values
BASE = 24               # [pixels of MNIST] the line that digits stand on; below it is paper
EDGES = ((0, 0), (1, 0), (1, 1), (0, 1))    # the corners of a picture, in units of its width and height


class Scene(NamedTuple):
    """A picture in the making, and where its digits are.

    image : (H, W) or (H, W, 3) float32, grey values or colours from 0 to 255
    outlines : for each line and each of its digits, points (n, 2) on the edge of its ink, x and y
    height : of a digit [pixels]
    margins : the least and the most paper around the digits [heights of a digit]
    """

    image: np.ndarray
    outlines: list[list[np.ndarray]]
    height: float
    margins: tuple[float, float]

    def box(self, lines: slice = slice(None)) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the ink of some lines."""
        points = np.concatenate([points for line in self.outlines[lines] for points in line])
        return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())

    def moved(self, image: np.ndarray, by: tuple[float, float]) -> Scene:
        """The scene with another image, in which all digits are further right and down by this much."""
        return self._replace(image=image, outlines=[[points + by for points in line]
                                                    for line in self.outlines])


def write(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, height: float = HEIGHT,
          vary: float = 0, gap: int | None = None, lines: tuple[int, float] = (1, 0),
          margins: tuple[float, float] = (0.5, 1.5)) -> Scene:
    """Write digits on paper, in the grey values INK and PAPER, with spare paper around them.

    Parameters
    ----------
    images : (K, 28, 28) uint8
    labels : (K,)
    height : of a digit of average size [pixels]
    vary : sizes are drawn from 1 - vary to 1 + vary
    gap : columns of MNIST from ink to ink; None puts whole boxes side by side
    lines : how many, and the distance from one to the next [heights of a digit]; the digits are divided
        evenly among them, and no line is empty
    margins : kept for `crop`
    """
    count, pitch = min(lines[0], len(labels)), lines[1]
    scale = height / 20
    parts = np.array_split(np.arange(len(labels)), count)
    sizes = scale * rng.uniform(1 - vary, 1 + vary, len(labels))
    lefts = np.concatenate([np.cumsum(SIDE * sizes[part]) - SIDE * sizes[part] for part in parts])
    if gap is not None:
        tiles = images / np.float32(255)
        lefts = scale * place(ink_edges(tiles), labels, np.array([len(part) for part in parts]),
                              np.full(len(labels), gap))[0]
    width = (lefts + SIDE * sizes).max()
    spare = int(margins[1] * height + 0.3 * width)      # `turn` and `tilt` bring some of it into the picture
    top = (SIDE + 4) * scale * (1 + vary)
    ink = np.zeros((int(top + (count - 1) * pitch * height + 4 * scale) + 2 * spare,
                    int(width) + 2 + 2 * spare), np.float32)
    outlines: list[list[np.ndarray]] = []
    for n, part in enumerate(parts):
        indent = spare + (rng.uniform(0, 0.5) * height if n else 0)
        base = spare + top + n * pitch * height
        outlines.append([])
        for k in part:
            side = round(SIDE * sizes[k])
            tile = Image.fromarray(images[k]).resize((side, side), Image.Resampling.BICUBIC)
            x, y = round(lefts[k] + indent), round(base - BASE * sizes[k])
            drawn = np.asarray(tile, np.float32) / 255
            inside = ink[y:y + side, x:x + side]
            np.maximum(inside, drawn[:inside.shape[0], :inside.shape[1]], out=inside)
            outlines[-1].append(_outline(drawn > INKED) + (x, y))
    return Scene(PAPER - (PAPER - INK) * ink, outlines, height, margins)


def _outline(inked: np.ndarray) -> np.ndarray:
    """The left and the right end of the ink in each row of pixels, as points (n, 2)."""
    y = np.flatnonzero(inked.any(axis=1))
    left, right = inked[y].argmax(axis=1), inked.shape[1] - inked[y, ::-1].argmax(axis=1)
    return np.stack([np.concatenate([left, right]), np.concatenate([y, y]) + 0.5], axis=1)


def crop(scene: Scene, rng: np.random.Generator) -> Scene:
    """Cut the picture out of the paper: the ink with a random margin on each side."""
    H, W = scene.image.shape[:2]
    margins = scene.height * rng.uniform(*scene.margins, 4)
    left, top = (max(0, int(edge - margin)) for edge, margin in zip(scene.box()[:2], margins[:2]))
    right, bottom = (int(np.ceil(edge + margin)) for edge, margin in zip(scene.box()[2:], margins[2:]))
    return scene.moved(scene.image[top:min(bottom, H), left:min(right, W)], (-left, -top))


# ---- what else is on the paper --------------------------------------------------------------


def _draw(scene: Scene, distance: np.ndarray, pen: tuple[float, float]) -> Scene:
    """Draw a line, given each pixel's distance to its middle; pen: width, share of ink's contrast."""
    width, contrast = max(1, pen[0] * scene.height / HEIGHT), pen[1]
    line = np.clip(width / 2 + 0.5 - distance, 0, 1)
    return scene._replace(image=np.minimum(scene.image, PAPER - contrast * (PAPER - INK) * line))


def _pixels(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of the middles of all pixels, y (H, 1) and x (W,)."""
    H, W = scene.image.shape[:2]
    return np.arange(H, dtype=np.float32)[:, None] + 0.5, np.arange(W, dtype=np.float32) + 0.5


def rules(scene: Scene, pen: tuple[float, float], rng: np.random.Generator) -> Scene:
    """Ruled paper: lines from side to side, one of them near the foot of the first line of digits."""
    y, x = _pixels(scene)
    pitch = scene.height * rng.uniform(1, 1.6)
    first = scene.box(slice(1))[3] + scene.height * rng.uniform(-0.15, 0.15)
    return _draw(scene, _from_grid(y, first, pitch) + 0 * x, pen)


def grid(scene: Scene, pen: tuple[float, float], rng: np.random.Generator) -> Scene:
    """Squared paper: squares of 0.4 to 0.7 heights, at a random offset."""
    y, x = _pixels(scene)
    pitch = scene.height * rng.uniform(0.4, 0.7)
    left, top = pitch * rng.uniform(size=2)
    return _draw(scene, np.minimum(_from_grid(x, left, pitch), _from_grid(y, top, pitch)), pen)


def _from_grid(x: np.ndarray, first: float, pitch: float) -> np.ndarray:
    """The distance to the nearest of first, first + pitch, first - pitch and so on."""
    return np.abs((x - first + pitch / 2) % pitch - pitch / 2)


def underline(scene: Scene, pen: tuple[float, float], rng: np.random.Generator) -> Scene:
    """A line under each line of digits, nearly level; it may cross their lower ends."""
    y, x = _pixels(scene)
    for n in range(len(scene.outlines)):
        left, _, right, bottom = scene.box(slice(n, n + 1))
        reach = scene.height * rng.uniform(0, 0.4, 2)
        level = bottom + scene.height * rng.uniform(-0.1, 0.3)
        line = level + np.tan(np.radians(rng.uniform(-1, 1))) * (x - left)
        outside = np.maximum(left - reach[0] - x, x - right - reach[1]).clip(0)
        scene = _draw(scene, np.maximum(np.abs(y - line), outside), pen)
    return scene


def boxes(scene: Scene, pen: tuple[float, float], rng: np.random.Generator) -> Scene:
    """A frame around each line of digits; in half of the pictures, with bars between the digits."""
    y, x = _pixels(scene)
    bars = rng.uniform() < 0.5
    for n, line in enumerate(scene.outlines):
        left, top, right, bottom = scene.box(slice(n, n + 1))
        space = scene.height * rng.uniform(0.15, 0.35, 4)
        left, top, right, bottom = left - space[0], top - space[1], right + space[2], bottom + space[3]
        scene = _draw(scene, np.abs(np.maximum(np.maximum(left - x, x - right),
                                               np.maximum(top - y, y - bottom))), pen)
        for a, b in zip(line, line[1:]) if bars else ():
            bar = (a[:, 0].max() + b[:, 0].min()) / 2
            scene = _draw(scene, np.maximum(np.abs(x - bar), np.maximum(top - y, y - bottom).clip(0)), pen)
    return scene


def specks(scene: Scene, density: float, rng: np.random.Generator) -> Scene:
    """Specks of ink, 1 to 3 pixels wide and high; density: per million pixels."""
    image = scene.image.copy()
    H, W = image.shape
    for _ in range(rng.poisson(density * (H * W / 1e6))):
        height, width = (max(1, round(side * scene.height / HEIGHT)) for side in rng.integers(1, 4, 2))
        y, x = rng.integers((H, W))
        image[y:y + height, x:x + width] = INK
    return scene._replace(image=image)


# ---- what ink and paper are made of ---------------------------------------------------------


def _ink(scene: Scene) -> np.ndarray:
    """How much ink there is, from 0 to 1."""
    return (PAPER - scene.image) / (PAPER - INK)


def light_ink(scene: Scene, greys: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Give ink and paper other grey values."""
    ink, paper = greys
    return scene._replace(image=paper + (ink - paper) * _ink(scene))


def chalk(scene: Scene, rough: tuple[float, float], rng: np.random.Generator) -> Scene:
    """Grainy chalk on a dark, uneven board; rough: the board's standard deviation, the grain of chalk."""
    uneven, grain = rough
    H, W = scene.image.shape
    smears = _clouds((H, W), (0.5 * scene.height, 2 * scene.height), rng)
    board = 55 + uneven * (smears + 0.2 * rng.normal(size=(H, W)))
    held = 1 - grain * np.clip(0.5 + 0.5 * _clouds((H, W), (0.04 * scene.height,) * 2, rng), 0, 1)
    return scene._replace(image=np.float32(board + (220 - board) * held * _ink(scene)))


def _clouds(shape: tuple[int, int], size: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of standard deviation 1, in patches of this height and width [pixels]."""
    patches = rng.normal(size=[int(np.ceil(side / of)) + 2 for side, of in zip(shape, size)])
    smooth = np.asarray(Image.fromarray(np.float32(patches)).resize(shape[::-1], Image.Resampling.BICUBIC))
    return smooth / smooth.std()


def colours(scene: Scene, apart: float, rng: np.random.Generator) -> Scene:
    """Ink of one colour on paper of the opposite one; apart: how much darker ink is than paper [grey values].

    Colours are Y, Cb and Cr, as in a JPEG file; Y is the grey value.
    """
    hue = rng.uniform(0, 2 * np.pi)
    paper, ink = (np.array([Y, 45 * np.cos(angle), 45 * np.sin(angle)])
                  for Y, angle in ((150, hue), (150 - apart, hue + np.pi + rng.uniform(-0.7, 0.7))))
    to_rgb = np.array([[1, 1, 1], [0, -0.344136, 1.772], [1.402, -0.714136, 0]])
    image = paper @ to_rgb + _ink(scene)[..., None] * ((ink - paper) @ to_rgb)
    return scene._replace(image=np.float32(image))


# ---- where the camera stands ----------------------------------------------------------------


def turn(scene: Scene, degrees: float, rng: np.random.Generator) -> Scene:
    """Turn the paper by this angle, to the left or to the right."""
    angle = np.radians(degrees) * rng.choice([-1, 1])
    y, x = np.array(scene.image.shape[:2]) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    return _warp(scene, np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y],
                                  [0, 0, 1]]))


def tilt(scene: Scene, share: float, rng: np.random.Generator) -> Scene:
    """Perspective: each corner of the picture moves by a share of its height, in any direction."""
    left, top, right, bottom = scene.box()
    border = scene.height * np.mean(scene.margins)
    size = np.array([right - left, bottom - top]) + 2 * border
    corners = np.array([left, top]) - border + np.array(EDGES) * size
    angles = rng.uniform(0, 2 * np.pi, 4)
    moved = corners + share * size[1] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # (a x + b y + c) / (g x + h y + 1) = u, and the same with d, e, f for v: linear in a to h.
    equations = [[[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
                 for (x, y), (u, v) in zip(corners, moved)]
    solution = np.linalg.solve(np.reshape(equations, (8, 8)), moved.ravel())
    return _warp(scene, np.append(solution, 1).reshape(3, 3))


def _warp(scene: Scene, matrix: np.ndarray) -> Scene:
    """Move each point (x, y) to matrix (x, y, 1), divided by its last component."""
    back = np.linalg.inv(matrix)
    H, W = scene.image.shape[:2]
    channels = [np.asarray(Image.fromarray(channel).transform(
        (W, H), Image.Transform.PERSPECTIVE, (back / back[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BICUBIC)) for channel in np.moveaxis(np.atleast_3d(scene.image), 2, 0)]
    image = np.stack(channels, axis=2).reshape(scene.image.shape)

    def move(points: np.ndarray) -> np.ndarray:
        x, y, w = matrix @ np.vstack([points.T, np.ones(len(points))])
        return np.stack([x / w, y / w], axis=1)
    return scene._replace(image=image, outlines=[[move(points) for points in line]
                                                 for line in scene.outlines])


# ---- after `crop`: what surrounds the paper, light, camera, file -----------------------------


def desk(scene: Scene, sides: int, rng: np.random.Generator) -> Scene:
    """A darker desk on some sides of the paper; the paper's edges are not quite level there."""
    widths = np.zeros(4, int)   # left, top, right, bottom
    widths[rng.permutation(4)[:sides]] = scene.height * rng.uniform(0.4, 1, sides)
    left, top, right, bottom = widths.tolist()
    depth = [(0, 0)] * (scene.image.ndim - 2)
    image = np.pad(scene.image, [(top, bottom), (left, right), *depth], mode="edge")
    H, W = image.shape[:2]
    # On sides without desk, the corners of the paper lie outside the picture.
    inset = np.where(widths, widths - 0.2 * scene.height * rng.uniform(size=(4, 4)), -2)
    corners = [(W - inset[k, 2] if x else inset[k, 0], H - inset[k, 3] if y else inset[k, 1])
               for k, (x, y) in enumerate(EDGES)]
    mask = Image.new("L", (W, H), 0)
    ImageDraw.Draw(mask).polygon(corners, fill=1)
    paper = gaussian_filter(np.asarray(mask, np.float32), 0.7).reshape(H, W, *[1] * len(depth))
    wood = rng.uniform(70, 130) + 8 * _clouds((H, W), (2, scene.height), rng)
    image = np.float32(paper * image + (1 - paper) * wood.reshape(paper.shape))
    return scene.moved(image, (left, top))


def _lit(scene: Scene, light: np.ndarray) -> Scene:
    """Multiply the image by the brightness of the light (H, W)."""
    return scene._replace(image=scene.image * (light if scene.image.ndim == 2 else light[..., None]))


def fall_off(scene: Scene, least: float, rng: np.random.Generator) -> Scene:
    """Light falls off along the row, from 1 to `least`, from either side and perhaps askew."""
    y, x = _pixels(scene)
    along = x + np.tan(np.radians(rng.uniform(-20, 20))) * y
    along = (along - along.min()) / (along.max() - along.min())
    return _lit(scene, 1 - (1 - least) * (along if rng.uniform() < 0.5 else 1 - along))


def shadow(scene: Scene, dark: float, rng: np.random.Generator) -> Scene:
    """A shadow of brightness `dark`, whose soft edge crosses the row at any angle up to 45 degrees."""
    y, x = _pixels(scene)
    left, top, right, bottom = scene.box()
    slope = np.tan(np.radians(rng.uniform(-45, 45)))
    edge = rng.uniform(left, right) + slope * (y - (top + bottom) / 2)
    softness = scene.height * rng.uniform(0.05, 0.3) * rng.choice([-1, 1])
    return _lit(scene, dark + (1 - dark) * 0.5 * (1 + np.tanh((x - edge) / softness)))


def blur(scene: Scene, sigma: float, rng: np.random.Generator) -> Scene:
    """Out of focus: a Gaussian of this standard deviation [pixels]."""
    sigmas = (sigma * scene.height / HEIGHT,) * 2 + (0,) * (scene.image.ndim - 2)
    return scene._replace(image=gaussian_filter(scene.image, sigmas))


def noise(scene: Scene, deviation: float, rng: np.random.Generator) -> Scene:
    """Noise of the sensor, independent in each pixel and colour."""
    return scene._replace(image=scene.image + rng.normal(0, deviation, scene.image.shape))


def jpeg(scene: Scene, quality: int, rng: np.random.Generator) -> Scene:
    """Write a JPEG file of this quality and read it."""
    file = io.BytesIO()
    Image.fromarray(to_uint8(scene.image)).save(file, "JPEG", quality=quality)
    return scene._replace(image=np.asarray(Image.open(file), np.float32))


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Grey values or colours, rounded and cut off at 0 and 255."""
    return np.uint8(np.clip(np.rint(image), 0, 255))
