"""The results of `diagnose`, and the text that describes them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from ..enumeration import count_alignments
from ..labels import min_frames
from ..paths.trellis import number_text

TEXT_WIDTH = 79
SHOWN = 3
"""How many sequences or entries a finding names; the others are counted."""

CAUSES = {
    "arguments": "ctc_loss does not accept an argument",
    "shape": "logits, targets and lengths do not fit together",
    "time-batch-exchanged": "time and batch are exchanged",
    "classes-not-last": "the classes are not on the last axis",
    "lengths-exchanged": "logit_lengths and target_lengths are exchanged",
    "lengths-before-subsampling": "lengths are those from before the network shortened the sequence",
    "lengths-in-labels": "lengths are counted in labels, not in frames",
    "lengths": "lengths do not fit the arrays",
    "no-room-for-blank": "the network has no output for the blank",
    "blank": "the blank is not a class",
    "blank-off-by-one": "the blank is not the class that was given",
    "padding-in-targets": "targets include their padding",
    "labels": "labels are not classes",
    "labels-contain-blank": "a target contains the blank",
    "not-finite": "logits hold NaN or +inf, or a frame is all -inf",
    "minus-infinity": "-inf logits close every path",
    "too-few-frames": "a target does not fit its frames",
    "probabilities": "the logits are already probabilities",
}
"""The titles of findings, the most severe first: mistakes in the whole batch, then those in sequences."""

SEVERITY = list(CAUSES)


class Finding(NamedTuple):
    """One thing that is wrong.

    cause : a key of `CAUSES`
    legal : whether it is only a suspicion, which `ctc_loss` accepts, though it is seldom intended
    indices : the sequences concerned; empty if it is about the batch as a whole
    what : what was found, with the numbers
    change : what to do about it
    """

    cause: str
    legal: bool
    indices: list[int]
    what: str
    change: str


class Fit(NamedTuple):
    """How one target fits its frames.

    n : which sequence
    labels, needed, given : U, the frames that U labels and their repeats need, the frames available
    repeats : the indices u of labels that equal label u - 1
    dead_frame : the first frame at which no path is left; `given` if the frames end before the labels
        do; None if there is a path
    killers : the entries (t, c) of -inf that each end a path that is possible until then
    opening : the smallest set of entries (t, c) that must be above -inf for a path to exist
    """

    n: int
    labels: int
    repeats: list[int]
    needed: int
    given: int
    dead_frame: int | None = None
    killers: Sequence[tuple[int, int]] = ()
    opening: Sequence[tuple[int, int]] = ()


@dataclass
class Diagnosis:
    """What `diagnose` found; `str` makes a text of it, at most 79 columns wide.

    findings : the errors, then the suspicions, both with the most severe first, in the order of `CAUSES`
    fits : a `Fit` for each sequence, as far as that could be determined
    """

    findings: list[Finding] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.legal]

    @property
    def suspicions(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.legal]

    def __str__(self) -> str:
        return "\n".join([_summary(self.fits), *map(_text, self.findings), _verdict(self)])

    def add(self, cause: str, indices: Sequence[int], what: str, change: str, legal: bool = False) -> None:
        """Add a finding where it belongs: errors before suspicions, then the more severe cause first."""
        self.findings.append(Finding(cause, legal, list(map(int, indices)), what, change))
        self.findings.sort(key=lambda finding: (finding.legal, SEVERITY.index(finding.cause)))


def describe_target(target: Sequence[int], frames: int) -> str:
    """The facts about one target, one per line: its labels, its repeats, its frames, its alignments.

    >>> print(describe_target([1, 1, 2], 4))
    labels      3: 1 1 2
    repeats     1: label 1 (a 1 after a 1)
    frames      4, of which 4 are needed
    alignments  1
    """
    repeats = [u for u in range(1, len(target)) if target[u] == target[u - 1]]
    needed = len(target) + len(repeats)
    # Alignments are counted with small numbers for labels, which may be too large for an array.
    numbers = {label: k for k, label in enumerate(set(target), start=1)}
    small = [numbers[label] for label in target]
    where = [f"label {u} (a {target[u]} after a {target[u]})" for u in repeats]
    shown = " ".join(map(str, target[:20])) + (" ..." if len(target) > 20 else "")
    lines = [
        f"labels      {len(target)}" + (f": {shown}" if len(target) else ""),
        f"repeats     {len(repeats)}" + (f": {', '.join(where[:SHOWN])}" if repeats else "")
        + (" ..." if len(repeats) > SHOWN else ""),
        f"frames      {frames}, {'of which' if frames >= needed else 'but'} {needed} are needed",
        f"alignments  {number_text(count_alignments(small, frames))}",
    ]
    return "\n".join(lines)


# ---- text


def _summary(fits: list[Fit]) -> str:
    if not fits:
        return "No sequence could be examined."
    if len(fits) == 1:
        fit, = fits
        where = f" (at label {few(fit.repeats)})" if fit.repeats else ""
        return textwrap.fill(
            f"1 sequence: {count(fit.labels, 'label')}, {count(len(fit.repeats), 'repeat')}{where}, "
            f"{count(fit.needed, 'frame')} needed, {fit.given} there", TEXT_WIDTH)
    lines = [f"{f'{len(fits)} sequences':18}  fewest     mean    most"]
    for name, x in [("labels", [fit.labels for fit in fits]), ("frames needed", [fit.needed for fit in fits]),
                    ("frames given", [fit.given for fit in fits])]:
        # Numbers too wide for a column are shown as 1.2e+09.
        fewest, most = (f"{y:7d}" if y < 10**7 else f"{y:7.1e}" for y in (min(x), max(x)))
        mean = float(np.mean(x))
        lines.append(f"{name:18} {fewest} {mean:8.1f} {most}" if mean < 10**6
                     else f"{name:18} {fewest} {mean:8.1e} {most}")
    return "\n".join(lines)


def _text(finding: Finding) -> str:
    head = "SUSPICION" if finding.legal else "ERROR"
    title = f"{head} {finding.cause}: {CAUSES[finding.cause]}"
    lines = textwrap.wrap(title, TEXT_WIDTH, subsequent_indent="  ")
    if len(finding.indices) > 1:
        lines.append(f"  {len(finding.indices)} sequences: {few(finding.indices)}")
    for paragraph in (finding.what, f"-> {finding.change}"):
        lines += textwrap.wrap(paragraph, TEXT_WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n" + "\n".join(lines)


def _verdict(diagnosis: Diagnosis) -> str:
    if not diagnosis.findings:
        fits = "It fits" if len(diagnosis.fits) == 1 else "All fit"
        return f"{fits}; nothing strange found."
    return f"\n{count(len(diagnosis.errors), 'error')}, {count(len(diagnosis.suspicions), 'suspicion')}."


def needs(fit: Fit) -> str:
    """The frames that a target needs: '4 frames (3 labels + 1 repeat, at label 1)'."""
    where = f", at label {few(fit.repeats)}" if fit.repeats else ""
    return (f"{count(fit.needed, 'frame')} ({count(fit.labels, 'label')} + "
            f"{count(len(fit.repeats), 'repeat')}{where})")


def how_far(fit: Fit, targets: list[NDArray]) -> str:
    """How many labels the fastest path has begun when the frames end, as a clause of a sentence."""
    target = targets[fit.n]
    begun = sum(min_frames(target[:u + 1]) <= fit.given for u in range(len(target)))
    return f": after the last frame its fastest path has begun {begun} of {fit.labels} labels"


def how_closed(fit: Fit, rows: NDArray) -> str:
    """Which logits of -inf end the last paths of a target, and how many end paths in earlier frames."""
    always = [c for c in sorted({c for _, c in fit.opening}) if (rows[:, c] == -np.inf).all()]
    masked = "".join(f" Class {c} is -inf in every frame." for c in always)
    last = [entry for entry in fit.killers if entry[0] == fit.dead_frame]
    others = len(fit.killers) - len(last)
    earlier = f", after {count(others, 'such entry', 'such entries')} in earlier frames" if others else ""
    return (
        f"Target {fit.n} would fit its {count(fit.given, 'frame')} (it needs {fit.needed}), but at frame "
        f"{fit.dead_frame} no path is left: {entries(last)} {'are' if len(last) > 1 else 'is'} -inf{earlier}."
        f"{masked}"
    )


def entries(indices: Sequence[tuple[int, int]]) -> str:
    """Entries of the logits: 'logits [t=1, c=2], [t=3, c=2]'; beyond the first few, only their number."""
    shown = ", ".join(f"[t={t}, c={c}]" for t, c in indices[:SHOWN])
    return f"logits {shown}" + (f" and {len(indices) - SHOWN} more" if len(indices) > SHOWN else "")


def places(frames: Sequence[tuple[int, int]]) -> str:
    """Frames (n, t): 'frame 4 of sequence 0, frame 5 of sequence 0'; beyond the first few, their number."""
    shown = ", ".join(f"frame {t} of sequence {n}" for n, t in frames[:SHOWN])
    return shown + (f" and {len(frames) - SHOWN} more" if len(frames) > SHOWN else "")


def few(values: Sequence) -> str:
    """The first five values, separated by commas, and dots if there are more."""
    shown = ", ".join(map(str, values[:5]))
    return f"{shown} ..." if len(values) > 5 else shown


def count(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun, in the plural if need be: '1 frame', '2 frames'."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
