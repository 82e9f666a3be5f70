"""`ctc-scratch lattice`: show all alignments of a target, as text, numbers and figures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ctc.inputs.errors import InfeasibleTargetError
from ..ctc.labels import states_of
from ..ctc.paths.lattice import Lattice, lattice
from . import arguments
from .arguments import UsageError, load_logits
from .figures import add_format_options, add_row_options, output_of
from .notice import say

if TYPE_CHECKING:
    from ..digits.lessons.output import FigureFolder

EXAMPLE = "ctc-scratch lattice --target 1,2,2 --frames 6 --seed 0; ctc-scratch lattice --digits 7,2,1"
ERRORS = {UsageError: 2}

MOST_PATHS = 60
"""The figure of the trellis is drawn for at most this many paths: more would cover it in black."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", type=arguments.labels, metavar="L[,L...]",
        help="labels, without the blank (default: 1,2)")
    add("--frames", type=int, metavar="T", help="frames of a toy problem (default: 4)")
    add("--classes", type=int, metavar="C",
        help="classes of a toy problem (default: as many as the target needs, at least 3)")
    add("--seed", type=arguments.seed, metavar="N",
        help="seed of a toy problem's random logits, and of the samples (default: all logits are 0, and the "
        "seed of the samples is 0)")
    add("--logits", metavar="FILE",
        help="logits (T, C) as numpy.save writes them, in place of a toy problem")
    add("--blank", type=int, metavar="C", help="class of the blank (default: 0)")
    add("--k", type=int, default=3, metavar="N", help="best alignments shown (default: 3)")
    add("--samples", type=int, default=8, metavar="N", help="alignments sampled for a figure (default: 8)")
    add("--out", default="runs/lattice", metavar="DIR",
        help="folder of the figures, which replace older ones (default: runs/lattice)")
    add_row_options(parser)
    add_format_options(parser)


def run(options: argparse.Namespace) -> int:
    """Check the input, print the lattice and its numbers, then draw its figures."""
    if options.k < 1 or options.samples < 1:
        raise UsageError(f"--k and --samples must be at least 1, not {options.k} and {options.samples}")
    logits, target, blank = _problem(options)
    try:
        result = lattice(logits, target, blank=blank)
        best = result.k_best(options.k)
    except InfeasibleTargetError as error:
        raise UsageError(f"{error}; see ctc-scratch diagnose") from None
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    samples = result.sample(options.samples, np.random.default_rng(options.seed or 0))
    folder = _open_folder(options)

    print(result)
    print(_numbers(result, best))
    say("drawing figures ...")
    _draw(result, best, samples, folder)
    print("wrote " + "\n      ".join(folder.files))
    return 0


def _problem(options: argparse.Namespace) -> tuple[np.ndarray, list[int], int]:
    """The logits (T, C), the target and the blank, from a row of digits, a file, or a toy problem."""
    if options.digits or options.image:
        row = "--digits" if options.digits else "--image"
        for name in ("logits", "frames", "classes", "target", "blank"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} is not for a row of digits, which the model of this package "
                                 f"reads: leave out --{name} or {row}")
        return _read_row(options)
    target = [1, 2] if options.target is None else options.target
    blank = options.blank or 0
    if options.logits is None:
        return _toy_logits(options, target, blank), target, blank
    return _load_logits(options), target, blank


def _read_row(options: argparse.Namespace) -> tuple[np.ndarray, list[int], int]:
    """The logits (T, 11) of the package's model for a row, its digits, and the blank.

    The classes are reordered, so that class d is the digit d, and class 10 the blank.
    """
    # Imported here, because only a row of digits needs them.
    from ..digits.data.mnist_files import load_mnist
    from ..digits.errors import DataError, ImageError, OptionError
    from ..digits.lessons.example import Wanted, unseen_row
    from ..digits.model.evaluate import model_logits
    from ..digits.model.model_file import find_model, load_model

    try:
        image, digits = unseen_row(load_mnist(), Wanted(options.digits, options.image))
    except (DataError, ImageError, OptionError) as error:
        raise UsageError(str(error)) from None
    logits, _ = model_logits(load_model(find_model("")), image[None])
    return np.roll(logits[:, 0], -1, axis=1), digits, logits.shape[2] - 1


def _load_logits(options: argparse.Namespace) -> np.ndarray:
    """The logits (T, C) in a file."""
    path = options.logits
    for name in ("frames", "classes"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for a toy problem, but --logits {path} has {name} of its own: "
                             "leave out one of the two")
    logits = load_logits(path)
    if not isinstance(logits, np.ndarray) or logits.ndim != 2:
        raise UsageError(f"{path}: expected one array of shape (T, C)")
    return logits


def _toy_logits(options: argparse.Namespace, target: list[int], blank: int) -> np.ndarray:
    """The logits (T, C) of a toy problem: random if there is a seed, else all 0."""
    T = 4 if options.frames is None else options.frames
    C = max([2, blank, *target]) + 1 if options.classes is None else options.classes
    for name, number in ("frames", T), ("classes", C):
        if number < 1:
            raise UsageError(f"--{name} must be at least 1, not {number}")
    if options.seed is None:
        return np.zeros((T, C))
    return np.random.default_rng(options.seed).standard_normal((T, C))


def _open_folder(options: argparse.Namespace) -> FigureFolder:
    """The folder for the figures, which is made if need be."""
    from ..digits.errors import OptionError
    from ..digits.lessons.output import FigureFolder

    try:
        return FigureFolder(output_of(options))
    except OptionError as error:
        raise UsageError(str(error)) from None


def _numbers(result: Lattice, best: list) -> str:
    """Text that says how many alignments there are, how probable they are together, and lists the best."""
    count = result.num_alignments
    lines = [
        "",
        f"alignments      {count if count < 10**15 else f'about 10^{len(str(count)) - 1}'}",
        f"log-likelihood  {result.log_likelihood:.6f} nats",
        f"entropy         {result.entropy:.6f} nats, as for {np.exp(min(result.entropy, 700)):.3g} "
        "equally likely alignments",
        "",
        "  k   share of p   alignment",
    ]
    for k, alignment in enumerate(best, start=1):
        classes = " ".join("-" if c == result.blank else str(c) for c in alignment.path)
        share = np.exp(alignment.log_prob - result.log_likelihood)
        lines.append(f"{k:3d}   {share:10.4g}   {classes if len(classes) <= 60 else classes[:57] + '...'}")
    return "\n".join([*lines, ""])


def _draw(result: Lattice, best: list, samples: np.ndarray, folder: FigureFolder) -> None:
    """Draw the figures into the folder."""
    from .. import plots  # here, because loading matplotlib takes a while, and errors should not wait for it

    state_names = ["–" if s % 2 == 0 else str(c) for s, c in enumerate(result.ext)]
    class_names = ["blank" if c == result.blank else str(c) for c in range(result.logits.shape[1])]
    log_joint = result.log_alpha + result.log_beta
    figures: dict[str, Any] = {
        "alpha_beta_gamma": plots.alpha_beta_gamma_figure(
            result.log_alpha, result.log_beta, log_joint, state_names),
        "paths": plots.paths_figure(
            result.gamma, state_names,
            [states_of(alignment.path.tolist(), result.blank) for alignment in best],
            [states_of(path, result.blank) for path in samples.tolist()],
        ),
        "gradient": plots.gradient_figure(np.exp(result.log_probs) - result.occupancy, class_names),
    }
    if result.num_alignments <= MOST_PATHS and len(result.gamma) <= 12:
        alignments = result.k_best(result.num_alignments)
        states = sorted(states_of(each.path.tolist(), result.blank).tolist() for each in alignments)
        figures["trellis"] = plots.trellis_figure(np.array(states), state_names)
    for name, figure in figures.items():
        folder.save(name, figure)
