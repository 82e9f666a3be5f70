"""Mutations of a module's source: each changes the code in one place, as a slip of the pen would.

A mutation flips a sign, drops a term, a factor, a statement or a branch, shifts an index or the bound
of a loop, exchanges < and <=, == and !=, and/or, min/max.
"""

from __future__ import annotations

import ast
from typing import Iterator, NamedTuple

from tests.tools.mutation_table import Equivalent

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
        """The line's number, and its text before and after the mutation, each joined to one line."""
        first, last = source.rfind(b"\n", 0, self.start) + 1, source.find(b"\n", self.end)
        lines = source[first:last], source[first:self.start] + self.text + source[self.end:last]
        return source.count(b"\n", 0, self.start) + 1, *(" ".join(line.decode().split()) for line in lines)


class Source:
    """A module's text and its tree, with the bytes at which each node begins and ends."""

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
        """The bytes of the operator between two operands, which brackets and comments may surround."""
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
    """The nodes that compute, each with whether it is in a function; types and errors are left out."""
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
    """Whether only Numba calls this, while it compiles, so that plain Python never runs it."""
    decorators = " ".join(map(ast.unparse, getattr(node, "decorator_list", [])))
    arguments = [argument.arg for argument in node.args.args] if isinstance(node, ast.FunctionDef) else []
    return "builder" in arguments or any(
        name in decorators
        for name in ("intrinsic", "overload", "type_callable", "register_model", "lower_builtin"))


def changes(source: Source, node: ast.AST, inside: bool) -> Iterator[tuple[int, int, bytes]]:
    """The possible changes at one node: start, end, and the new text."""
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
            if end:     # one later often changes only unused memory
                yield *source.span(end), b"(" + source.of(end) + b") - 1"


def operation(source, node, start, end):
    """Yield a - b, a and b for a + b; a + b and a for a - b; a and b for a * b; a for a / b."""
    kind = type(node.op)
    at, after = source.operator(node.left, node.right, (DROPPED.get(kind) or SWAPPED[kind][0]))
    if kind in SWAPPED and kind not in (ast.Mult, ast.Div):
        yield at, after, SWAPPED[kind][1].encode()
    if kind in DROPPED:
        yield start, end, source.text[start:at].rstrip()
    if kind in (ast.Add, ast.Mult):
        yield start, end, source.text[after:end].lstrip()


def call(source, node):
    """Exchange min and max; begin a loop one later, or end it one earlier."""
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


def excused(sources: dict[str, bytes], found: dict[str, list[Mutation]], equivalent: list[Equivalent]
            ) -> Iterator[Mutation]:
    """The mutations that the table says change no answer."""
    for entry in equivalent:
        if entry.path in found:
            lines = {mutation: mutation.shown(sources[entry.path])[1:] for mutation in found[entry.path]}
            same = [mutation for mutation, (before, after) in lines.items()
                    if before == entry.before and entry.after in (after, "*")]
            if not same:
                raise ValueError(f"{entry.path}: no mutation makes {entry.after!r} of {entry.before!r}")
            yield from same
