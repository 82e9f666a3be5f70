"""The objectives of `ctc.objectives` for JAX: each returns its loss (N,), and has two derivatives.

They differ from the functions of the same name in `ctc` as `ctc_loss_from_logits` differs from `ctc_loss`:
targets are padded, and a target that does not fit its frames gives "inf" (the default) or "zero". Options
that are numbers or arrays may change from one step to the next without another compilation. They are
constants: differentiating w.r.t. them is an error.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable

import jax
import numpy as np
from jax.typing import ArrayLike

from ...ctc import objectives
from ...ctc.inputs.frames import Layout
from ...ctc.inputs.options import check_choice
from .arguments import as_jax, check, check_options, is_known, reduce
from .derivatives import values
from .solvers import Objective, as_option

ONE_EACH = {"hypotheses": "K, U", "costs": "K"}
"""Options that hold one part for each sequence, and the axes of that part."""


def _for_jax(function: Callable[..., Any], *traceable: str, more: str = "") -> Callable[..., jax.Array]:
    """The JAX version of a function of `ctc.objectives`; `traceable` names its numeric options."""

    def call(
        logits: ArrayLike, targets: ArrayLike, logit_lengths: ArrayLike | None = None,
        target_lengths: ArrayLike | None = None, *, blank: int = 0, reduction: str = "none",
        infeasible: str = "inf", layout: Layout = "TNC", **options: Any,
    ) -> jax.Array:
        check_options(reduction, infeasible)
        batch = check(logits, targets, logit_lengths, target_lengths, blank, layout)
        # The function checks its options itself, in a call with an empty batch.
        function(np.zeros((1, 0, batch.logits.shape[-1])), [],
                 **{name: _known(name, value) for name, value in options.items()})
        arrays = {name: as_jax(options[name], name) for name in traceable
                  if options.get(name) is not None and not callable(options[name])}
        fixed = tuple((name, _hashable(value)) for name, value in options.items() if name not in arrays)
        each = [_check_one_each(name, array, batch.targets.shape[:-1]) for name, array in arrays.items()
                if name in ONE_EACH]
        shared = [array for name, array in arrays.items() if name not in ONE_EACH]
        solver = Objective(batch.blank, batch.layout, function, fixed, tuple(arrays))
        losses = values(solver, batch.logits, (*batch.each, *each), tuple(shared))
        return reduce(losses, batch, reduction, infeasible)

    signature = inspect.signature(function)
    parameters = [parameter.replace(default="inf") if parameter.name == "infeasible" else parameter
                  for name, parameter in signature.parameters.items()
                  if name not in ("vectors", "want_grad")]
    call.__name__ = call.__qualname__ = function.__name__
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation="jax.Array")
    call.__doc__ = (f"{inspect.cleandoc(function.__doc__ or '').splitlines()[0]}\n\n"
                    f"The JAX version of `ctc_scratch.{function.__name__}`, which documents the arguments.\n"
                    f"Returns the loss alone.\n{more}"
                    "See `ctc_scratch.bridges.jax.objectives` for what differs.")
    return call


def _known(name: str, value: Any) -> Any:
    """The value of an option in that call with an empty batch; some valid value if it is traced."""
    if name in ONE_EACH:
        return None if value is None else []
    if name == "star":  # positions are checked with the targets, in the callback
        if isinstance(value, str):
            check_choice(name, value, ("ends", "everywhere"))
        return None
    if not isinstance(value, jax.Array):
        return value
    if is_known(value):
        return as_option(name, np.asarray(value))
    return np.full(value.shape, 1 / max(value.size, 1)) if value.ndim else 0.0


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if isinstance(value, (np.ndarray, jax.Array)):
        return _hashable(np.asarray(value).tolist())
    return frozenset(value) if isinstance(value, set) else value


def _check_one_each(name: str, array: jax.Array, N: tuple[int, ...]) -> jax.Array:
    axes = ", ".join([*"N" * len(N), ONE_EACH[name]])
    if array.ndim != axes.count(",") + 1 or array.shape[:len(N)] != N:
        raise ValueError(f"{name} must have shape ({axes}){f' with N = {N[0]}' if N else ''}, "
                         f"got {array.shape}")
    return array


bayes_risk_ctc_loss = _for_jax(objectives.bayes_risk_ctc_loss, "risk", "weight")
delay_ctc_loss = _for_jax(objectives.delay_ctc_loss, "weight")
entropy_ctc_loss = _for_jax(objectives.entropy_ctc_loss, "weight")
focal_ctc_loss = _for_jax(objectives.focal_ctc_loss, "power")
min_risk_ctc_loss = _for_jax(
    objectives.min_risk_ctc_loss, "hypotheses", "costs",
    more="Hypotheses are (N, K, U), padded with negative numbers, and costs (N, K). If there are fewer\n"
         "than K, repeat one of them with its cost.\n")
prior_ctc_loss = _for_jax(objectives.prior_ctc_loss, "prior", "weight")
star_ctc_loss = _for_jax(objectives.star_ctc_loss, "star_weight")
topology_ctc_loss = _for_jax(objectives.topology_ctc_loss)
