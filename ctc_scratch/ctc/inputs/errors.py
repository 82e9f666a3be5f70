"""The error for a target that no path can spell."""

from __future__ import annotations


class InfeasibleTargetError(ValueError):
    """A target that no path through its frames can spell.

    Attributes
    ----------
    index : which sequence of the batch (0 for a single one)
    required : frames the target needs, labels + repeats
    available : frames it has; if these suffice, -inf logits close every path
    repeats : labels that equal their left neighbour
    called : what the message calls them. Where other moves are allowed than in CTC, `repeats` counts the
        blanks that must stand between labels, for whatever reason, and `called` is "blank".
    """

    def __init__(
        self, index: int, required: int, available: int, repeats: int, called: str = "repeat"
    ) -> None:
        super().__init__(index, required, available, repeats, called)
        self.index, self.required, self.available, self.repeats = index, required, available, repeats
        self.called = called

    def __str__(self) -> str:
        U, r = self.required - self.repeats, self.repeats
        extra = _counted(r, self.called)
        needs = f"{_counted(self.required, 'frame')} ({_counted(U, 'label')} + {extra})"
        if self.available < self.required:
            return f"target {self.index} needs {needs} but has {self.available}"
        return (
            f"target {self.index} has probability 0: it has {_counted(self.available, 'frame')} and needs "
            f"{needs}, but -inf logits close every path"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
