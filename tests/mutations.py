"""Do the tests notice? Change the code in one place, run the tests of its module, and so on.

    python -m tests.mutations --minutes 30
    python -m tests.mutations --only beam_kernels
    python -m tests.mutations --only certified --minutes 60 --part 2/3

A mutation flips a sign, drops a term, a factor, a statement or a branch, shifts an index or the bound
of a loop, exchanges < and <=, == and !=, and/or, min/max. It is *killed* if a test fails, crashes or
runs for far too long. One that survives is equivalent, and then stands in the table below with the
reason, or a test is missing. All happens in copies of the project, two at a time, as plain Python,
since compiling each mutation would take a minute (which asks for NumPy 2: before it np.uintp(3) + 1
is a float64). A seed puts the mutations in order, and what the minutes do not reach is left out, and
counted; parts of one order have no mutation in common.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import pytest

from tests.tools.suite import ROOT, copy_project

# The tests of each module, as arguments of pytest; those first that see most in the shortest time.
TARGETS = {
    "ctc_scratch/ctc/reference.py":
        ["tests/ctc/test_recursion.py", "tests/ctc/decoding/test_beam.py", "-k", "recursion or hand or twin"],
    "ctc_scratch/ctc/kernels.py":
        ["tests/ctc/test_recursion.py", "tests/ctc/test_loss_laws.py", "-k", "kernel or log"],
    "ctc_scratch/ctc/exact/batch.py": ["tests/ctc/exact/test_exact.py", "-k", "not 690 and not 300"],
    "ctc_scratch/ctc/certified/batch.py":
        ["tests/ctc/test_recursion.py::test_minus_inf_entries_equal_enumeration",
         "tests/ctc/certified/test_certified.py",
         "tests/ctc/certified/test_certified_ways.py", "-k", "not counterexample and not long"],
    "ctc_scratch/ctc/decoding/beam_kernels.py": ["tests/ctc/decoding/test_beam.py"],
    "ctc_scratch/ctc/decoding/decode.py":
        ["tests/ctc/decoding/test_decode.py", "tests/ctc/decoding/test_beam.py"],
    "ctc_scratch/ctc/decoding/map_search.py": ["tests/ctc/decoding/test_map_search.py"],
    "ctc_scratch/ctc/paths/align.py": ["tests/ctc/paths/test_align.py"],
    "ctc_scratch/ctc/paths/banded.py":
        ["tests/ctc/paths/test_align.py", "tests/ctc/paths/test_banded.py",
         "-k", "not likelier and not in_turns"],
    "ctc_scratch/nn/kernels.py":
        ["tests/nn/test_gates.py", "tests/nn/test_product.py",
         "tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_lstm.py",
         "tests/nn/test_optim.py", "-k", "not stack"],
    "ctc_scratch/nn/lstm.py":
        ["tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_lstm.py"],
    "ctc_scratch/nn/layers.py":
        ["tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_layers.py",
         "tests/nn/test_lstm.py"],
    "ctc_scratch/nn/optim.py": ["tests/nn/test_optim.py"],
    "ctc_scratch/digits/model/vertical.py": ["tests/digits/model/test_vertical.py"],
}


class Equivalent(NamedTuple):
    """Mutations of the line `before` that no answer depends on; `after` is what it becomes, "*" any of them.

    An entry that matches no mutation is an error, so that none outlives its line.
    """

    path: str
    before: str
    after: str
    reason: str


AGAIN = "a power of two: when one rescales changes no bit"
TO_26 = "TO_INT, TO_26 = 1.5 * 2.0**52, "
ROUNDED = " # added and taken away: round to multiples of 1, of 2^26"
BELOW, ABOVE = "RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), ", "2.0 ** (HEADROOM + 20)"
EQUIVALENT = [Equivalent(path, before, after, reason) for path, entries in {
    "ctc_scratch/nn/optim.py": [
        ("if max_norm < norm < math.inf:", ["if max_norm <= norm < math.inf:"], "a factor of 1"),
    ],
    "ctc_scratch/nn/kernels.py": [
        ("if left + L <= M:", ["if left + L < M:"], "the last panel goes through `edge`, to the same bits"),
    ],
    "ctc_scratch/ctc/certified/batch.py": [
        ("need[u * L + j] = u + repeats", ["need[u * L + j] = u"],
         "a wider window holds states more that are 0, as none can be reached or none can finish"),
        ("if L == 1 and not dense:", ["if L == 1 or not dense:"],
         "where every class is a column nobody asks which label has which"),
        (BELOW + ABOVE, [BELOW + "2.0", BELOW + "2.0 ** (20)", BELOW + "2.0 ** (HEADROOM)",
                         BELOW + "2.0 ** (HEADROOM - 20)"], AGAIN),
        (BELOW + ABOVE, [BELOW.replace(" - 32", sign) + ABOVE for sign in ("", " + 32")], AGAIN),
        ("if 0.0 < state < RESCALE_BELOW or state > RESCALE_ABOVE:",
         ["if 0.0 < state <= RESCALE_BELOW or state > RESCALE_ABOVE:",
          "if 0.0 < state < RESCALE_BELOW or state >= RESCALE_ABOVE:"], AGAIN),
        ("if t & RESCALE_MASK == 0:", ["if t & RESCALE_MASK != 0:"], AGAIN + ", and it is more often"),
        ("for start in range(0, whole, 512):", ["for start in range(0, (whole) - 1, 512):"],
         "whole is a multiple of 8, so no block begins there"),
        ("for k in range(start, min(start + 512, whole), 8):",
         ["for k in range(start, (min(start + 512, whole)) - 1, 8):"],
         "the end is a multiple of 8, so the last Eight begins before"),
        ("for k in range(0, 8 * blocks, 8):", ["for k in range(0, (8 * blocks) - 1, 8):"],
         "the last Eight begins eight before the end"),
        ("K = C if is_dense(C, U, L) else min(U + 1, C)", ["K = C if is_dense(C, U, L) else max(U + 1, C)"],
         "room that nobody uses"),
        ("return T if 3 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))",
         ["return T if 3 * (T + 1) * width < budget else int(math.ceil(math.sqrt(T)))",
          "return (int(math.ceil(math.sqrt(T))))"],
         "how many frames are kept at a time changes no bit"),
        ("if done + 8 <= C:", ["if done + 8 < C:"], "the last Eight is written behind the loop"),
        ("while k + 8 <= stop:", ["while k + 8 < stop:"], "the last Eight is looked at behind the loop"),
        ("steady = max(steady, need[(widths[j] - 1) * L + j])",
         ["steady = min(steady, need[(widths[j] - 1) * L + j])"],
         "a wider window holds states more that are 0, as none can be reached"),
        ("if steady <= t < unsteady:", ["if steady < t < unsteady:"], "all labels, found one by one"),
        ("while first < widths[j] and left[first * L + j] >= lengths[j] - t:",
         ["while first < widths[j] and left[first * L + j] > lengths[j] - t:"],
         "a label more that cannot finish: its beta is 0"),
        ("while first > 0 and left[(first - 1) * L + j] < lengths[j] - t:",
         ["while first > 0 and left[(first - 1) * L + j] <= lengths[j] - t:"],
         "a label more that cannot finish: its beta is 0"),
        ("return value * inverse if value > floor else -floor * inverse",
         ["return value * inverse if value >= floor else -floor * inverse"],
         "an emission that is its floor need not be marked, and may be"),
        ("if mantissa > 1.4142135623730951:", ["if mantissa >= 1.4142135623730951:"],
         "both ways are right; one has to be taken"),
        ("segments = (T + G - 1) // G", ["segments = (T + G) // G", "segments = (T + G + 1) // G"],
         "a stretch more without a frame; what it keeps is overwritten"),
        ("k, stop = r * C, (r + 1) * C", ["k, stop = r * C, (1) * C"],
         "what these loops leave out the one behind them looks at"),
        ("past_cache = not at.dense and group.T * C * rows.itemsize > PAST_CACHE",
         "*",
         "the same numbers are written by another way, or twice"),
    ],
    "ctc_scratch/ctc/exact/batch.py": [
        (TO_26 + "1.5 * 2.0**78" + ROUNDED, [TO_26 + "2.0**78" + ROUNDED],
         "n is not above 0; it is rounded to a multiple of 2^25 then, and the products are as exact"),
        ("after, beta = betas[(t + 1) % 2], betas[t % 2]", ["after, beta = betas[(t - 1) % 2], betas[t % 2]"],
         "the same parity"),
        ("if T * 16 * (S + 4 + K + 1) > budget:",
         ["if T * 16 * (S + 4 + K) > budget:", "if T * 16 * (S + 4 + K + 1) >= budget:"],
         "with checkpoints or without, the same answers"),
        ("if j < last and k == B - 1:", ["if j <= last and k == B - 1:"],
         "the last block is computed once more, to the same bit"),
        ("checkpoints = np.empty(((T + B - 1) // B, 2, S + 4))",
         ["checkpoints = np.empty(((T + B) // B, 2, S + 4))",
          "checkpoints = np.empty(((T + B + 1) // B, 2, S + 4))"], "room that nobody uses"),
        ("if 0.5 < sums[0] + sums[1] < 4.0:",
         ["if 0.5 <= sums[0] + sums[1] < 4.0:", "if 0.5 < sums[0] - sums[1] < 4.0:"],
         "a second turn with another power of two gives the same"),
        ("C = frames[0].shape[1]", ["C = frames[(0) + 1].shape[1]"], "both types have as many classes"),
        ("stay = classes[slots[s]] if next_lo <= s < next_hi else -1",
         ["stay = classes[slots[s]] if next_lo <= s <= next_hi else -1"],
         "s < hi <= next_hi, as a state that can be reached can be reached ever after"),
        ("return m * power_of_two(min(e, 900.0)) if e >= -1022.0 else 0.0",
         ["return m * power_of_two(min(e, 900.0)) if e > -1022.0 else 0.0"],
         "2^-1022 is lost beside a likelihood's share of about 1"),
        ("x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi > -708.0 else 0.0",
         ["x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi >= -708.0 else 0.0"],
         "e^-708 is lost beside the largest class's 1"),
        ("if likelihood > 1.4142135623730951: # the ln of a mantissa next to 1 cancels nothing",
         ["if likelihood >= 1.4142135623730951: # the ln of a mantissa next to 1 cancels nothing"],
         "both ways are right; one has to be taken"),
    ],
    "ctc_scratch/ctc/paths/align.py": [
        ("reach = 1.5 * reach * T / (T - t) if tries == 0 else np.inf",
         [f"reach = {wider} if tries == 0 else np.inf" for wider in (
             "1.5 * T / (T - t)", "reach * T / (T - t)", "1.5 * reach / (T - t)", "T / (T - t)",
             "1.5 * reach * T", "1.5 * reach * T / (T)", "1.5 * reach * T / (T + t)")]
         + ["reach = (np.inf)", "reach = 1.5 * reach * T / (T - t) if tries != 0 else np.inf"],
         "how far the second try reaches decides how long it takes; the third reaches everywhere"),
    ],
    "ctc_scratch/nn/lstm.py": [
        ("shape, H = cache[0].shape, cache[0].cells.shape[1]",
         ["shape, H = cache[(0) + 1].shape, cache[0].cells.shape[1]"], "both directions have these frames"),
    ],
    "ctc_scratch/ctc/paths/banded.py": [
        ("repeats[u] = u > 0 and columns[u] == columns[u - 1]",
         ["repeats[u] = u >= 0 and columns[u] == columns[u - 1]"], "no label comes before the first"),
        ("letters[u] = in_label if in_label > FLOOR else FLOOR",
         ["letters[u] = (in_label)", "letters[u] = in_label if in_label >= FLOOR else FLOOR"],
         "what is under the floor is slow, and too small to be missed"),
        ("proved = result >= math.log(3.0 * T) + (FLOOR_EXPONENT - HEADROOM + 50) * LN2",
         ["proved = result >= math.log(3.0) + (FLOOR_EXPONENT - HEADROOM + 50) * LN2"],
         "of a margin of 2^50 any T leaves enough"),
    ],
    "ctc_scratch/ctc/decoding/map_search.py": [
        ("if T * C * C <= LOOKAHEAD:", ["if T * C <= LOOKAHEAD:", "if C <= LOOKAHEAD:"],
         "which of two bounds it is changes how long it takes"),
        ("if a < b:", ["if a <= b:"], "equal numbers change places"),
        ("if b < a - 37.0 or b == -np.inf: # e^-37 does not change 1",
         ["if b <= a - 37.0 or b == -np.inf: # e^-37 does not change 1"], "e^-37 does not change 1"),
    ],
    "ctc_scratch/ctc/decoding/beam_kernels.py": [
        ("if a < b:", ["if a <= b:"], "equal numbers change places"),
        ("if b < a - LIMIT or b == -np.inf:", ["if b <= a - LIMIT or b == -np.inf:"],
         "e^-37 is below the last bit that is claimed"),
        ("while found >= 0 and tree[found, LABEL] != c:", ["while found > 0 and tree[found, LABEL] != c:"],
         "node 0 is nobody's child"),
        ("if found < 0:", ["if found <= 0:"], "node 0 is nobody's child"),
        ("while k >= 0 and tree[k, CHILD] < 0:", ["while k >= 0 and tree[k, CHILD] <= 0:"],
         "walks on to the root where all is marked"),
        ("elif size == W and logs[i, TOTAL] + log_prob <= scores[W - 1]:",
         ["elif size == W and logs[i, TOTAL] + log_prob < scores[W - 1]:"],
         "`offer` refuses what is only as good as the last"),
        ("if counts[NODES] + W > capacity:", ["if counts[NODES] + W >= capacity:"],
         "what nobody needs is dropped a frame sooner"),
        ("if 2 * (counts[NODES] + W) > capacity:", ["if (counts[NODES] + W) > capacity:"],
         "it forgets more often before it grows"),
        ("if 2 * (counts[NODES] + W) > capacity:", ["if 2 * (counts[NODES] + W) >= capacity:"],
         "the tree grows a frame sooner"),
        ("while size > 1 and scores[size - 1] < scores[0] - prune:",
         ["while size >= 1 and scores[size - 1] < scores[0] - prune:"], "the best is not worse than itself"),
    ],
}.items() for before, afters, reason in entries for after in afters]

SWAPPED = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
           ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"),
           ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="),
           ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.And: ("and", "or"),
           ast.Or: ("or", "and"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}
DROPPED = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
           ast.Pow: "**"}
FUNCTIONS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax",
             "argmax": "argmin"}


class Mutation(NamedTuple):
    """Bytes start:end of the module at `path` become `text`."""

    path: str
    start: int
    end: int
    text: bytes

    def apply(self, source: bytes) -> bytes:
        return source[:self.start] + self.text + source[self.end:]

    def shown(self, source: bytes) -> tuple[int, str, str]:
        """The number of its line, and the lines before and after, in one line each."""
        first, last = source.rfind(b"\n", 0, self.start) + 1, source.find(b"\n", self.end)
        lines = source[first:last], source[first:self.start] + self.text + source[self.end:last]
        return source.count(b"\n", 0, self.start) + 1, *(" ".join(line.decode().split()) for line in lines)


class Source:
    """A module's text and the bytes where each node of its tree begins and ends."""

    def __init__(self, text: bytes):
        self.text = text
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (self._lines[node.lineno - 1] + node.col_offset,
                self._lines[node.end_lineno - 1] + node.end_col_offset)

    def of(self, node: ast.AST) -> bytes:
        start, end = self.span(node)
        return self.text[start:end]

    def operator(self, left: ast.AST, right: ast.AST, sign: str) -> tuple[int, int]:
        """Where the operator between two operands stands: their brackets and comments may be there too."""
        start, end = self.span(left)[1], self.span(right)[0]
        at = self.text.index(sign.encode(), start, end)
        return at, at + len(sign)


def mutations(path: str, text: bytes) -> list[Mutation]:
    """All mutations of a module, in the order of its text."""
    source = Source(text)
    found = {Mutation(path, *change) for node, inside in computing(source.tree, False)
             for change in changes(source, node, inside)}
    return sorted(found)


def computing(node: ast.AST, inside: bool) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes that compute, and whether in a function: no types, no errors, nothing only compiled."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, (ast.Raise, ast.JoinedStr)) or not isinstance(child, ast.AST):
                continue
            if only_compiled(child):
                continue
            yield child, inside
            yield from computing(child, inside or isinstance(child, ast.FunctionDef))


def only_compiled(node: ast.AST) -> bool:
    """What Numba calls while it compiles, which plain Python never does."""
    decorators = " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))
    arguments = [argument.arg for argument in node.args.args] if isinstance(node, ast.FunctionDef) else []
    return "builder" in arguments or any(
        name in decorators
        for name in ("intrinsic", "overload", "type_callable", "register_model", "lower_builtin"))


def changes(source: Source, node: ast.AST, inside: bool) -> Iterator[tuple[int, int, bytes]]:
    """What may be changed at one node: start, end, and the text that goes there."""
    start, end = source.span(node) if hasattr(node, "lineno") else (0, 0)
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED | DROPPED:
        yield from operation(source, node, start, end)
    elif isinstance(node, ast.AugAssign):
        yield start, end, b"pass"
        if type(node.op) in SWAPPED:
            sign, other = SWAPPED[type(node.op)]
            at, after = source.operator(node.target, node.value, sign)
            yield at, after, other.encode()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield start, end, b"(" + source.of(node.operand) + b")"
    elif isinstance(node, ast.Compare):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            if type(op) in SWAPPED:
                sign, other = SWAPPED[type(op)]
                at, after = source.operator(left, right, sign)
                yield at, after, other.encode()
    elif isinstance(node, ast.BoolOp):
        sign, other = SWAPPED[type(node.op)]
        for left, right in zip(node.values, node.values[1:]):
            at, after = source.operator(left, right, sign)
            yield at, after, other.encode()
    elif isinstance(node, ast.IfExp):
        yield start, end, b"(" + source.of(node.body) + b")"
        yield start, end, b"(" + source.of(node.orelse) + b")"
    elif isinstance(node, ast.If) and not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
        yield *source.span(node.test), b"not (" + source.of(node.test) + b")"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and inside:
        yield start, end, b"pass"
    elif isinstance(node, ast.Call):
        yield from call(source, node)
    elif isinstance(node, ast.Subscript) and inside:
        for index in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            first, end = (index.lower, index.upper) if isinstance(index, ast.Slice) else (index, None)
            if first and not is_text(first):
                yield *source.span(first), b"(" + source.of(first) + b") + 1"
            if end:     # one more would often be room that nobody uses
                yield *source.span(end), b"(" + source.of(end) + b") - 1"


def operation(source, node, start, end):
    """a + b: a - b, a, b;  a - b: a + b, a;  a * b: a, b;  a / b: a ..."""
    kind = type(node.op)
    at, after = source.operator(node.left, node.right, (DROPPED.get(kind) or SWAPPED[kind][0]))
    if kind in SWAPPED and kind not in (ast.Mult, ast.Div):
        yield at, after, SWAPPED[kind][1].encode()
    if kind in DROPPED:
        yield start, end, source.text[start:at].rstrip()
    if kind in (ast.Add, ast.Mult):
        yield start, end, source.text[after:end].lstrip()


def call(source, node):
    """min and max change places; a loop begins one later, or ends one earlier."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in FUNCTIONS:
        end = source.span(node.func)[1]
        yield end - len(name), end, FUNCTIONS[name].encode()
    if name == "range":
        bounds = [source.span(bound) for bound in node.args[:2]]
        if len(bounds) == 2:
            yield *bounds[0], b"(" + source.of(node.args[0]) + b") + 1"
        yield *bounds[-1], b"(" + source.of(node.args[-1 if len(bounds) == 1 else 1]) + b") - 1"


def is_text(node):
    return isinstance(node, ast.JoinedStr) or isinstance(node, ast.Constant) and isinstance(node.value, str)


# ---- running


class Trial(NamedTuple):
    """A mutation whose tests are running in one of the copies."""

    mutation: Mutation
    folder: Path
    original: bytes
    process: Any
    deadline: float


def check(root: Path, targets: dict[str, list[str]], equivalent: list[Equivalent], minutes: float,
          seed: int, part: tuple[int, int] = (1, 1)) -> int:
    """Print the survivors as they are found, and a table; returns how many there are.

    `targets` names the modules, from the folder `root` on, and the arguments of pytest for each;
    `part` (k, n) is each n-th mutation from the k-th on.
    """
    os.environ |= {"NUMBA_DISABLE_JIT": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    sources = {path: (root / path).read_bytes() for path in targets}
    found = {path: mutations(path, source) for path, source in sources.items()}
    known = set(excused(sources, found, equivalent))
    order = [mutation for path in found for mutation in found[path] if mutation not in known]
    random.Random(seed).shuffle(order)
    order = order[part[0] - 1::part[1]]
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_project(root, Path(folder).resolve() / name) for name in ("one", "two")]
        limits = {path: baseline(copies, path, arguments) for path, arguments in targets.items()}
        outcomes = run_all(copies, targets, order, limits, time.monotonic() + 60 * minutes)
    print("\n| module | mutations | equivalent | tried | killed | of these by time | survived |")
    print("|---" * 7 + "|")
    for path in targets:
        ends = [outcome for mutation, outcome in outcomes.items() if mutation.path == path]
        late, survived = ends.count("late"), ends.count("survived")
        print(f"| {path} | {len(found[path])} | {len(known & set(found[path]))} | {len(ends)} "
              f"| {len(ends) - survived} | {late} | {survived} |")
    what = "mutations" if part == (1, 1) else "mutations of part {}/{}".format(*part)
    print(f"\n{len(order) - len(outcomes)} of {len(order)} {what} were not reached", flush=True)
    return list(outcomes.values()).count("survived")


def excused(sources: dict[str, bytes], found: dict[str, list[Mutation]], equivalent: list[Equivalent]
            ) -> Iterator[Mutation]:
    """The mutations known to be equivalent."""
    for entry in equivalent:
        if entry.path in found:
            lines = {mutation: mutation.shown(sources[entry.path])[1:] for mutation in found[entry.path]}
            same = [mutation for mutation, (before, after) in lines.items()
                    if before == entry.before and entry.after in (after, "*")]
            if not same:
                raise ValueError(f"{entry.path}: no mutation makes {entry.after!r} of {entry.before!r}")
            yield from same


def run_tests(folder: Path, path: str, arguments: list[str], seconds: float | None) -> None:
    """In a forked process: the tests, in this folder; it exits with pytest's status."""
    os.setsid()
    sys.dont_write_bytecode = seconds is not None   # the original's is written once, a mutation's never
    resource.setrlimit(resource.RLIMIT_DATA, (2**32, 2**32))    # what the original cannot do kills nothing
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    ours = {entry.stem for entry in folder.iterdir()}
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        del sys.modules[name]                       # `tests` has come from the folder this was started in
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with open(folder / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    package = importlib.util.find_spec(Path(path).parts[0])
    if not package or not Path(str(package.origin)).is_relative_to(folder):
        raise ImportError(f"{path} would not be imported from {folder}")
    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-W",
                          "ignore::pytest.PytestAssertRewriteWarning", *arguments])   # of what is imported
    (folder / "modules").write_text("\n".join(name for name in sys.modules if name.split(".")[0] not in ours))
    sys.stdout.flush()
    os._exit(int(status))


def start(folder: Path, path: str, arguments: list[str], seconds: float | None) -> Any:
    process = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(folder, path, arguments, seconds), daemon=True)
    process.start()
    return process


def baseline(copies: list[Path], path: str, arguments: list[str]) -> float:
    """How many seconds of computing a mutation gets; without one the tests must pass, in all copies."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [start(folder, path, arguments, None) for folder in copies]
    for process in processes:
        process.join()
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / len(copies)
    for folder, process in zip(copies, processes):
        if process.exitcode != 0:
            raise RuntimeError(f"the tests of {path} fail as it is:\n{(folder / 'log').read_text()}")
        for compiled in folder.joinpath(path).parent.glob(f"__pycache__/{Path(path).stem}.*"):
            compiled.unlink()   # a mutation may have the size and the second of the original
    for name in (copies[0] / "modules").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)   # once, for all processes forked off from now on
    print(f"{path}: its tests take {spent:.1f} s", flush=True)
    return 5 + 3 * spent


def run_all(copies: list[Path], targets: dict[str, list[str]], order: list[Mutation],
            limits: dict[str, float], deadline: float) -> dict[Mutation, str]:
    """killed, late or survived for each mutation that was reached."""
    outcomes: dict[Mutation, str] = {}
    free, running, waiting = list(copies), [], iter(order)
    while True:
        while free and time.monotonic() < deadline and (mutation := next(waiting, None)):
            folder, seconds = free.pop(), limits[mutation.path]
            original = (folder / mutation.path).read_bytes()
            (folder / mutation.path).write_bytes(mutation.apply(original))
            process = start(folder, mutation.path, targets[mutation.path], seconds)
            # Seconds on the clock are many more where others compute too.
            running.append(Trial(mutation, folder, original, process, time.monotonic() + 20 * seconds))
        if not running:
            return outcomes
        wait([trial.process.sentinel for trial in running], timeout=1)
        for trial in running[:]:
            if not trial.process.is_alive() or time.monotonic() > trial.deadline:
                outcomes[trial.mutation] = end(trial)
                running.remove(trial)
                free.append(trial.folder)


def end(trial: Trial) -> str:
    """What became of a mutation, whose copy is as it was again."""
    overdue = trial.process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(trial.process.pid, signal.SIGKILL)    # and what its tests may have started
    trial.process.join()
    (trial.folder / trial.mutation.path).write_bytes(trial.original)
    if overdue or trial.process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "late"
    if trial.process.exitcode:
        return "killed"
    line, before, after = trial.mutation.shown(trial.original)
    print(f"survived: {trial.mutation.path}:{line}, {before} -> {after}", flush=True)
    return "survived"


def part_of(text: str) -> tuple[int, int]:
    """(2, 3) for "2/3"."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError
    return k, n


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="stop after so many (default: 30)")
    parser.add_argument("--only", metavar="MODULE", help="only the modules with this in their name")
    parser.add_argument("--seed", type=int, default=0, help="of the order (default: 0)")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N",
                        help="the K-th of N parts, for a run in several goes")
    options = parser.parse_args()
    targets = {path: tests for path, tests in TARGETS.items() if not options.only or options.only in path}
    if not targets:
        parser.error(f"--only: expected a part of {', '.join(TARGETS)}, not {options.only!r}")
    return min(check(ROOT, targets, EQUIVALENT, options.minutes, options.seed, options.part), 1)


if __name__ == "__main__":
    sys.exit(main())
