"""The commands that need no network: `ctc-scratch lattice` and `ctc-scratch diagnose`.

Each answers in at most 80 columns and says which files it wrote.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..ctc.diagnosis.diagnose import diagnose, diagnose_lengths
from ..ctc.diagnosis.findings import Diagnosis, describe_target
from ..ctc.inputs.errors import InfeasibleTargetError
from ..ctc.labels import states_of
from ..ctc.paths.lattice import Lattice, lattice
from ..ctc.paths.trellis import trellis_text

MOST_PATHS = 60
"""More paths than this make a trellis black."""


MOST_STATES = 61
"""More states than this are no text to look at."""


Layout = Literal["TNC", "NTC"]


class StudyError(ValueError):
    """A file or an option that these commands cannot use."""


# ---- lattice ----------------------------------------------------------------------------------


def study_lattice(
    target: list[int], frames: int, classes: int, blank: int, logits: str, seed: int | None, k: int,
    samples: int, out: str,
) -> None:
    """Print a lattice and what it says, and draw its figures into the folder `out`.

    Raises
    ------
    StudyError
        Before anything is written.
    """
    if k < 1 or samples < 1:
        raise StudyError(f"--k and --samples must be at least 1, not {k} and {samples}")
    scores = _scores(target, frames, classes, blank, logits, seed)
    try:
        its = lattice(scores, target, blank=blank)
        paths = its.k_best(k)
    except InfeasibleTargetError as error:
        raise StudyError(f"{error}; see ctc-scratch diagnose") from None
    except (ValueError, TypeError) as error:
        raise StudyError(str(error)) from None
    drawn = its.sample(samples, np.random.default_rng(seed or 0))
    S = len(its.ext)
    print(trellis_text(its, 79) if S <= MOST_STATES else f"{S} states, too many to show as text")
    print(_facts(its, paths))
    print("wrote " + "\n      ".join(_draw(its, paths, drawn, Path(out))))


def _scores(
    target: list[int], frames: int, classes: int, blank: int, path: str, seed: int | None
) -> np.ndarray:
    if path:
        try:
            scores = np.load(path, allow_pickle=False)
        # NumPy's readers answer damage with almost any exception there is, here and below.
        except Exception as error:
            raise StudyError(f"{path}: expected logits (T, C) as numpy.save writes them: {error}") from None
        if not isinstance(scores, np.ndarray) or scores.ndim != 2:
            raise StudyError(f"{path}: expected one array of shape (T, C)")
        return scores
    C = classes or max([2, blank, *target]) + 1
    if frames < 1:
        raise StudyError(f"--frames must be at least 1, not {frames}")
    return np.zeros((frames, C)) if seed is None else np.random.default_rng(seed).standard_normal((frames, C))


def _facts(its: Lattice, paths: list) -> str:
    number = its.num_alignments
    lines = [
        "",
        f"alignments      {number if number < 10**15 else f'about 10^{len(str(number)) - 1}'}",
        f"log-likelihood  {its.log_likelihood:.6f} nats",
        f"entropy         {its.entropy:.6f} nats, as of {np.exp(min(its.entropy, 700)):.3g} "
        "equally likely alignments",
        "",
        "  k   share of p   alignment",
    ]
    for i, path in enumerate(paths, start=1):
        classes = " ".join("-" if c == its.blank else str(c) for c in path.path)
        share = np.exp(path.log_prob - its.log_likelihood)
        lines.append(f"{i:3d}   {share:10.4g}   {classes if len(classes) <= 60 else classes[:57] + '...'}")
    return "\n".join([*lines, ""])


def _draw(its: Lattice, paths: list, drawn: np.ndarray, folder: Path) -> list[str]:
    """Make the figures; returns the names of the files."""
    from .. import plots

    names = ["–" if s % 2 == 0 else str(c) for s, c in enumerate(its.ext)]
    class_names = ["blank" if c == its.blank else str(c) for c in range(its.logits.shape[1])]
    log_joint = its.log_alpha + its.log_beta
    figures = {
        "alpha_beta_gamma": plots.alpha_beta_gamma_figure(its.log_alpha, its.log_beta, log_joint, names),
        "paths": plots.paths_figure(
            its.gamma, names, [states_of(path.path.tolist(), its.blank) for path in paths],
            [states_of(path, its.blank) for path in drawn.tolist()],
        ),
        "gradient": plots.gradient_figure(np.exp(its.log_probs) - its.occupancy, class_names),
    }
    if its.num_alignments <= MOST_PATHS and len(its.gamma) <= 12:
        every = its.k_best(its.num_alignments)
        states = sorted(states_of(path.path.tolist(), its.blank).tolist() for path in every)
        figures["trellis"] = plots.trellis_figure(np.array(states), names)
    return save(figures, folder)


def save(figures: dict[str, Any], folder: Path) -> list[str]:
    """Write figures as PNG files into a folder, which is made; returns their names."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=200)
    except OSError as error:
        raise StudyError(f"--out {folder} cannot be written: {error.strerror}") from None
    return [str(folder / f"{name}.png") for name in figures]


# ---- diagnose ---------------------------------------------------------------------------------


def study_target(target: list[int], frames: int, classes: int | None, blank: int) -> Diagnosis:
    """Print the facts about one target, and what is wrong with it."""
    if frames < 0:
        raise StudyError(f"--frames must be at least 0, not {frames}")
    found = diagnose_lengths(target, frames, blank=blank, classes=classes)
    _, _, findings = str(found).partition("\n")  # its first line says less than the description
    print(describe_target(target, frames), findings, sep="\n" if found.findings else "\n\n")
    return found


def study_file(path: str, classes: int | None, blank: int, layout: Layout) -> Diagnosis:
    """Print what is wrong with the batch or the data set in a file: .npz, .jsonl or .csv."""
    readers = {".npz": _read_npz, ".jsonl": _read_jsonl, ".csv": _read_csv}
    reader = readers.get(Path(path).suffix)
    if reader is None:
        raise StudyError(f"{path}: expected a file named .npz, .jsonl or .csv")
    if not Path(path).is_file():
        raise StudyError(f"{path}: expected a file, found none")
    if reader is _read_npz:
        found = diagnose(**_read_npz(path), blank=blank, layout=layout)
    else:
        try:
            targets, frames = reader(path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise StudyError(f"{path}: expected lines of text: {error}") from None
        found = diagnose_lengths(targets, frames, blank=blank, classes=classes)
    print(found)
    return found


def _read_npz(path: str) -> dict[str, Any]:
    names = ("logits", "targets", "logit_lengths", "target_lengths")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:
        raise StudyError(f"{path}: expected arrays as numpy.savez writes them: {error}") from None
    for name in arrays.keys() ^ set(names[:2]):
        if name in names[:2]:
            found = ", ".join(sorted(arrays)) or "none"
            raise StudyError(f"{path}: expected an array '{name}', found {found}")
        if name not in names:
            raise StudyError(f"{path}: expected arrays {', '.join(names)}, found '{name}'")
    return arrays


def _read_jsonl(path: str) -> tuple[list, list[int]]:
    targets, frames = [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    target, T = row["target"], row["frames"]
                    if not isinstance(target, list) or not all(type(value) is int for value in [T, *target]):
                        raise TypeError
                except (ValueError, KeyError, TypeError):
                    raise StudyError(f'{path}, line {number}: expected {{"frames": T, "target": [labels]}}, '
                                     f"found {line.strip()[:40]}") from None
                targets.append(target)
                frames.append(T)
    return targets, frames


def _read_csv(path: str) -> tuple[list, list[int]]:
    targets, frames = [], []
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["frames", "target"]:
            raise StudyError(f"{path}: expected a first line 'frames,target', and lines like '140,3 1 4'")
        for number, row in enumerate(rows, start=2):
            try:
                T, target = row
                frames.append(int(T))
                targets.append([int(label) for label in target.split()])
            except ValueError:
                raise StudyError(f"{path}, line {number}: expected frames and labels like '140,3 1 4', "
                                 f"found '{','.join(row)[:40]}'") from None
    return targets, frames
