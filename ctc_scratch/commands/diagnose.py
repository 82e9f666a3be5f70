"""`ctc-scratch diagnose`: find what is wrong with a target, a batch or a data set."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..ctc.diagnosis.diagnose import diagnose, diagnose_lengths
from ..ctc.diagnosis.findings import Diagnosis, describe_target
from . import arguments
from .arguments import UsageError

EXAMPLE = "ctc-scratch diagnose --target 1,1,2 --frames 3; ctc-scratch diagnose batch.npz"
ERRORS = {UsageError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE",
        help="a batch: .npz with the arrays logits, targets and, if needed, logit_lengths and "
        "target_lengths, as ctc_loss takes them; or a data set: .jsonl with lines "
        '{"frames": 140, "target": [3, 1, 4]}, or .csv with a first line frames,target and then lines '
        "like 140,3 1 4")
    add("--target", type=arguments.labels, metavar="L[,L...]", help="a single target, in place of FILE")
    add("--frames", type=int, metavar="T", help="the number of frames that this target has")
    add("--classes", type=int, metavar="C",
        help="number of classes, with the blank, to check labels against; not for an .npz, which has logits")
    add("--blank", type=int, default=0, metavar="C", help="class of the blank (default: 0)")
    add("--layout", choices=["TNC", "NTC"],
        help="axes of the logits in an .npz: time or batch first (default: TNC)")


def run(options: argparse.Namespace) -> int:
    file, target, frames = options.file, options.target, options.frames
    if file is not None and target is None and frames is None:
        diagnosis = _diagnose_file(file, options.classes, options.blank, options.layout)
    elif file is None and target is not None and frames is not None:
        if options.layout is not None:
            raise UsageError("--layout is for the logits of an .npz, but --target has none: leave it out")
        diagnosis = _diagnose_target(target, frames, options.classes, options.blank)
    else:
        raise UsageError("expected a FILE, or --target and --frames")
    return 1 if diagnosis.errors else 0


def _diagnose_target(target: list[int], frames: int, classes: int | None, blank: int) -> Diagnosis:
    """Print the facts about one target, and what is wrong with it."""
    if frames < 0:
        raise UsageError(f"--frames must be at least 0, not {frames}")
    diagnosis = diagnose_lengths(target, frames, blank=blank, classes=classes)
    _, _, findings = str(diagnosis).partition("\n")     # describe_target says more than this first line
    print(describe_target(target, frames), findings, sep="\n" if diagnosis.findings else "\n\n")
    return diagnosis


def _diagnose_file(path: str, classes: int | None, blank: int,
                   layout: Literal["TNC", "NTC"] | None) -> Diagnosis:
    """Print what is wrong with the batch or the data set in a file: .npz, .jsonl or .csv."""
    kind = Path(path).suffix
    if kind not in (".npz", ".jsonl", ".csv"):
        raise UsageError(f"{path}: expected a file named .npz, .jsonl or .csv")
    if not Path(path).is_file():
        raise UsageError(f"{path}: expected a file, found none")
    if kind == ".npz" and classes is not None:
        raise UsageError(f"--classes is for targets without logits, but {path} has logits: leave it out")
    if kind != ".npz" and layout is not None:
        raise UsageError(f"--layout is for the logits of an .npz, but {path} has none: leave it out")
    if kind == ".npz":
        diagnosis = diagnose(**_read_npz(path), blank=blank, layout=layout or "TNC")
    else:
        try:
            targets, frames = _read_jsonl(path) if kind == ".jsonl" else _read_csv(path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{path}: expected lines of text: {error}") from None
        diagnosis = diagnose_lengths(targets, frames, blank=blank, classes=classes)
    print(diagnosis)
    return diagnosis


def _read_npz(path: str) -> dict[str, Any]:
    """The arrays of a batch by their names, which are those of the arguments of `ctc_loss`."""
    names = ("logits", "targets", "logit_lengths", "target_lengths")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:      # a damaged file can raise almost any exception
        raise UsageError(f"{path}: expected arrays as numpy.savez writes them: {error}") from None
    for name in arrays.keys() ^ set(names[:2]):
        if name in names[:2]:
            found = ", ".join(sorted(arrays)) or "none"
            raise UsageError(f"{path}: expected an array '{name}', found {found}")
        if name not in names:
            raise UsageError(f"{path}: expected arrays {', '.join(names)}, found '{name}'")
    return arrays


def _read_jsonl(path: str) -> tuple[list[list[int]], list[int]]:
    """The targets of a data set in a .jsonl file, and how many frames each has."""
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
                    raise UsageError(f'{path}, line {number}: expected {{"frames": T, "target": [labels]}}, '
                                     f"found {line.strip()[:40]}") from None
                targets.append(target)
                frames.append(T)
    return targets, frames


def _read_csv(path: str) -> tuple[list[list[int]], list[int]]:
    """The targets of a data set in a .csv file, and how many frames each has."""
    targets, frames = [], []
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["frames", "target"]:
            raise UsageError(f"{path}: expected a first line 'frames,target', and lines like '140,3 1 4'")
        for number, row in enumerate(rows, start=2):
            try:
                T, target = row
                frames.append(int(T))
                targets.append([int(label) for label in target.split()])
            except ValueError:
                raise UsageError(f"{path}, line {number}: expected frames and labels like '140,3 1 4', "
                                 f"found '{','.join(row)[:40]}'") from None
    return targets, frames
