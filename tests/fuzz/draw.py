"""Random batches for the fuzzer. The seed and the number of a case determine every value in it."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

import numpy as np

from ctc_scratch.ctc.labels import count_repeats, min_frames
from tests.tools import oracle


class Draw(random.Random):
    """The random choices of one case. `arrays` is a NumPy Generator, which draws whole arrays."""

    def __init__(self, seed, number):
        super().__init__(f"{seed} {number}")
        self.arrays = np.random.Generator(np.random.Philox(key=self.getrandbits(128)))

    def __new__(cls, *_):
        return super().__new__(cls)  # random.Random would hash the arguments

    def chance(self, p):
        return self.random() < p

    def weighted(self, **weights):
        return self.choices(list(weights), weights.values())[0]


class Batch(NamedTuple):
    """Logits and targets; the form in which a function gets them is drawn later.

    logits : (T, N, C) in the dtype in which they are passed; the padding may hold anything
    clean : the same numbers as float64, with padding 0
    lengths : (N,)
    targets : a list of labels for each sequence
    blank : which class is the blank
    """

    logits: np.ndarray
    clean: np.ndarray
    lengths: np.ndarray
    targets: list
    blank: int

    @property
    def computed(self):
        """The dtype in which the library computes with these logits."""
        dtype = self.logits.dtype
        return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)

    @property
    def required(self):
        """How many frames each target needs."""
        return np.array([min_frames(target) for target in self.targets], dtype=int)

    @property
    def repeats(self):
        return np.array([count_repeats(target) for target in self.targets], dtype=int)

    def problems(self, log_probs):
        """One problem per sequence for the oracle; log_probs (T, N, C), or unnormalised scores."""
        return [oracle.Problem(log_probs[:T, n], target, self.blank)
                for n, (T, target) in enumerate(zip(self.lengths.tolist(), self.targets))]


SIZES = {  # the largest T, N, C
    "small": (20, 4, 7), "lanes": (14, 19, 5), "medium": (60, 3, 12), "wide": (9, 2, 300),
    "long": (300, 1, 30), "none": (5, 0, 4),
}


def draw_batch(draw, size=None, single=False, misfit=0.1):
    """A random batch. With probability `misfit` it may hold targets that do not fit their frames."""
    size = size or draw.weighted(small=72, lanes=5, medium=17, wide=3, long=0.7, none=2)
    most_T, most_N, most_C = SIZES[size]
    T = draw.randint(0 if draw.chance(0.05) else 1, most_T)
    N = 1 if single else 0 if size == "none" else draw.randint(1, most_N)
    C = draw.randint(1 if draw.chance(0.05) else 2, most_C)
    if size == "wide":
        C = draw.randint(65, most_C)
    blank = draw.choice([0, draw.randrange(C), C - 1])
    lengths = np.full(N, T)
    if draw.chance(0.6):
        lengths = np.array([draw.randint(0 if draw.chance(0.05) else min(1, T), T) for _ in range(N)], int)
    misfit = draw.chance(misfit)
    targets = [draw_target(draw, length, C, blank, misfit) for length in lengths.tolist()]
    values, dtype = draw_values(draw, T, lengths, C, targets, blank)
    with np.errstate(over="ignore"):
        logits = values.astype(dtype)
        clean = logits.astype(np.float64)
        padding = np.arange(T)[:, None] >= lengths
        if padding.any():
            clean[padding] = 0.0
            if logits.dtype.kind == "f" and draw.chance(0.7):
                logits[padding] = draw.choice([np.nan, np.inf, -np.inf, -1e300, 1e30, 7.0])
    return Batch(logits, clean, lengths, targets, blank)


def draw_target(draw, T, C, blank, misfit):
    """A target that fits T frames, or with `misfit` perhaps one that does not."""
    classes = [c for c in range(C) if c != blank]
    if not classes:
        return []
    if draw.chance(0.3):
        classes = draw.sample(classes, min(len(classes), 2))  # so that labels repeat
    most = T if draw.chance(0.4) else T // 3
    target = draw.choices(classes, k=draw.randint(0, most + 1))
    if misfit and draw.chance(0.5):
        return target + draw.choices(classes, k=T // 2 + 1)
    while min_frames(target) > T:
        target = target[:-1]
    return target


def draw_values(draw, T, lengths, C, targets, blank):
    """Logits (T, N, C) in float64, and the dtype that they are to be passed in.

    Each row has at least one entry above -inf.
    """
    rng, N = draw.arrays, len(lengths)
    scale = draw.choice([0.01, 1.0, 1.0, 5.0, 30.0, 10.0 ** draw.uniform(-3, 5)])
    x = scale * rng.standard_normal((T, N, C))
    style = draw.weighted(normal=50, whole=8, flat=3, same=3, peaks=14, cliffs=7, rows=6, offset=6, lure=6)
    if style == "whole":  # many ties
        x = np.round(np.clip(x, -3, 3))
    elif style == "flat":
        x[:] = scale
    elif style == "same":  # all frames, or all sequences, are equal
        x[:] = x[:1] if draw.chance(0.5) else x[:, :1]
    elif style == "peaks":  # one path is likely, perhaps nearly certain
        height = 10.0 ** draw.uniform(0, 2.8)
        for n, path in enumerate(map(draw_path, [draw] * N, targets, lengths.tolist(), [blank] * N)):
            x[np.arange(len(path)), n, path] += height
    elif style == "cliffs":
        x[rng.random(x.shape) < 0.4] -= draw.choice([87.0, 745.0, 5e3])
    elif style == "rows":
        x *= 10.0 ** rng.uniform(-6, 3, (T, N, 1))
    elif style == "offset":
        x += 1e5 * rng.uniform(-1, 1, (T, N, 1))
    elif style == "lure":  # blanks are likely at first and nearly impossible later
        x[:T // 2, :, blank] += draw.choice([5.0, 100.0])
        x[T // 2:, :, blank] -= draw.choice([5.0, 100.0, 1000.0])
    if draw.chance(0.03):
        x[rng.random(x.shape) < 0.3] = -0.0
        x[rng.random(x.shape) < 0.3] = 0.0

    dtype = draw.weighted(float64=45, float32=42, float16=5, int64=3, int8=2, uint16=1, longdouble=2)
    if dtype == "float16":
        x = np.clip(x, -6e4, 6e4)
    elif "int" in dtype:
        x = np.round(np.clip(x, 0 if dtype == "uint16" else -99, 99))
    if "int" not in dtype and draw.chance(0.25):
        open_, kept = x.copy(), rng.integers(C, size=(T, N, 1))
        if draw.chance(0.3):
            x[:, :, rng.integers(C)] = -np.inf
        else:
            x[rng.random(x.shape) < draw.choice([0.03, 0.2, 0.5])] = -np.inf
        np.put_along_axis(x, kept, np.take_along_axis(open_, kept, 2), 2)
        if draw.chance(0.5):  # at least one path stays possible
            for n, path in enumerate(map(draw_path, [draw] * N, targets, lengths.tolist(), [blank] * N)):
                x[np.arange(len(path)), n, path] = open_[np.arange(len(path)), n, path]
    return x, dtype


def draw_path(draw, target, T, blank):
    """An alignment of the target in T frames, or [] if it does not fit."""
    path = []
    for u, label in enumerate(target):
        path += [blank] * (u > 0 and target[u - 1] == label) + [label]
    if len(path) > T:
        return []
    path = path or [blank] * min(T, 1)
    held = sorted([*range(len(path)), *(draw.randrange(len(path)) for _ in range(T - len(path)))])
    path = [path[k] for k in held]
    if len(path) > 1 and path[0] == path[1] and draw.chance(0.5):
        path[0] = blank  # a path may begin with blanks
    return path


def spelt(path, blank):
    """The labels of a path, computed independently of `collapse`."""
    return [c for c, _ in itertools.groupby(path) if c != blank]
