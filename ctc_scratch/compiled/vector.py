"""Vectors of eight numbers, which LLVM keeps in the processor's registers.

Loops over states take eight numbers as one. LLVM would vectorise by itself, but it asks at the head of
every loop whether any two of its rows overlap, and keeps a second loop for the remainder: for rows as short
as ours that costs more than the loop. In plain Python an `Eight` is an array of 8 numbers.
"""

import operator
from typing import Any

import numba
import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

intrinsic: Any = numba.extending.intrinsic  # or mypy asks its callers for the context that Numba gives


def plain_python(substitute):
    """A decorator of intrinsics: the substitute takes their place where Numba compiles nothing."""
    return (lambda intrinsic: substitute) if numba.config.DISABLE_JIT else (lambda intrinsic: intrinsic)


class Eight(types.Type):
    """Eight numbers of one type, side by side in the processor's registers."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Eight({dtype})")


@register_model(Eight)
class EightModel(models.PrimitiveModel):
    """What LLVM calls a vector."""

    def __init__(self, manager, eight):
        super().__init__(manager, eight, _vector(manager[eight.dtype].get_value_type()))


def _vector(number):
    return ir.VectorType(number, 8)


def _pointer(context, builder, array_type, array, k):
    numbers = context.make_array(array_type)(context, builder, array).data
    pointer = builder.gep(numbers, [k], inbounds=True)
    return builder.bitcast(pointer, _vector(context.get_value_type(array_type.dtype)).as_pointer())


def _numbers(builder, values):
    return [builder.extract_element(values, ir.IntType(32)(k)) for k in range(8)]


@plain_python(lambda numbers, k: numbers.reshape(-1)[k:k + 8].copy())
@intrinsic
def eight(context, numbers, k):
    """The Eight from number k of an array on."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments)
        return builder.load(pointer, align=numbers.dtype.bitwidth // 8)

    return Eight(numbers.dtype)(numbers, k), codegen


def _write(numbers, k, values):
    numbers.reshape(-1)[k:k + 8] = values


@plain_python(_write)
@intrinsic
def put(context, numbers, k, values):
    """numbers[k:k+8] = values."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments[:2])
        builder.store(arguments[2], pointer, align=numbers.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(numbers, k, values), codegen


@plain_python(_write)
@intrinsic
def put_past_cache(context, numbers, k, values):
    """The same at an aligned place, which is not read into the cache first."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, numbers, *arguments[:2])
        store = builder.store(arguments[2], pointer, align=numbers.dtype.bitwidth)  # of 8 numbers, in bytes
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(numbers, k, values), codegen


@plain_python(lambda: None)
@intrinsic
def all_stored(context):
    """Wait until other threads can see what went past the cache."""

    def codegen(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@plain_python(lambda *numbers: np.array(numbers))
@intrinsic
def eight_of(context, a, b, c, d, e, f, g, h):
    """The Eight of these numbers."""

    def codegen(context, builder, signature, arguments):
        values = ir.Constant(_vector(context.get_value_type(a)), ir.Undefined)
        for k, argument in enumerate(arguments):
            values = builder.insert_element(values, argument, ir.IntType(32)(k))
        return values

    return Eight(a)(a, b, c, d, e, f, g, h), codegen


@plain_python(lambda x: np.full(8, x))
@intrinsic
def splat(context, x):
    """The Eight that is x all over."""

    def codegen(context, builder, signature, arguments):
        return _spread(context, builder, arguments[0], x, Eight(x))

    return Eight(x)(x), codegen


@plain_python(lambda values: values[0])
@intrinsic
def first_of(context, values):
    """The first number of an Eight."""

    def codegen(context, builder, signature, arguments):
        return _numbers(builder, *arguments)[0]

    return values.dtype(values), codegen


@plain_python(lambda v: ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])))
@intrinsic
def total_of(context, values):
    """The sum of an Eight, in an order that is always the same."""

    def codegen(context, builder, signature, arguments):
        numbers = _numbers(builder, *arguments)
        for half in (4, 2, 1):
            numbers = [builder.fadd(a, b) for a, b in zip(numbers[:half], numbers[half:])]
        return numbers[0]

    return values.dtype(values), codegen


@plain_python(np.max)
@intrinsic
def largest_of(context, values):
    """The largest number of an Eight."""

    def codegen(context, builder, signature, arguments):
        largest, *others = _numbers(builder, *arguments)
        for other in others:
            largest = builder.select(builder.fcmp_ordered(">", other, largest), other, largest)
        return largest

    return values.dtype(values), codegen


@plain_python(np.maximum)
@intrinsic
def larger(context, a, b):
    """The larger one of each two."""

    def codegen(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return a(a, b), codegen


@plain_python(lambda a, b, values, others: np.where(a > b, values, others))
@intrinsic
def where_over(context, a, b, values, others):
    """Of the values where a > b, elsewhere of the others."""

    def codegen(context, builder, signature, arguments):
        a, b, values, others = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), values, others)

    return values(a, b, values, others), codegen


@plain_python(np.abs)
@intrinsic
def absolute(context, values):
    """float64 without its signs."""

    def codegen(context, builder, signature, arguments):
        bits = _vector(ir.IntType(64))
        kept = builder.and_(builder.bitcast(arguments[0], bits), ir.Constant(bits, [2**63 - 1] * 8))
        return builder.bitcast(kept, arguments[0].type)

    return values(values), codegen


@plain_python(lambda values: values.astype(np.float64))
@intrinsic
def widened(context, values):
    """As float64."""

    def codegen(context, builder, signature, arguments):
        double = _vector(ir.DoubleType())
        return arguments[0] if arguments[0].type == double else builder.fpext(arguments[0], double)

    return Eight(types.float64)(values), codegen


@plain_python(lambda values, array: values.astype(array.dtype))
@intrinsic
def narrowed(context, values, array):
    """float64 as the type of an array."""

    def codegen(context, builder, signature, arguments):
        number = _vector(context.get_value_type(array.dtype))
        return arguments[0] if arguments[0].type == number else builder.fptrunc(arguments[0], number)

    return Eight(array.dtype)(values, array), codegen


def _spread(context, builder, value, kind, eight_type):
    """A value of this kind as an Eight, if it is none yet."""
    if isinstance(kind, Eight):
        return value
    number = context.cast(builder, value, kind, eight_type.dtype)
    values = ir.Constant(_vector(number.type), ir.Undefined)
    for k in range(8):
        values = builder.insert_element(values, number, ir.IntType(32)(k))
    return values


def _operator(symbol, instruction):
    @type_callable(symbol)
    def typer(context):
        def result(a, b):
            if isinstance(a, Eight) and (a == b or isinstance(b, types.Float)):
                return a
            return b if isinstance(b, Eight) and isinstance(a, types.Float) else None

        return result

    def lower(context, builder, signature, arguments):
        return getattr(builder, instruction)(*[
            _spread(context, builder, value, kind, signature.return_type)
            for value, kind in zip(arguments, signature.args)
        ])

    for kinds in [(Eight, Eight), (Eight, types.Float), (types.Float, Eight)]:
        lower_builtin(symbol, *kinds)(lower)


for symbol, instruction in [(operator.add, "fadd"), (operator.iadd, "fadd"), (operator.sub, "fsub"),
                            (operator.mul, "fmul"), (operator.truediv, "fdiv")]:
    _operator(symbol, instruction)
