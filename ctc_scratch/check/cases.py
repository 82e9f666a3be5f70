"""The published test vectors as NumPy arrays: `load_cases`, `load_batches`.

`vectors/README.md` says what every field of the files is. A case is one problem and its answers; a batch
names several cases of its group and the reductions of their losses. Large arrays are published as eight
numbers, their *projections* on generated vectors. `Case.expected` and `Case.observed` hide the difference:

    for case in load_cases("core"):
        if case.result == "valid":
            loss, grad = my_ctc(case.used_logits, case.used_target, case.blank)
            error = abs(case.observed("gradient", grad) - case.expected("gradient")).max(initial=0)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Group = Literal["toy", "core", "hard", "long", "reject"]
Name = Literal["gradient", "gradient_log_probs", "gamma", "hessian_product"]
GROUPS, ARRAYS = get_args(Group), get_args(Name)
VERSION = 1

PROJECTIONS = 8
"""A large array is published as its products with the generated vectors of seeds 1 to 8, 8 bits each."""


def generate(seed: int, bits: int, count: int) -> NDArray[np.float64]:
    """Pseudo-random numbers (count,), equal in all languages: multiples of 1/64 of size at most 2^(bits - 7).

    Number i is hashed from seed + i * 0x9E3779B9 by the last steps of MurmurHash3, modulo 2^32.

    >>> (64 * generate(1, 12, 4)).astype(int)
    array([ -748,   362, -1749,   369])
    """
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(32 - bits)).astype(np.int64) - 2 ** (bits - 1)) / 64


def project(array: NDArray) -> NDArray[np.float64]:
    """The eight projections (8,) of an array, whose entries are taken row by row."""
    flat = np.asarray(array, dtype=np.float64).ravel()
    return np.array([generate(seed, 8, flat.size) @ flat for seed in range(1, PROJECTIONS + 1)])


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One problem and its answers; the fields are those of the file, as arrays.

    logits : (T, C) float64; only the first `logit_length` frames are used
    target : list of labels, of which only the first `target_length` are used
    vector : (logit_length, C) float64, by which the Hessian is multiplied; None unless the case is valid
    result : "valid", "infeasible" (no alignment is possible) or "error" (the input must be refused)
    answers : numbers as floats or integers, arrays as float64 arrays, `projections` as arrays (8,)
    """

    id: str
    group: str
    comment: str
    flags: tuple[str, ...]
    result: str
    logits: NDArray[np.float64]
    target: list
    blank: int
    logit_length: int
    target_length: int
    vector: NDArray[np.float64] | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    alternatives: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        T, C = self.logits.shape
        return f"Case({self.id}: {self.result}, T={T}, C={C}, U={len(self.target)}, {self.comment})"

    @property
    def used_logits(self) -> NDArray[np.float64]:
        """The logits without padding (logit_length, C)."""
        return self.logits[:self.logit_length]

    @property
    def used_target(self) -> list:
        """The labels without padding."""
        return self.target[:self.target_length]

    def expected(self, name: Name) -> NDArray[np.float64]:
        """The published numbers for an array of a valid case: its entries, row by row, or its projections."""
        return self.answers[name].ravel() if name in self.answers else self.answers["projections"][name]

    def observed(self, name: Name, array: NDArray) -> NDArray[np.float64]:
        """An array that was computed elsewhere, in the form of `expected`."""
        return np.asarray(array, np.float64).ravel() if name in self.answers else project(array)


@dataclass(frozen=True, eq=False)
class Batch:
    """Several cases as one batch, and their losses under each reduction.

    answers : the losses (N,) as "none", and "sum", "batchmean", "mean"; empty if the result is "infeasible"
    alternatives : if infeasible, by policy: "error" for "raise", the reductions for "inf" and for "zero"
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    result: str
    members: tuple[Case, ...]
    answers: dict[str, Any]
    alternatives: dict[str, Any]

    def padded(self, fill: float = np.nan) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Logits (T, N, C) with `fill` in the frames after the end of each sequence, and the lengths (N,)."""
        lengths = np.array([case.logit_length for case in self.members], np.intp)
        C = self.members[0].logits.shape[1]
        logits = np.full((lengths.max(initial=0), len(lengths), C), fill)
        for n, case in enumerate(self.members):
            logits[:case.logit_length, n] = case.used_logits
        return logits, lengths


def read_group(group: Group, version: int = VERSION) -> dict[str, Any]:
    """The file of a group as `json` reads it: cases, batches, and the meaning of each flag."""
    if group not in GROUPS:
        raise ValueError(f"group must be one of {', '.join(GROUPS)}, got {group!r}")
    path = files(__package__) / "vectors" / f"v{version}" / f"{group}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def load_cases(*groups: Group, version: int = VERSION) -> list[Case]:
    """The cases of the named groups, or of all groups if none is named, in the order of the files."""
    return [_case(group, entry) for group in groups or GROUPS
            for entry in read_group(group, version)["cases"]]


def load_batches(*groups: Group, version: int = VERSION) -> list[Batch]:
    """The batches of the named groups, or of all if none is named; members are cases of the same group."""
    return [_batch(group, contents, entry) for group in groups or GROUPS
            for contents in [read_group(group, version)] for entry in contents["batches"]]


def _case(group: str, entry: dict[str, Any]) -> Case:
    T, C = entry["shape"]
    logit_length = entry.get("logit_length", T)
    answers = dict(entry.get("answers", {}))
    for name, value in answers.items():
        if name == "projections":
            answers[name] = {array: _numbers(rows) for array, rows in value.items()}
        elif name in ("alignments", "greedy", "best_path", "most_probable"):
            answers[name] = int(value) if name == "alignments" else value
        else:
            answers[name] = _numbers(value)
    vector = entry.get("vector")
    return Case(
        entry["id"], group, entry["comment"], tuple(entry["flags"]), entry["result"],
        array_of(entry["logits"], (T, C)), entry["target"], entry["blank"], logit_length,
        entry.get("target_length", len(entry["target"])),
        None if vector is None else array_of(vector, (logit_length, C)), answers,
        entry.get("alternatives", {}))


def _batch(group: str, contents: dict[str, Any], entry: dict[str, Any]) -> Batch:
    cases = {case["id"]: case for case in contents["cases"]}
    members = tuple(_case(group, cases[name]) for name in entry["members"])
    alternatives = {policy: value if value == "error" else {name: _numbers(x) for name, x in value.items()}
                    for policy, value in entry.get("alternatives", {}).items()}
    answers = {name: _numbers(value) for name, value in entry.get("answers", {}).items()}
    return Batch(entry["id"], entry["comment"], tuple(entry["flags"]), entry["result"], members, answers,
                 alternatives)


def _numbers(value: Any) -> Any:
    """A number as a float, nested lists as an array; strings such as "1.5" and "-inf" are numbers."""
    return float(value) if isinstance(value, (str, int, float)) else np.array(value, dtype=np.float64)


def array_of(spec: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Logits or a vector: a list of rows is taken as it is, anything else is generated."""
    if isinstance(spec, list):
        return np.array(spec, dtype=np.float64).reshape(shape)
    array = generate(spec["seed"], spec["bits"], shape[0] * shape[1]).reshape(shape)
    if "path" in spec:
        path = np.repeat([c for c, _ in spec["path"]], [frames for _, frames in spec["path"]])
        array[np.arange(len(path)), path] += spec["raise"]
    for t, c in spec.get("closed", []):
        array[t, c] = -np.inf
    return array
