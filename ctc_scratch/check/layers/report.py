"""`LayerReport`: what `check_lstm` and `check_layer` found, in 80 columns, and what is probably wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..report import Row, number, table, wrapped
from .twin import Twin


@dataclass(frozen=True)
class LayerFault:
    """One wrong answer: under which law, and what is wrong with it."""

    law: str
    text: str


@dataclass(frozen=True, eq=False)
class LayerFinding:
    """What is probably wrong with some of the answers.

    kind : which answers, such as "all problems" or "problems with initial states: the outputs"
    wrong : how many of them are wrong
    twins : known mistakes that give all of these answers; they cannot be told apart
    example : the lines of a small problem that shows it
    text : how the answer to that problem is wrong
    problem : the problem itself
    searched : whether known mistakes were looked for
    """

    kind: str
    wrong: int
    twins: tuple[Twin, ...]
    example: tuple[str, ...]
    text: str
    problem: Any = None
    searched: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class LayerReport:
    """What `check_lstm` or `check_layer` found.

    rows : for each law, how many problems were tried and how many faults they showed
    faults : every fault
    findings : what is probably wrong
    notes : what was checked, and what these checks cannot show, in sentences
    """

    rows: tuple[Row, ...]
    faults: tuple[LayerFault, ...]
    findings: tuple[LayerFinding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def twins(self) -> tuple[Twin, ...]:
        """The known mistakes that were recognised."""
        return tuple(twin for finding in self.findings for twin in finding.twins)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = table(self.rows)
        for note in self.notes:
            lines += wrapped(note)
        if self.ok:
            return "\n".join([*lines, "No fault was found."])
        lines += ["1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"]
        for finding in self.findings:
            lines += ["", *_finding(finding)]
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
                "example": list(finding.example), "difference": finding.text} for finding in self.findings],
            "notes": list(self.notes)}


def _finding(finding: LayerFinding) -> list[str]:
    lines = [f"{finding.kind}: {finding.wrong} wrong"]
    if finding.twins:
        lines += wrapped("What is probably wrong" + (
            " is one of these, which give the same answers:" if len(finding.twins) > 1 else ":"))
    elif finding.searched:
        lines += ["No known mistake gives these answers."]
    for twin in finding.twins:
        lines += [*wrapped(f"{twin.name}: {twin.why}", "  "), f"    done right in {twin.place}"]
    if finding.example:
        lines += ["The smallest problem found that shows it:", *(f"  {line}" for line in finding.example)]
    return [*lines, *wrapped(finding.text, "  ")]
