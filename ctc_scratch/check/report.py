"""`Report`: what `check_ctc` found, as a table of 80 columns and a sentence on what is probably wrong."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answers import Answer
from .problems import Problem
from .twins import Twin

WIDTH = 80


@dataclass(frozen=True, eq=False)
class Fault:
    """One wrong answer: to which problem, under which law, and what is wrong with it."""

    law: str
    problem: Problem
    text: str

    def __repr__(self) -> str:
        return f"Fault({self.law}: {self.text})"


@dataclass(frozen=True)
class Row:
    """One line of the table. error : the largest error, as a share of the size of the answer"""

    law: str
    problems: int
    faults: int
    error: float


@dataclass(frozen=True, eq=False)
class Example:
    """The smallest problem that was found to be answered wrongly, the answer, and the right one."""

    problem: Problem
    text: str
    answer: Answer
    right: Answer


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What `check_ctc` found.

    rows : for each law how many problems were asked, and how many were answered wrongly
    faults : every fault that was found
    twins : known mistakes that give the same answers to every problem; the report cannot tell them apart
    similar : if there are none, the known mistake that explains the most faults, and how many of how many
    example : a small problem that shows a fault
    """

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    twins: tuple[Twin, ...] = ()
    similar: tuple[Twin, int, int] | None = None
    example: Example | None = None
    gives_gradient: bool = True
    skipped: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [f"{'law':<42} {'problems':>8} {'wrong':>7} {'largest error':>20}", "-" * WIDTH]
        lines += [f"{row.law:<42} {row.problems:>8} {row.faults:>7} {_error(row.error):>20}" for row in self.rows]
        lines += ["-" * WIDTH]
        if not self.gives_gradient:
            lines += _wrapped("No gradient was returned, so only losses were checked.")
        if self.skipped:
            lines += _wrapped(f"Not asked: {', '.join(self.skipped)}.")
        if self.ok:
            return "\n".join([*lines, "No fault was found."])
        return "\n".join([*lines, *self._diagnosis(), *self._example()])

    def _diagnosis(self) -> list[str]:
        count = len(self.faults)
        lines = [f"{count} fault{'s' if count > 1 else ''}."]
        if self.twins:
            lines += _wrapped("What is probably wrong" + (
                ", one of these, which give the same answers:" if len(self.twins) > 1 else ":"))
            for twin in self.twins:
                lines += _twin(twin)
        elif self.similar is not None:
            twin, explained, of = self.similar
            lines += _wrapped(f"No known mistake gives all of these answers. This one gives {explained} of "
                              f"{of} of the wrong ones:")
            lines += _twin(twin)
        else:
            lines += ["No known mistake gives these answers."]
        return lines

    def _example(self) -> list[str]:
        if self.example is None:
            fault = self.faults[0]
            return _wrapped(f"The first fault ({fault.law}): {fault.text}")
        return ["The smallest problem found that shows it:", *_problem(self.example.problem),
                *_wrapped(self.example.text, "  ")]

    def as_dict(self) -> dict[str, Any]:
        """The report in plain lists and strings, as `--json` prints it."""
        example = None if self.example is None else {
            "logits": [[[number(value) for value in row] for row in frames]
                       for frames in self.example.problem.logits],
            "targets": [list(target) for target in self.example.problem.targets],
            "blank": self.example.problem.blank, "padding": self.example.problem.padding,
            "difference": self.example.text}
        return {
            "ok": self.ok,
            "laws": [{"law": row.law, "problems": row.problems, "wrong": row.faults, "error": number(row.error)}
                     for row in self.rows],
            "faults": [{"law": fault.law, "text": fault.text} for fault in self.faults],
            "probably": [{"mistake": twin.name, "why": twin.why, "right": twin.place} for twin in self.twins],
            "similar": None if self.similar is None else {
                "mistake": self.similar[0].name, "explains": self.similar[1], "of": self.similar[2]},
            "example": example, "gradient": self.gives_gradient, "skipped": list(self.skipped)}


def number(value: float) -> float | str:
    """A number that JSON can hold: inf and NaN as strings."""
    return float(value) if np.isfinite(value) else str(float(value))


def _error(error: float) -> str:
    return f"{error:.1e}" if np.isfinite(error) else "no number"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _twin(twin: Twin) -> list[str]:
    return [*textwrap.wrap(f"- {twin.name}: {twin.why}", WIDTH, initial_indent="  ", subsequent_indent="    "),
            f"    done right in {twin.place}"]


def _problem(problem: Problem) -> list[str]:
    lines = []
    for n, (logits, target) in enumerate(zip(problem.logits, problem.targets)):
        name = f"sample {n}, " if len(problem.logits) > 1 else ""
        lines += _wrapped(f"{name}target {list(target)}, blank {problem.blank}, "
                          f"T={len(logits)}, C={problem.classes}, logits:", "  ")
        for row in logits:
            lines += _wrapped("[" + ", ".join(f"{value:g}" for value in row) + "]", "    ")
    if problem.padding:
        lines += [f"  {problem.padding} more frames and labels of padding"]
    return lines
