"""`Report`: what `check_ctc` found, as a table of 80 columns and a sentence on what is probably wrong."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Iterable

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
    """The smallest problem found with a wrong answer, that answer, and the right one."""

    problem: Problem
    text: str
    answer: Answer
    right: Answer


@dataclass(frozen=True, eq=False)
class Finding:
    """What is probably wrong with the answers to one kind of problem, or to all problems.

    kind : which problems, one of `problems.KINDS`, or "all problems"
    wrong : how many of them have a wrong answer
    twins : known mistakes that give all of these answers; they cannot be told apart
    example : a small problem that shows it
    first_alpha : the first frame and state at which log alpha of the example is wrong, in words
    """

    kind: str
    wrong: int
    twins: tuple[Twin, ...]
    example: Example
    first_alpha: str = ""
    searched = True     # `check_ctc` always looks for known mistakes


@dataclass(frozen=True, eq=False, repr=False)
class BaseReport:
    """What all reports share: the table of laws, the faults, and what is probably wrong."""

    rows: tuple[Row, ...]
    faults: tuple[Any, ...]
    findings: tuple[Any, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def twins(self) -> tuple[Any, ...]:
        """The known mistakes that were recognised."""
        return tuple(twin for finding in self.findings for twin in finding.twins)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = table(self.rows)
        for remark in self._remarks():
            lines += wrapped(remark)
        if self.ok:
            return "\n".join([*lines, "No fault was found."])
        lines += ["1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"]
        for finding in self.findings:
            lines += ["", *finding_lines(finding), *self._example_lines(finding)]
        if not self.findings:
            lines += wrapped(f"The first fault ({self.faults[0].law}): {self.faults[0].text}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report in plain lists and strings, which JSON can hold."""
        return {
            "ok": self.ok,
            "laws": [{"law": row.law, "problems": row.problems, "wrong": row.faults,
                      "error": number(row.error)} for row in self.rows],
            "faults": [{"law": fault.law, "text": fault.text} for fault in self.faults],
            "findings": [{
                "kind": finding.kind, "wrong": finding.wrong,
                "probably": [{"mistake": twin.name, "why": twin.why, "right": twin.place}
                             for twin in finding.twins],
                **self._example_as_dict(finding)} for finding in self.findings]}

    def _remarks(self) -> list[str]:
        """Sentences below the table."""
        raise NotImplementedError

    def _example_lines(self, finding: Any) -> list[str]:
        """The example of a finding, as lines of text."""
        raise NotImplementedError

    def _example_as_dict(self, finding: Any) -> dict[str, Any]:
        """The example of a finding, for `as_dict`."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class Report(BaseReport):
    """What `check_ctc` found.

    rows : for each law, how many problems were tried and how many faults they showed
    faults : every fault
    findings : what is probably wrong: one if a known mistake explains all faults, else one per kind
    gives_gradient : whether a gradient was returned; if not, only losses were checked
    skipped : laws that were not tested, because they are not promised
    """

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    findings: tuple[Finding, ...] = ()
    gives_gradient: bool = True
    skipped: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report in plain lists and strings, as `--json` prints it."""
        return {**super().as_dict(), "gradient": self.gives_gradient, "skipped": list(self.skipped)}

    def _remarks(self) -> list[str]:
        remarks = [] if self.gives_gradient else ["No gradient was returned, so only losses were checked."]
        return [*remarks, f"Not tested: {', '.join(self.skipped)}."] if self.skipped else remarks

    def _example_lines(self, finding: Finding) -> list[str]:
        example = finding.example
        return ["The smallest problem found that shows it:", *_problem(example.problem),
                *wrapped(example.text, "  "), *wrapped(finding.first_alpha, "  ")]

    def _example_as_dict(self, finding: Finding) -> dict[str, Any]:
        return {"example": _as_dict(finding.example), "first_alpha": finding.first_alpha or None}


def _as_dict(example: Example) -> dict[str, Any]:
    problem = example.problem
    return {"logits": [[[number(value) for value in row] for row in frames] for frames in problem.logits],
            "targets": [list(target) for target in problem.targets], "blank": problem.blank,
            "padding": problem.padding, "difference": example.text}


def number(value: float) -> float | str:
    """A number that JSON can hold: inf and NaN as strings."""
    return float(value) if np.isfinite(value) else str(float(value))


def table(rows: Iterable[Row]) -> list[str]:
    """The rows as lines of text, with a header and two horizontal rules."""
    return [f"{'law':<42} {'problems':>8} {'wrong':>7} {'largest error':>20}", "-" * WIDTH,
            *(f"{row.law:<42} {row.problems:>8} {row.faults:>7} {_error(row.error):>20}" for row in rows),
            "-" * WIDTH]


def _error(error: float) -> str:
    return f"{error:.1e}" if np.isfinite(error) else "not finite"


def wrapped(text: str, indent: str = "") -> list[str]:
    """The text in lines of 80 columns."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def finding_lines(finding: Any) -> list[str]:
    """Which answers are wrong, and the known mistakes that give them, as lines of text."""
    lines = [f"{finding.kind}: {finding.wrong} wrong"]
    if finding.twins:
        lines += wrapped("What is probably wrong" + (
            " is one of these, which give the same answers:" if len(finding.twins) > 1 else ":"))
    elif finding.searched:
        lines += ["No known mistake gives these answers."]
    for twin in finding.twins:
        lines += [*wrapped(f"{twin.name}: {twin.why}", "  "), f"    done right in {twin.place}"]
    return lines


def _problem(problem: Problem) -> list[str]:
    lines = []
    for n, (logits, target) in enumerate(zip(problem.logits, problem.targets)):
        name = f"sample {n}, " if len(problem.logits) > 1 else ""
        lines += wrapped(f"{name}target {list(target)}, blank {problem.blank}, T={len(logits)}, "
                         f"C={problem.classes}" + (", logits:" if len(logits) else ""), "  ")
        for row in logits:
            lines += wrapped("[" + ", ".join(f"{value:g}" for value in row) + "]", "    ")
    if problem.padding:
        lines += [f"  padding after the longest sample and target: {problem.padding}"]
    return lines
