"""From drafts to the text of a file: names, batches, flags, one case per line."""

from __future__ import annotations

import json

from mpmath import mp, mpf

from . import big, core, hard, long, reject, toy
from .answers import case_of, text
from .draft import DraftBatch
from .flags import described

GROUPS = {"toy": toy, "core": core, "hard": hard, "long": long, "reject": reject}
VERSION = 1


def entries(group, wanted=None):
    """(cases, batches) of a group in JSON form; `wanted` chooses cases by their draft and name."""
    cases, batches = [], []
    number = 0
    for item in GROUPS[group].drafts():
        members = []
        for draft in item.members if isinstance(item, DraftBatch) else [item]:
            number += 1
            name = f"{group}-{number:03}"
            if wanted is None or wanted(draft, name):
                members.append(case_of(draft, name, seed=10_000 + number))
        cases += members
        if isinstance(item, DraftBatch) and len(members) == len(item.members):
            batches.append(batch_of(item, f"{group}-batch-{len(batches) + 1:02}", members))
    return cases, batches


def batch_of(draft, name, members):
    """The JSON form of a batch: the reductions of its losses, or what each policy makes of them."""
    flags = {"Reductions", *draft.flags}
    if len({(member["shape"][0], len(member["target"])) for member in members}) > 1:
        flags.add("Ragged")
    entry = {"id": name, "comment": draft.comment, "flags": sorted(flags), "result": "valid",
             "members": [member["id"] for member in members]}
    losses = [mpf(member["answers"]["loss"]) for member in members]
    sizes = [len(member["target"]) for member in members]
    with mp.workprec(big.BITS):
        losses = [mpf(member["answers"]["loss"]) for member in members]
        if mpf("inf") in losses:
            zeroed = [mpf(0) if loss == mpf("inf") else loss for loss in losses]
            return entry | {"result": "infeasible", "alternatives": {
                "raise": "error", "inf": reductions(losses, sizes), "zero": reductions(zeroed, sizes)}}
        return entry | {"answers": reductions(losses, sizes)}


def reductions(losses, sizes):
    """All reductions of some losses; "mean" divides each by its number of labels first, as torch does."""
    N = len(losses)
    values = {
        "none": losses,
        "sum": mp.fsum(losses),
        "batchmean": mp.fsum(losses) / N,
        "mean": mp.fsum(loss / max(U, 1) for loss, U in zip(losses, sizes)) / N,
    }
    return {name: [text_of(x) for x in value] if name == "none" else text_of(value)
            for name, value in values.items()}


def text_of(x):
    return "inf" if x == mpf("inf") else text(x)


def file_of(group):
    """The text of a group's file."""
    cases, batches = entries(group)
    flags = described({flag for entry in cases + batches for flag in entry["flags"]})
    head = {"version": VERSION, "group": group, "flags": flags}
    lines = [json.dumps(head, indent=1)[:-2] + ",", ' "cases": [', rows(cases), " ],", ' "batches": [',
             rows(batches), " ]", "}"]
    return "\n".join(line for line in lines if line) + "\n"


def rows(entries):
    return ",\n".join("  " + json.dumps(entry) for entry in entries)
