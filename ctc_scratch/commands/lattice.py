"""`ctc-scratch lattice`: show all alignments of a target, as text, numbers and figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..ctc.inputs.errors import InfeasibleTargetError
from ..ctc.labels import states_of
from ..ctc.paths.lattice import Lattice, lattice
from . import arguments
from .arguments import UsageError
from .notice import say

EXAMPLE = "ctc-scratch lattice --target 1,2,2 --frames 6 --seed 0"
ERRORS = {UsageError: 2}

FIGURES = ("alpha_beta_gamma", "paths", "gradient", "trellis")
"""The names of all figures. Older files of these names are removed first, as not every run draws all."""

MOST_PATHS = 60
"""The most paths in the figure of the trellis: more of them would cover it in black."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", type=arguments.labels, default=[1, 2], metavar="L[,L...]",
        help="labels, without the blank (default: 1,2)")
    add("--frames", type=int, metavar="T", help="frames of a toy problem (default: 4)")
    add("--classes", type=int, metavar="C",
        help="classes of a toy problem (default: as many as the target needs, at least 3)")
    add("--seed", type=arguments.seed, metavar="N",
        help="seed of a toy problem's random logits, and of the samples (default: all logits are 0, and the "
        "seed of the samples is 0)")
    add("--logits", metavar="FILE",
        help="logits (T, C) as numpy.save writes them, in place of a toy problem")
    add("--blank", type=int, default=0, metavar="C", help="class of the blank (default: 0)")
    add("--k", type=int, default=3, metavar="N", help="best alignments shown (default: 3)")
    add("--samples", type=int, default=8, metavar="N", help="alignments sampled for a figure (default: 8)")
    add("--out", default="runs/lattice", metavar="DIR",
        help="folder of the figures, which replace older ones (default: runs/lattice)")


def run(options: argparse.Namespace) -> int:
    """Print the lattice and its numbers, then draw its figures; wrong input is refused before all that."""
    if options.k < 1 or options.samples < 1:
        raise UsageError(f"--k and --samples must be at least 1, not {options.k} and {options.samples}")
    logits = _toy_logits(options) if options.logits is None else _load_logits(options)
    try:
        result = lattice(logits, options.target, blank=options.blank)
        best = result.k_best(options.k)
    except InfeasibleTargetError as error:
        raise UsageError(f"{error}; see ctc-scratch diagnose") from None
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    samples = result.sample(options.samples, np.random.default_rng(options.seed or 0))
    folder = _make_folder(options.out)

    print(result)
    print(_numbers(result, best))
    say("drawing figures ...")
    print("wrote " + "\n      ".join(_draw(result, best, samples, folder)))
    return 0


def _load_logits(options: argparse.Namespace) -> np.ndarray:
    """The logits (T, C) in a file."""
    path = options.logits
    for name in ("frames", "classes"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for a toy problem, but --logits {path} has {name} of its own: "
                             "leave out one of the two")
    try:
        logits = np.load(path, allow_pickle=False)
    except Exception as error:      # a damaged file can raise almost any exception
        raise UsageError(f"{path}: expected logits (T, C) as numpy.save writes them: {error}") from None
    if not isinstance(logits, np.ndarray) or logits.ndim != 2:
        raise UsageError(f"{path}: expected one array of shape (T, C)")
    return logits


def _toy_logits(options: argparse.Namespace) -> np.ndarray:
    """The logits (T, C) of a toy problem: random if there is a seed, else all 0."""
    T = 4 if options.frames is None else options.frames
    C = max([2, options.blank, *options.target]) + 1 if options.classes is None else options.classes
    for name, number in ("frames", T), ("classes", C):
        if number < 1:
            raise UsageError(f"--{name} must be at least 1, not {number}")
    if options.seed is None:
        return np.zeros((T, C))
    return np.random.default_rng(options.seed).standard_normal((T, C))


def _make_folder(out: str) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written: {error.strerror}") from None
    return folder


def _numbers(result: Lattice, best: list) -> str:
    """How many alignments there are, how probable they are together, and the best ones."""
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


def _draw(result: Lattice, best: list, samples: np.ndarray, folder: Path) -> list[str]:
    """Draw the figures into the folder; returns the names of the files."""
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
    try:
        for name in FIGURES:
            (folder / f"{name}.png").unlink(missing_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=200)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written: {error.strerror}") from None
    return [str(folder / f"{name}.png") for name in figures]
