"""The reader: a network that turns the pixel columns of a row of digits into scores for CTC.

A row is cut into frames of a few columns each, from left to right. Stacked LSTM layers read the
frames; before them, another layer may read each frame from top to bottom. The blank is class 0 and
digit d is class d + 1; `digits_to_labels` and `labels_to_digits` translate. A reader of letters has their
names as `class_names`, and "digit" then means the number of a letter, counted from 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...nn.layers import Layer, Linear, Stack, StackCache
from ...nn.lstm import LSTM, BiLSTM
from ..data.mapping import DIGITS
from ..data.mnist_files import SIDE
from .vertical import HEIGHTS, VerticalLSTM, patch_size

BLANK = 0
CLASS_NAMES = ("blank", *DIGITS)
C = len(CLASS_NAMES)
MOST_CLASSES = 257      # labels are bytes


def digits_to_labels(digits: Sequence[int] | np.ndarray, classes: int = C) -> np.ndarray:
    """The CTC labels (U,) of a row's digits, which are 0..9, or below `classes` - 1.

    >>> digits_to_labels([7, 0, 0]).tolist()
    [8, 1, 1]
    """
    digits = np.asarray(digits, dtype=np.int64)
    if digits.size and not 0 <= digits.min() <= digits.max() <= classes - 2:
        raise ValueError(f"digits must be 0..{classes - 2}, not {digits.min()}..{digits.max()}")
    return digits + 1


def labels_to_digits(labels: Sequence[int] | np.ndarray, classes: int = C) -> np.ndarray:
    """The digits (U,) of CTC labels, which are 1..10, or below `classes`, and hold no blanks.

    >>> labels_to_digits([8, 1, 1]).tolist()
    [7, 0, 0]
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.size and not 1 <= labels.min() <= labels.max() <= classes - 1:
        raise ValueError(f"labels of digits must be 1..{classes - 1}, not {labels.min()}..{labels.max()}")
    return labels - 1


def check_config(hidden: Any, layers: Any, bidirectional: Any, window: Any, vertical: Any = 0) -> None:
    """Raise TypeError or ValueError unless a reader can have this `config`."""
    for name, value, least in (("hidden", hidden, 1), ("layers", layers, 1), ("window", window, 1),
                               ("vertical", vertical, 0)):
        if type(value) is not int:
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if type(bidirectional) is not bool:
        raise TypeError(f"bidirectional must be True or False, not {bidirectional!r}")


def check_class_names(names: Any) -> tuple[str, ...]:
    """Return the names of classes that a file holds; ValueError unless they are "blank" and characters."""
    if not (isinstance(names, (list, tuple)) and 2 <= len(names) <= MOST_CLASSES and names[BLANK] == "blank"
            and all(type(name) is str and len(name) == 1 and name.isalnum() for name in names[1:])
            and len(set(names)) == len(names)):
        raise ValueError('class names must be "blank" and then different letters or digits')
    return tuple(names)


def param_shapes(hidden: int, layers: int, bidirectional: bool, window: int, vertical: int = 0,
                 classes: int = C) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of each parameter of a reader with this `config`, without making one.

    >>> dict(param_shapes(hidden=2, layers=1, bidirectional=False, window=1))["lstm1.weight_ih"]
    (8, 28)
    """
    def lstm(name, D, H):
        yield f"{name}.weight_ih", (4 * H, D)
        yield f"{name}.weight_hh", (4 * H, H)
        yield f"{name}.bias", (4 * H,)

    D = SIDE * window
    if vertical:
        for direction in (".forward", ".reverse"):
            yield from lstm(f"vertical{direction}", patch_size(window), vertical)
        D = HEIGHTS * 2 * vertical
    directions = [".forward", ".reverse"] if bidirectional else [""]
    for n in range(1, layers + 1):
        for direction in directions:
            yield from lstm(f"lstm{n}{direction}", D, hidden)
        D = len(directions) * hidden
    yield "output.weight", (classes, D)
    yield "output.bias", (classes,)


class RowReader:
    """A network that reads rows of digits, `window` columns per frame.

    Parameters
    ----------
    hidden : units per direction in each layer
    layers : number of LSTM layers, each of which reads the output of the one before
    bidirectional : whether to read from both ends, or from left to right only
    window : pixel columns per frame; frames do not overlap
    vertical : units per direction in a first layer that reads each frame from top to bottom
        (`VerticalLSTM`); with 0 there is no such layer, and the LSTM reads the pixels of each frame
    rng : draws the initial weights
    dtype : float32 or float64, of the weights and of everything that is computed with them
    class_names : the blank and what can be read, in the order of the classes

    Attributes
    ----------
    params : dict from name to array; these are the arrays that the layers compute with
    config : dict of the first five parameters; `RowReader(**config, rng=rng)` has the same shapes
    """

    def __init__(self, hidden: int = 128, layers: int = 1, bidirectional: bool = True,
                 window: int = 4, vertical: int = 0, *, rng: np.random.Generator, dtype=np.float32,
                 class_names: Sequence[str] = CLASS_NAMES):
        self.config: dict[str, Any] = dict(hidden=hidden, layers=layers, bidirectional=bidirectional,
                                           window=window, vertical=vertical)
        check_config(**self.config)
        self.window = window
        self.dtype = np.dtype(dtype)
        self.class_names = tuple(class_names)

        lstm, outputs = (BiLSTM, 2 * hidden) if bidirectional else (LSTM, hidden)
        named: dict[str, Layer] = {}
        D = SIDE * window
        if vertical:
            named["vertical"] = first = VerticalLSTM(window, vertical, rng, dtype)
            D = first.outputs
        for n in range(1, layers + 1):
            named[f"lstm{n}"] = lstm(D, hidden, rng, dtype)
            D = outputs
        self.stack = Stack({**named, "output": Linear(D, len(self.class_names), rng, dtype)})
        self.params = self.stack.params

    def __repr__(self) -> str:
        config = ", ".join(f"{name}={value}" for name, value in self.config.items())
        weights = sum(param.size for param in self.params.values())
        return f"RowReader({config}): {weights} {self.dtype} weights"

    def with_weights(self, params: Mapping[str, Any]) -> "RowReader":
        """A new reader of the same config, dtype and classes, with a copy of these weights."""
        reader = RowReader(**self.config, rng=np.random.default_rng(0), dtype=self.dtype,
                           class_names=self.class_names)
        for name, param in params.items():
            reader.params[name][...] = param
        return reader

    def frames(self, images: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut rows into frames.

        Parameters
        ----------
        images : (N, 28, W) array in [0, 1]
        widths : (N,) integer array, width of each row in pixels; nothing to the right of it is read

        Returns
        -------
        x : (T, N, D) array with D = window * 28: the columns of a frame from left to right, each
            from top to bottom; zeros after the end of a row
        lengths : (N,) int64 array, the ceil(width / window) frames of each row

        Raises
        ------
        ValueError
            Images are not 28 pixels high or hold integers (0..255 in place of [0, 1]), or a width
            is negative or more than W.
        """
        widths = np.asarray(widths, dtype=np.int64)
        if images.ndim != 3 or images.shape[1] != SIDE or widths.shape != images.shape[:1]:
            raise ValueError(f"images must be (N, {SIDE}, W) and widths (N,), "
                             f"not {images.shape} and {widths.shape}")
        if images.dtype.kind != "f":
            raise ValueError(f"images must be floats in [0, 1], not {images.dtype}")
        N, _, W = images.shape
        if N and not 0 <= widths.min() <= widths.max() <= W:
            raise ValueError(f"widths must be from 0 to W = {W}, "
                             f"not {widths.min()}..{widths.max()}")

        lengths = -(-widths // self.window)
        T = int(lengths.max(initial=0))
        used = int(widths.max(initial=0))
        columns = np.zeros((T * self.window, N, SIDE), self.dtype)
        columns[:used] = images[:, :, :used].transpose(2, 0, 1)
        for n in np.flatnonzero(widths < used):
            columns[widths[n]:, n] = 0
        # (t, column, N, y) -> (T, N, D)
        x = columns.reshape(T, self.window, N, SIDE).transpose(0, 2, 1, 3)
        return x.reshape(T, N, self.window * SIDE), lengths

    @property
    def matrices(self) -> dict[str, int]:
        """What `Muon` takes as `matrices`: the weights of all LSTMs, each 4 matrices, one per gate."""
        return {name: 4 for name in self.params if ".weight_" in name}

    def forward(self, x: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, StackCache]:
        """Compute the CTC scores of frames.

        Parameters
        ----------
        x, lengths : as `frames` returns them

        Returns
        -------
        logits : (T, N, C) array, unnormalised; C = 11 for digits
        cache : what `backward` needs
        """
        return self.stack.forward(x, lengths)

    def backward(self, dlogits: np.ndarray, cache: StackCache) -> dict[str, np.ndarray]:
        """Compute the gradient of each parameter; returns a dict with the names of `params`.

        Parameters
        ----------
        dlogits : (T, N, C) array, the gradient of the loss with respect to `logits`
        cache : as `forward` returned it
        """
        _, grads = self.stack.backward(dlogits, cache, input_gradient=False)
        return grads

    def input_gradient(self, dlogits: np.ndarray, cache: StackCache) -> np.ndarray:
        """Compute the gradient of each pixel that was read: `backward` carried on, and `frames` undone.

        Parameters
        ----------
        dlogits, cache : as for `backward`

        Returns
        -------
        (N, 28, T * window) array; 0 to the right of a row's last frame
        """
        dx, _ = self.stack.backward(dlogits, cache)
        assert dx is not None
        T, N, _ = dx.shape
        columns = dx.reshape(T, N, self.window, SIDE)
        return columns.transpose(1, 3, 0, 2).reshape(N, SIDE, T * self.window)
