"""The reader: columns of a row of digits -> stacked LSTM -> scores for CTC.

A row is cut into windows of a few columns, one frame each, from left to right; a first layer may
read each frame from top to bottom, the others read the row. The blank is class 0 and digit d is
class d + 1; nothing outside this file needs to know.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...nn.layers import Layer, Linear, Stack
from ...nn.lstm import LSTM, BiLSTM
from ..data.mnist_files import SIDE
from .vertical import HEIGHTS, VerticalLSTM, patch_size

BLANK = 0
CLASS_NAMES = ("blank", *"0123456789")
C = len(CLASS_NAMES)


def digits_to_labels(digits: Sequence[int] | np.ndarray) -> np.ndarray:
    """The CTC labels (U,) of the digits 0..9 of a row.

    >>> digits_to_labels([7, 0, 0]).tolist()
    [8, 1, 1]
    """
    digits = np.asarray(digits, dtype=np.int64)
    if digits.size and not 0 <= digits.min() <= digits.max() <= 9:
        raise ValueError(f"digits must be 0..9, not {digits.min()}..{digits.max()}")
    return digits + 1


def labels_to_digits(labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """The digits (U,) of CTC labels without blanks, 1..10.

    >>> labels_to_digits([8, 1, 1]).tolist()
    [7, 0, 0]
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.size and not 1 <= labels.min() <= labels.max() <= 10:
        raise ValueError(f"labels of digits must be 1..10, not {labels.min()}..{labels.max()}")
    return labels - 1


def check_config(hidden: Any, layers: Any, bidirectional: Any, window: Any, vertical: Any = 0) -> None:
    """TypeError or ValueError for what cannot be the `config` of a reader."""
    for name, value, least in (("hidden", hidden, 1), ("layers", layers, 1), ("window", window, 1),
                               ("vertical", vertical, 0)):
        if type(value) is not int:
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if type(bidirectional) is not bool:
        raise TypeError(f"bidirectional must be True or False, not {bidirectional!r}")


def param_shapes(hidden: int, layers: int, bidirectional: bool, window: int,
                 vertical: int = 0) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each parameter of such a reader, one after the other, without making it.

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
    yield "output.weight", (C, D)
    yield "output.bias", (C,)


class RowReader:
    """Reads a row of digits, `window` columns a frame.

    Parameters
    ----------
    hidden : units of each layer, in each direction
    layers : LSTM layers, one on the other
    bidirectional : read from both ends; if not, from left to right only
    window : pixel columns in a frame; frames do not overlap
    vertical : units in each direction of a first layer that reads each frame, and two columns on either
        side, from top to bottom, see `VerticalLSTM`; 0: none, the pixels of a frame go to the LSTM as
        they are
    rng : draws the initial weights
    dtype : float32 or float64, of the weights and all that is computed with them

    Attributes
    ----------
    params : dict from name to array, the arrays the layers compute with
    config : dict of the first five parameters; `RowReader(**config, rng=rng)` has the same shape
    """

    def __init__(self, hidden: int = 128, layers: int = 1, bidirectional: bool = True,
                 window: int = 4, vertical: int = 0, *, rng: np.random.Generator, dtype=np.float32):
        self.config: dict[str, Any] = dict(hidden=hidden, layers=layers, bidirectional=bidirectional,
                                           window=window, vertical=vertical)
        check_config(**self.config)
        self.window = window
        self.dtype = np.dtype(dtype)

        lstm, outputs = (BiLSTM, 2 * hidden) if bidirectional else (LSTM, hidden)
        named: dict[str, Layer] = {}
        D = SIDE * window
        if vertical:
            named["vertical"] = first = VerticalLSTM(window, vertical, rng, dtype)
            D = first.outputs
        for n in range(1, layers + 1):
            named[f"lstm{n}"] = lstm(D, hidden, rng, dtype)
            D = outputs
        self.stack = Stack({**named, "output": Linear(D, C, rng, dtype)})
        self.params = self.stack.params

    def with_weights(self, params: Mapping[str, Any]) -> "RowReader":
        """Another reader of the same shape, with a copy of these weights."""
        reader = RowReader(**self.config, rng=np.random.default_rng(0), dtype=self.dtype)
        for name, param in params.items():
            reader.params[name][...] = param
        return reader

    def frames(self, images: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut rows into frames.

        Parameters
        ----------
        images : (N, 28, W) array in [0, 1]
        widths : (N,) integer array, pixels of each row; what lies right of them is not read

        Returns
        -------
        x : (T, N, D) array, D = window * 28: the columns of a frame from left to right, each
            from top to bottom; zeros where the row has ended
        lengths : (N,) int64 array, ceil(width / window) frames of each row

        Raises
        ------
        ValueError
            Images are not 28 pixels high, hold whole numbers (0..255 in place of [0, 1]), or a
            width is negative or more than W.
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
        """What `Muon` should make orthogonal: the weights of the LSTMs, which are 4 gates each."""
        return {name: 4 for name in self.params if ".weight_" in name}

    def forward(self, x: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, object]:
        """The CTC scores of frames.

        Parameters
        ----------
        x, lengths : as `frames` returns them

        Returns
        -------
        logits : (T, N, 11) array, unnormalised
        cache : what `backward` needs
        """
        return self.stack.forward(x, lengths)

    def backward(self, dlogits: np.ndarray, cache: object) -> dict[str, np.ndarray]:
        """The gradient of each parameter, under its name in `params`.

        Parameters
        ----------
        dlogits : (T, N, 11) array, the gradient of the loss with respect to `logits`
        cache : from `forward`
        """
        _, grads = self.stack.backward(dlogits, cache, input_gradient=False)
        return grads
