"""The rules by which JAX differentiates a solver: first and second order, in forward and backward mode.

Let L(x) be the value of one sequence with logits x, g its gradient and H its Hessian. JAX is given

    dL = <g, dx>        dg = H dx

as rules for forward mode (`custom_jvp`). Both are linear in dx, and JAX obtains backward mode by transposing
them. It can transpose <g, dx>, but not H dx, which is a callback. Since H is symmetric, the transpose is the
same callback. The one public way to say this to JAX that also works under `vmap` is
`lax.custom_linear_solve`: H dx is declared to be the solution of a symmetric linear system. Third
derivatives raise an error while JAX traces.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from .solvers import Callback, Solver

Arrays = tuple[jax.Array, ...]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def values(solver: Solver, logits: jax.Array, batch: Arrays, shared: Arrays) -> jax.Array:
    """The value of each sequence, (*B,), from logits and the other arguments of `Callback`."""
    value, = _call(Callback(solver, "values"), (logits, *batch), shared)
    return value


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def values_and_gradients(solver: Solver, logits: jax.Array, batch: Arrays, shared: Arrays) -> Arrays:
    """The value of each sequence, and its gradient in the shape of the logits."""
    return _call(Callback(solver, "gradients"), (logits, *batch), shared)


@partial(values.defjvp, symbolic_zeros=True)
def _values_jvp(solver, primals, tangents):
    dx = _tangent_of_logits(solver, tangents)
    value, gradient = values_and_gradients(solver, *primals)
    return value, _along(solver, value, gradient, dx)


@partial(values_and_gradients.defjvp, symbolic_zeros=True)
def _values_and_gradients_jvp(solver, primals, tangents):
    dx = _tangent_of_logits(solver, tangents)
    value, gradient = values_and_gradients(solver, *primals)
    return (value, gradient), (_along(solver, value, gradient, dx), _product(solver, *primals, dx))


def _along(solver: Solver, value: jax.Array, gradient: jax.Array, dx: jax.Array) -> jax.Array:
    """<g, dx> of each sequence, or 0 where the value is infinite.

    Since `where` chooses the 0, a cotangent of inf gives a gradient of 0 in backward mode, not NaN.
    """
    frames = -3 if solver.layout == "TNC" else -2
    return jnp.where(jnp.isinf(value), 0, jnp.sum(gradient * dx, axis=(frames, -1)))


def _product(
    solver: Solver, logits: jax.Array, batch: Arrays, shared: Arrays, dx: jax.Array
) -> jax.Array:
    """H dx, in a form that JAX can transpose."""

    def solve(_: Any, v: jax.Array) -> jax.Array:
        product, = _call(Callback(solver, "product"), (logits, *batch, v), shared)
        return product

    # JAX evaluates the left-hand side of the system only to differentiate it, and its derivative raises.
    return jax.lax.custom_linear_solve(partial(_no_third_derivative, logits), dx, solve, symmetric=True)


@jax.custom_jvp
def _no_third_derivative(logits: jax.Array, v: jax.Array) -> jax.Array:
    return v + jnp.sum(logits) * 0


@_no_third_derivative.defjvp
def _no_third_derivative_jvp(primals, tangents):
    raise NotImplementedError("third derivatives are not implemented")


def _call(callback: Callback, batch: Arrays, shared: Arrays) -> Arrays:
    logits, targets = batch[:2]
    value = jax.ShapeDtypeStruct(targets.shape[:-1], logits.dtype)
    gradient = jax.ShapeDtypeStruct(logits.shape, logits.dtype)
    shapes = {"values": (value,), "gradients": (value, gradient), "product": (gradient,)}[callback.want]
    # All sequences of one call share its options. Where there are some, vmap makes its calls one by one.
    method = "sequential" if shared else "broadcast_all"
    return jax.pure_callback(callback, shapes, batch, shared, vmap_method=method)


def _tangent_of_logits(solver: Solver, tangents: Any) -> jax.Array:
    """The tangent dx of the logits; raises an error if any other argument has a tangent."""
    dx, *others = tangents
    for other in jax.tree.leaves(others, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero)):
        if not isinstance(other, SymbolicZero) and other.dtype != jax.dtypes.float0:
            raise NotImplementedError(f"{solver.name} is differentiated w.r.t. its logits alone; wrap its "
                                      "other arguments in jax.lax.stop_gradient")
    return jnp.zeros(dx.shape, dx.dtype) if isinstance(dx, SymbolicZero) else dx
