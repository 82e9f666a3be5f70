"""Families of inputs: what CTC losses meet in practice, from untrained networks to confident wrong ones.

A kernel that is fast and accurate on standard normal logits may be neither on the outputs of a trained
network. The benchmarks therefore draw their problems from the families below. The synthetic ones can be
drawn in any shape; the real ones, made in `reader_rows`, are what a network says about a row of digits.
"""

from __future__ import annotations

import argparse
from typing import Iterator, NamedTuple, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .reader_rows import READERS, row

SCALES = dict(uniform=0.1, normal=1.0, wide=5.0, very_wide=20.0)
"""The standard deviation of the logits, for the families in which all logits are independent."""

FAMILIES: dict[str, str] = {
    "uniform": "independent normal logits of standard deviation 0.1: all classes are about equally likely",
    "normal": "independent normal logits of standard deviation 1: what most benchmarks draw",
    "wide": "independent normal logits of standard deviation 5: one class has most of the probability",
    "very_wide": "independent normal logits of standard deviation 20: one class has almost all of it",
    "peaky": "a spike of probability 0.99 at each label of the target, the blank at 0.999 between spikes",
    "peaky_wrong_5": "peaky, but 5 % of the spikes are at a wrong label",
    "peaky_wrong_20": "peaky, but 20 % of the spikes are at a wrong label",
    "peaky_missing": "peaky, but the first third of the labels has no spikes",
    "peaky_other_text": "peaky, but the spikes spell another text, as if transcripts had been mixed up",
    "half_silence": "the first half is sure of the blank, the second has normal logits of deviation 2",
    "repeats": "normal logits, and a target in which each label comes four times in a row",
}
"""The synthetic families, each with what its inputs are."""

SPIKE, SILENCE = 0.99, 0.999
"""In the peaky families: the probability of the label at a spike, and of the blank at any other frame."""


class Problem(NamedTuple):
    """One sequence: a family's name, logits (T, C) and the target (U,); the blank is class 0."""

    family: str
    logits: NDArray[np.floating]
    target: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(T, U), the numbers of frames and of labels."""
        return len(self.logits), len(self.target)


def problems(families: Sequence[str], shapes: Sequence[tuple[int, int]], digits: Sequence[int],
             dtype: DTypeLike = np.float32) -> Iterator[Problem]:
    """Problems of each family: the synthetic ones in each shape (T, U), the real ones for each row length."""
    check(families)
    for family in families:
        if family in READERS:
            for count in digits:
                yield Problem(family, *row(family, count, dtype))
        else:
            for T, U in shapes:
                yield Problem(family, *draw(family, T, U, dtype=dtype))


def check(families: Sequence[str]) -> None:
    """Raise ValueError for the first name that no family has."""
    for family in families:
        if family not in FAMILIES and family not in READERS:
            raise ValueError(f"{family!r} is none of the families {', '.join([*FAMILIES, *READERS])}")


def add_options(parser: argparse.ArgumentParser, shapes: Sequence[tuple[int, int]],
                digits: Sequence[int]) -> None:
    """Add --families, --shapes and --digits, which choose the problems; the arguments are the defaults."""
    listed = ",".join([*FAMILIES, *READERS])
    parser.add_argument("--families", type=names, default=listed, metavar="NAMES",
                        help=f"families of inputs (default: {listed})")
    listed = ",".join(f"{T}x{U}" for T, U in shapes)
    parser.add_argument("--shapes", type=_shapes, default=listed, metavar="TxU",
                        help=f"frames and labels of the synthetic families (default: {listed})")
    listed = ",".join(map(str, digits))
    parser.add_argument("--digits", type=_numbers, default=listed, metavar="NUMBERS",
                        help=f"digits in a row of the real families (default: {listed})")


def chosen(options: argparse.Namespace, dtype: DTypeLike = np.float32) -> Iterator[Problem]:
    """The problems that the options of `add_options` choose."""
    return problems(options.families, options.shapes, options.digits, dtype)


def names(text: str) -> list[str]:
    """The names of families in an option like 'normal,peaky'."""
    families = text.split(",")
    try:
        check(families)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return families


def _shapes(text: str) -> list[tuple[int, int]]:
    return [(int(T), int(U)) for T, U in (shape.split("x") for shape in text.split(","))]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def draw(family: str, T: int, U: int, C: int = 32, seed: int = 0,
         dtype: DTypeLike = np.float32) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Random logits (T, C) and a target (U,) of a synthetic family; the same arguments give the same bits.

    T must be at least 2 U, so that any target fits its frames, and C at least 3.
    """
    if family not in FAMILIES:
        raise ValueError(f"{family!r} is none of the synthetic families {', '.join(FAMILIES)}")
    if T < 2 * U or C < 3:
        raise ValueError(f"expected T >= 2 U and C >= 3, got T = {T}, U = {U}, C = {C}")
    rng = np.random.default_rng((seed, T, U, C))
    target = rng.integers(1, C, U)
    if family in SCALES:
        logits = SCALES[family] * rng.standard_normal((T, C))
    elif family == "repeats":
        target = np.repeat(target[:-(-U // 4)], 4)[:U]
        logits = rng.standard_normal((T, C))
    elif family == "half_silence":
        logits = 2 * rng.standard_normal((T, C))
        logits[:T // 2, 0] += 12
    else:
        logits = spikes(rng, T, C, *_heard(rng, family, target, T, C))
    return logits.astype(dtype), target


def _heard(rng: np.random.Generator, family: str, target: NDArray, T: int, C: int) -> tuple[NDArray, NDArray]:
    """The frames of the spikes and the label at each, for one of the peaky families."""
    U = len(target)
    jitter = max(0, T // max(U, 1) - 2) // 4    # at least one frame stays between two spikes
    frames = ((np.arange(U) + 0.5) * T / max(U, 1)).astype(int) + rng.integers(-jitter, jitter + 1, U)
    labels = target.copy()
    if family == "peaky_missing":
        return frames[U // 3:], labels[U // 3:]
    if family == "peaky_other_text":
        labels = rng.integers(1, C, U)
    elif family != "peaky":
        share = int(family.rpartition("_")[2]) / 100
        wrong = rng.permutation(U)[:round(share * U)]
        # Add 1 to C - 2 to a label, modulo the C - 1 labels: any label but the one it is.
        labels[wrong] = 1 + (labels[wrong] - 1 + rng.integers(1, C - 1, len(wrong))) % (C - 1)
    return frames, labels


def spikes(rng: np.random.Generator, T: int, C: int, frames: NDArray, labels: NDArray) -> NDArray:
    """Log-probabilities (T, C): `SPIKE` for labels[k] at frames[k], else `SILENCE` for the blank.

    The other classes of a frame share the rest at random: in proportion to exp of standard normal numbers.
    """
    winner = np.zeros(T, int)
    winner[frames] = labels
    probs = np.exp(rng.standard_normal((T, C)))
    probs[np.arange(T), winner] = 0
    share = np.where(winner > 0, SPIKE, SILENCE)
    probs *= ((1 - share) / probs.sum(axis=1))[:, None]
    probs[np.arange(T), winner] = share
    return np.log(probs)
