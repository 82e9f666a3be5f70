"""Vectors of eight numbers, which LLVM keeps in the processor's registers.

Loops over states compute with eight numbers at a time. LLVM can vectorise a plain loop by itself, but then
it tests before the loop whether any two of its rows overlap, and it adds a second loop for the remainder:
for rows as short as ours that costs more than the loop. In plain Python an `Eight` is an array of 8 numbers.

Each function here is an intrinsic: a piece of LLVM code that Numba inserts where the function is called.
"""

import operator
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

intrinsic: Any = numba.extending.intrinsic  # Any: mypy would ask callers for the context that Numba adds


def python_twin(function):
    """A decorator for intrinsics: with NUMBA_DISABLE_JIT, `function` takes the place of the intrinsic."""
    return (lambda intrinsic: function) if numba.config.DISABLE_JIT else (lambda intrinsic: intrinsic)


class Eight(types.Type):
    """Numba's type for eight numbers of type `dtype` in one register, or in as few as hold them."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Eight({dtype})")


@register_model(Eight)
class EightModel(models.PrimitiveModel):
    """Tells Numba that LLVM represents an Eight as a vector."""

    def __init__(self, manager, eight):
        super().__init__(manager, eight, vector_type(manager[eight.dtype].get_value_type()))


def vector_type(number):
    """LLVM's type for a vector of eight numbers of this LLVM type."""
    return ir.VectorType(number, 8)


def _pointer(context, builder, array_type, array, k):
    numbers = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(numbers, [k], inbounds=True)
    return builder.bitcast(pointer, vector_type(context.get_value_type(array_type.dtype)).as_pointer())


def _numbers(builder, values):
    return [builder.extract_element(values, ir.IntType(32)(k)) for k in range(8)]


@python_twin(lambda numbers, k: numbers.reshape(-1)[k:k + 8].copy())
@intrinsic
def eight(context, numbers, k):
    """Numbers k..k+7 of an array, counted as if it had one dimension, as an Eight."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments)
        return builder.load(pointer, align=numbers.dtype.bitwidth // 8)

    return Eight(numbers.dtype)(numbers, k), codegen


def _write(numbers, k, values):
    numbers.reshape(-1)[k:k + 8] = values


@python_twin(_write)
@intrinsic
def put(context, numbers, k, values):
    """Write an Eight to an array: numbers[k:k+8] = values."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments[:2])
        builder.store(arguments[2], pointer, align=numbers.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(numbers, k, values), codegen


@python_twin(_write)
@intrinsic
def put_past_cache(context, numbers, k, values):
    """As `put`, but past the cache; the address of numbers[k] must be a multiple of the size of 8 numbers."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments[:2])
        store = builder.store(arguments[2], pointer, align=numbers.dtype.bitwidth)  # of 8 numbers, in bytes
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(numbers, k, values), codegen


@python_twin(lambda: None)
@intrinsic
def all_stored(context):
    """Wait until other threads can see what `put_past_cache` has written."""

    def codegen(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@python_twin(lambda *numbers: np.array(numbers))
@intrinsic
def eight_of(context, a, b, c, d, e, f, g, h):
    """These eight numbers as an Eight."""

    def codegen(context, builder, signature, arguments):
        values = ir.Constant(vector_type(context.get_value_type(a)), ir.Undefined)
        for k, argument in enumerate(arguments):
            values = builder.insert_element(values, argument, ir.IntType(32)(k))
        return values

    return Eight(a)(a, b, c, d, e, f, g, h), codegen


@python_twin(lambda x: np.full(8, x))
@intrinsic
def splat(context, x):
    """An Eight whose numbers are all x."""

    def codegen(context, builder, signature, arguments):
        return broadcast(context, builder, arguments[0], x, Eight(x))

    return Eight(x)(x), codegen


@python_twin(lambda values: values[0])
@intrinsic
def first_of(context, values):
    """The first number of an Eight."""

    def codegen(context, builder, signature, arguments):
        return _numbers(builder, *arguments)[0]

    return values.dtype(values), codegen


@python_twin(lambda v: ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])))
@intrinsic
def total_of(context, values):
    """The sum of an Eight, always added in the same order."""

    def codegen(context, builder, signature, arguments):
        numbers = _numbers(builder, *arguments)
        for half in (4, 2, 1):
            numbers = [builder.fadd(a, b) for a, b in zip(numbers[:half], numbers[half:])]
        return numbers[0]

    return values.dtype(values), codegen


@python_twin(np.max)
@intrinsic
def largest_of(context, values):
    """The largest number of an Eight."""

    def codegen(context, builder, signature, arguments):
        largest, *others = _numbers(builder, *arguments)
        for other in others:
            largest = builder.select(builder.fcmp_ordered(">", other, largest), other, largest)
        return largest

    return values.dtype(values), codegen


@python_twin(np.maximum)
@intrinsic
def larger(context, a, b):
    """The element-wise maximum of two Eights."""

    def codegen(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return a(a, b), codegen


@python_twin(np.minimum)
@intrinsic
def smaller(context, a, b):
    """The element-wise minimum of two Eights."""

    def codegen(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return a(a, b), codegen


@python_twin(lambda a, b, values, others: np.where(a > b, values, others))
@intrinsic
def where_over(context, a, b, values, others):
    """Element by element: `values` where a > b, else `others`."""

    def codegen(context, builder, signature, arguments):
        a, b, values, others = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), values, others)

    return values(a, b, values, others), codegen


@python_twin(np.abs)
@intrinsic
def absolute(context, values):
    """The absolute values of a float64 Eight."""

    def codegen(context, builder, signature, arguments):
        bits = vector_type(ir.IntType(64))
        kept = builder.and_(builder.bitcast(arguments[0], bits), ir.Constant(bits, [2**63 - 1] * 8))
        return builder.bitcast(kept, arguments[0].type)

    return values(values), codegen


# How `put_columns` transposes 8 x 8 numbers: in three rounds, which combine rows 1, 2 and 4 apart. Two rows
# become two new ones, whose numbers are given by their indices in the two old rows, joined end to end.
_ROUNDS = [(1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
           (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
           (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))]


def _put_columns(numbers, k, step, *rows):
    for j, column in enumerate(np.transpose(rows)):
        _write(numbers, k + j * step, column)


@python_twin(_put_columns)
@intrinsic
def put_columns(context, numbers, k, step, a, b, c, d, e, f, g, h):
    """Write the columns of the matrix whose rows are eight Eights: column j to numbers[k + j * step:][:8]."""

    def codegen(context, builder, signature, arguments):
        array, k, step, *rows = arguments
        for apart, *masks in _ROUNDS:
            for j in (j for j in range(8) if not j & apart):
                pair = rows[j], rows[j + apart]
                rows[j], rows[j + apart] = (
                    builder.shuffle_vector(*pair, ir.Constant(vector_type(ir.IntType(32)), mask))
                    for mask in masks)
        for row in rows:
            pointer = _pointer(context, builder, numbers, array, k)
            builder.store(row, pointer, align=numbers.dtype.bitwidth // 8)
            k = builder.add(k, step)
        return context.get_dummy_value()

    return types.void(numbers, types.intp, types.intp, *[a] * 8), codegen


@python_twin(lambda values: values.astype(np.float64))
@intrinsic
def widened(context, values):
    """The Eight converted to float64."""

    def codegen(context, builder, signature, arguments):
        double = vector_type(ir.DoubleType())
        return arguments[0] if arguments[0].type == double else builder.fpext(arguments[0], double)

    return Eight(types.float64)(values), codegen


@python_twin(lambda values, array: values.astype(array.dtype))
@intrinsic
def narrowed(context, values, array):
    """A float64 Eight converted to the type of an array."""

    def codegen(context, builder, signature, arguments):
        number = vector_type(context.get_value_type(array.dtype))
        return arguments[0] if arguments[0].type == number else builder.fptrunc(arguments[0], number)

    return Eight(array.dtype)(values, array), codegen


def broadcast(context, builder, value, kind, eight_type):
    """An Eight as it is; a number of the Numba type `kind` as an Eight with that number in each element."""
    if isinstance(kind, Eight):
        return value
    number = context.cast(builder, value, kind, eight_type.dtype)
    values = ir.Constant(vector_type(number.type), ir.Undefined)
    for k in range(8):
        values = builder.insert_element(values, number, ir.IntType(32)(k))
    return values


def _define_operator(symbol, instruction):
    """Let compiled code use an operator of Python on Eights, and on an Eight and a number."""

    @type_callable(symbol)
    def typer(context):
        def result(a, b):
            if isinstance(a, Eight) and (a == b or isinstance(b, types.Float)):
                return a
            return b if isinstance(b, Eight) and isinstance(a, types.Float) else None

        return result

    def lower(context, builder, signature, arguments):
        return getattr(builder, instruction)(*[
            broadcast(context, builder, value, kind, signature.return_type)
            for value, kind in zip(arguments, signature.args)
        ])

    for kinds in [(Eight, Eight), (Eight, types.Float), (types.Float, Eight)]:
        lower_builtin(symbol, *kinds)(lower)


for symbol, instruction in [(operator.add, "fadd"), (operator.iadd, "fadd"), (operator.sub, "fsub"),
                            (operator.mul, "fmul"), (operator.truediv, "fdiv")]:
    _define_operator(symbol, instruction)
