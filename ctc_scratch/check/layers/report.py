"""`LayerReport`: what `check_lstm` and `check_layer` found, in 80 columns, and what is probably wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..report import BaseReport, Row, wrapped
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
class LayerReport(BaseReport):
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

    def as_dict(self) -> dict[str, Any]:
        """The report in plain lists and strings, which JSON can hold."""
        return {**super().as_dict(), "notes": list(self.notes)}

    def _remarks(self) -> list[str]:
        return list(self.notes)

    def _example_lines(self, finding: LayerFinding) -> list[str]:
        lines = ["The smallest problem found that shows it:"] if finding.example else []
        return [*lines, *(f"  {line}" for line in finding.example), *wrapped(finding.text, "  ")]

    def _example_as_dict(self, finding: LayerFinding) -> dict[str, Any]:
        return {"example": list(finding.example), "difference": finding.text}
