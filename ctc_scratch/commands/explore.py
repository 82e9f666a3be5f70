"""`ctc-scratch explore`: write a page on which to play with CTC, and open it in the browser."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

import numpy as np

from ..digits.errors import ArchiveError, DataError
from ..page.bundle import page_html
from ..page.recording import packaged_recording, run_recording
from . import arguments
from .arguments import UsageError, load_logits

EXAMPLE = "ctc-scratch explore --target 1,2,2 --frames 7 --out ctc.html"
ERRORS = {UsageError: 2, ArchiveError: 2, DataError: 2}

MOST_FRAMES, MOST_CLASSES, MOST_LABELS = 40, 12, 10
"""What the page has room for; `page/app/state.js` has the same numbers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", type=arguments.labels, default=[1, 2], metavar="L[,L...]",
        help="labels to begin with; class 0 is the blank (default: 1,2)")
    add("--frames", type=int, metavar="T", help="frames to begin with (default: 4)")
    add("--logits", metavar="FILE",
        help="logits (T, C) to begin with, as numpy.save writes them (default: random ones)")
    add("--run", default="", metavar="RUN",
        help="show the training run in this folder of `ctc-scratch train`, not the small one of this package")
    add("--out", default="ctc.html", metavar="FILE",
        help="where to write the page; an existing file is not overwritten (default: ctc.html)")
    add("--no-open", action="store_true", help="do not open the page in the browser")


def run(options: argparse.Namespace) -> int:
    """Check the input, then write the page."""
    path = Path(options.out)
    logits = _load_logits(options) if options.logits is not None else _random_logits(options)
    _check(logits, options.target)
    if os.path.lexists(path):
        raise UsageError(f"--out {path} exists, and is not overwritten: name another file")
    data = {
        "labels": options.target,
        "logits": [[None if x == -np.inf else float(x) for x in row] for row in logits],
        "recording": run_recording(options.run) if options.run else packaged_recording(),
    }
    _write(path, page_html(data))
    print(f"wrote {path}")
    if not options.no_open and not _open(path):
        print("no browser was found to show it: open the file in one")
    return 0


def _write(path: Path, text: str) -> None:
    """Write a new file."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"--out {path} exists, and is not overwritten: name another file") from None
    except OSError as error:
        raise UsageError(f"--out {path} cannot be written: {error.strerror}") from None


def _open(path: Path) -> bool:
    """Open a file in a browser with windows; a text browser would take over the terminal."""
    has_windows = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return has_windows and webbrowser.open(path.resolve().as_uri())


def _random_logits(options: argparse.Namespace) -> np.ndarray:
    """Random logits (T, C), those of the README's first example if T = 4 and C = 3."""
    T = 4 if options.frames is None else options.frames
    if not 1 <= T <= MOST_FRAMES:
        raise UsageError(f"--frames must be from 1 to {MOST_FRAMES}, the most the page has room for, not {T}")
    C = max(2, *options.target, 2) + 1
    if C > MOST_CLASSES:
        raise UsageError(f"--target may hold labels up to {MOST_CLASSES - 1}, not {C - 1}")
    return np.random.default_rng(0).standard_normal((T, C))


def _load_logits(options: argparse.Namespace) -> np.ndarray:
    """The logits (T, C) in a file."""
    path = options.logits
    if options.frames is not None:
        raise UsageError(f"--frames is for random logits, but --logits {path} has frames of its own: leave "
                         "out one of the two")
    logits = load_logits(path)
    if not isinstance(logits, np.ndarray) or logits.ndim != 2 or logits.dtype.kind not in "fiu":
        raise UsageError(f"{path}: expected one array of numbers of shape (T, C)")
    T, C = logits.shape
    if not (1 <= T <= MOST_FRAMES and 2 <= C <= MOST_CLASSES):
        raise UsageError(f"{path}: the page has room for 1 to {MOST_FRAMES} frames and 2 to {MOST_CLASSES} "
                         f"classes, found {T} and {C}")
    return logits.astype(np.float64)


def _check(logits: np.ndarray, target: list[int]) -> None:
    """Raise UsageError unless these are labels and logits. A target without a path is accepted."""
    C = logits.shape[1]
    if len(target) > MOST_LABELS:
        raise UsageError(f"--target has {len(target)} labels, and the page has room for {MOST_LABELS}")
    for u, label in enumerate(target):
        if label == 0:
            raise UsageError(f"--target: label {u} is 0, the blank: a target holds labels only")
        if label >= C:
            raise UsageError(f"--target: label {u} is {label}, but the logits have classes 0..{C - 1}")
    wrong = np.isnan(logits) | (logits == np.inf)
    if wrong.any():
        t, c = np.argwhere(wrong)[0]
        raise UsageError(f"logits[t={t}, c={c}] is {logits[t, c]}; a logit is finite, or -inf for "
                         "probability 0")
    closed = (logits == -np.inf).all(axis=1)
    if closed.any():
        raise UsageError(f"logits[t={np.argmax(closed)}] is -inf in every class: no class is left to emit")
