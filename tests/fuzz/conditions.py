"""Conditions of a call that users cannot ask for, and that must not change its answer."""

from __future__ import annotations

import numpy as np

from ctc_scratch.ctc import Workspace, exact
from ctc_scratch.ctc.running import plan, solver, threads


def draw_conditions(draw):
    """Conditions that no answer may depend on, for about one call in four.

    budget : so little memory that the exact kernel needs checkpoints
    threads : several threads, however short the work
    alone : short sequences are solved one by one, not side by side
    garbage : what the workspace holds before the call
    """
    conditions = {}
    if draw.chance(0.06):
        conditions["budget"] = draw.choice([1, 300])
    if draw.chance(0.02):
        conditions["threads"] = True
    if draw.chance(0.15):
        conditions["alone"] = True
    if draw.chance(0.03):
        conditions["garbage"] = draw.choice([np.nan, np.inf, -1e300])
    return conditions


def under(conditions, function, arguments):
    """function(**arguments) under these conditions, which end with the call."""
    costs = threads.SERIAL_COST, threads.TOGETHER_COST
    kept = solver.BUDGET, plan.SHORT, exact.solve_samples, Workspace._take

    def filled(workspace, size):
        numbers = kept[-1](workspace, size)
        numbers[:] = conditions["garbage"]
        return numbers

    try:
        if "budget" in conditions:
            solver.BUDGET = conditions["budget"]
            exact.solve_samples = lambda *rest: kept[2](*rest, budget=conditions["budget"])
        if "alone" in conditions:
            plan.SHORT = 0
        if "threads" in conditions:
            threads.SERIAL_COST = threads.TOGETHER_COST = 0
        if "garbage" in conditions:
            Workspace._take = filled
        return function(**arguments)
    finally:
        solver.BUDGET, plan.SHORT, exact.solve_samples, Workspace._take = kept
        threads.SERIAL_COST, threads.TOGETHER_COST = costs
