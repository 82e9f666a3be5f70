"""Wrong twins of the LSTM with right outputs and a wrong gradient: `plain.py` with one mistake each."""

from __future__ import annotations

from itertools import permutations

from ..twin import Twin, once
from . import plain
from .twins import (
    DC,
    DC_BEFORE,
    DF,
    DH,
    DO,
    DWEIGHT_HH,
    DWEIGHT_IH,
    DX,
    DX_STEP,
    DY,
    DZ,
    RETURN,
    SLOPE,
    START_BACK,
    STATES_BACK,
    SUM,
    Variants,
)

DBIAS = "dbias_ih, dbias_hh = dz, dz"
NOT_FIRST = "if t != frames[0]:\n                    "
WHICH = ("True", '"bias" in name', '"weight" in name', 'name == "weight_hh"')
"""Conditions on the weights whose gradients are wrong: all, the biases, the matrices, weight_hh."""


def only(condition: str) -> Variants:
    """Variants in which the gradient is added only under a condition."""
    return once(SUM, *(f"if not ({which}) or {condition}:\n                        {SUM}" for which in WHICH))


def overwritten(start: str) -> Variants:
    """Variants in which the sum starts again where a condition holds."""
    return once(SUM, *(f"if {which} and {start}:\n                        grads[name][k] = 0\n"
                       f"                    {SUM}" for which in WHICH))


def divided(by: str) -> Variants:
    """Variants in which the sum over all frames is divided."""
    return once(RETURN, *(f"for name in grads:\n        if {which}:\n            grads[name] /= {by}\n"
                          f"    {RETURN}" for which in WHICH))


def lost(states: str) -> Variants:
    """Variants in which a gradient does not reach the frame before; h0 and c0 may still have theirs."""
    zeros = "; ".join(f"{state} = 0 * {state}" for state in states.split())
    return once(DX, f"{DX}\n                {zeros}", f"{DX}\n                {NOT_FIRST}{zeros}")


GRADIENT_TWINS = (
    # ---- through time
    Twin(plain, "gradient of h lost through time",
         "no gradient goes from the gates of a frame to h of the frame before",
         (*lost("dh"), ((DH, "dh_before = 0 * h"),))),
    Twin(plain, "gradient of c lost through time",
         "no gradient goes from c of a frame to c of the frame before",
         (*lost("dc"), ((DC, DC.replace("dc + dh", "dh")),))),
    Twin(plain, "backpropagation within a frame only", "no gradient goes from a frame to the one before it",
         lost("dh dc")),
    Twin(plain, "truncated backpropagation",
         "the gradient stops after a number of frames, such as 2, 4 or 10",
         once(DX,
              *(f"{DX}\n                if {position} % {most} == 0 and t != frames[0]:\n"
                "                    dh, dc = 0 * dh, 0 * dc"
                for most in (2, 3, 4, 5, 6, 7, 8, 10, 16, 20, 25, 32, 35, 50)
                for position in ("frames.index(t)", "(len(frames) - frames.index(t))")))),
    Twin(plain, "c's gradient without the forget gate",
         "dc is carried to the frame before without the factor f",
         once(DC_BEFORE, "dc_before = dc")),
    Twin(plain, "gradients leak over sequences",
         "dh and dc of a sequence start with those of another sequence",
         once(START_BACK, f"if n == N - 1:\n                {START_BACK}")),
    Twin(plain, "no gradient of initial states", "the gradient of h0, or of c0, or of both is 0",
         once(STATES_BACK, "pass", "dc0[k, n] = dc", "dh0[k, n] = dh")),
    # ---- within a frame
    Twin(plain, "gradient does not reach c", "the gradient of h goes to the output gate, but not to the cell",
         once(DC, "pass")),
    Twin(plain, "slope of tanh on the cell forgotten", "dc lacks the factor 1 - tanh² c",
         once(DC, "dc = dc + dh * o")),
    Twin(plain, "slope of tanh on the cell at tanh c", "dc has 1 - tanh²(tanh c) in place of 1 - tanh² c",
         once(DC, DC.replace("np.tanh(c_new) **", "np.tanh(np.tanh(c_new)) **"))),
    Twin(plain, "output gate's gradient without tanh", "do has the factor c, not tanh c",
         once(DO, "do = dh * c_new")),
    Twin(plain, "forget gate's gradient with the new c",
         "df has the factor c after the update, not before it",
         once(DF, "df = dc * c_new")),
    Twin(plain, "slopes forgotten",
         "the gates' gradients lack σ' = a (1 - a), and the candidate's tanh' = 1 - g²",
         (tuple((slope, "pass") for slope in SLOPE.values()),
          tuple((SLOPE[gate], "pass") for gate in "ifo"))),
    *(Twin(plain, f"slope of gate {gate} forgotten",
           f"the gradient of {gate} lacks the derivative of "
           f"{'tanh' if gate == 'g' else 'the logistic function'}",
           once(slope, "pass"))
      for gate, slope in SLOPE.items()),
    *(Twin(plain, f"wrong slope of gate {gate}", f"σ' and tanh' are exchanged for {gate}",
           once(SLOPE[gate],
                f"d{gate} = d{gate} * {f'{gate} * (1 - {gate})' if gate == 'g' else f'(1 - {gate} ** 2)'}"))
      for gate in SLOPE),
    *(Twin(plain, f"no gradient of gate {gate}", f"the gradient of {gate} is 0",
           once(slope, f"d{gate} = 0 * d{gate}"))
      for gate, slope in SLOPE.items()),
    Twin(plain, "gates of the gradient in another order",
         "the gradients of the gates are not in the order i, f, g, o",
         once(DZ,
              *(f"dz = np.concatenate([{', '.join(f'd{gate}' for gate in gates)}])"
                for gates in permutations("ifgo") if gates != tuple("ifgo")))),
    # ---- of the weights
    Twin(plain, "weight gradient of the last frame only", "the other frames of a sequence do not count",
         only("t == frames[-1]")),
    Twin(plain, "weight gradient of the first frame only", "the gradient is overwritten in each frame, so "
         "only the frame that backpropagation reaches last counts",
         (*only("t == frames[0]"), *overwritten("True"), *overwritten("t == frames[0]")[:1])),
    Twin(plain, "weight gradient of one sequence only",
         "the sequences' gradients are not added; the first or the last one remains",
         (*only("n == 0"), *only("n == N - 1"))),
    Twin(plain, "weight gradients averaged over sequences", "the sum is divided by N",
         divided("N")),
    Twin(plain, "weight gradients averaged over frames",
         "the sum is divided by T, or by the number of all frames",
         (*divided("T"), *divided("sum(lengths)"))),
    Twin(plain, "bias gradient twice", "the gradient of the bias, or of one of two, is counted twice",
         once(DBIAS, "dbias_ih, dbias_hh = 2 * dz, 2 * dz", "dbias_ih, dbias_hh = 2 * dz, dz",
              "dbias_ih, dbias_hh = dz, 2 * dz")),
    Twin(plain, "no bias gradient", "the gradient of the bias, or of one of two, is 0",
         once(DBIAS, "dbias_ih, dbias_hh = 0 * dz, 0 * dz", "dbias_ih, dbias_hh = 0 * dz, dz",
              "dbias_ih, dbias_hh = dz, 0 * dz")),
    Twin(plain, "weight_hh's gradient with the new h", "it has h after the frame, not before it",
         once(DWEIGHT_HH, "dweight_hh = np.outer(dz, o * np.tanh(c_new))")),
    Twin(plain, "weight_hh's gradient without h0", "the first frame does not count, as if h0 were 0",
         once(SUM, f'if name != "weight_hh" or t != frames[0]:\n                        {SUM}')),
    Twin(plain, "weight gradients transposed",
         "the numbers of the gradient (4H, D) are those of its transpose",
         (((DWEIGHT_IH, "dweight_ih = np.outer(x, dz).reshape(weight_ih.shape)"),
           (DWEIGHT_HH, "dweight_hh = np.outer(h, dz).reshape(weight_hh.shape)")),
          ((DWEIGHT_IH, "dweight_ih = np.outer(x, dz).reshape(weight_ih.shape)"),),
          ((DWEIGHT_HH, "dweight_hh = np.outer(h, dz).reshape(weight_hh.shape)"),))),
    Twin(plain, "sign of the gradients", "every gradient has the wrong sign",
         once(RETURN, f"for grad in (dx, dh0, dc0, *grads.values()):\n        grad *= -1\n    {RETURN}")),
    # ---- of x
    Twin(plain, "no gradient of x", "the gradient of x is 0",
         once(DX_STEP, "dx = 0 * x")),
    Twin(plain, "gradient of x from one direction only", "the gradients of the two directions are not added",
         once(DX, "dx[t, n] = dx_t", "dx[t, n] += dx_t * (k == 0)")),
    Twin(plain, "gradient of padded outputs read", "dy in padded frames enters the gradient",
         once(START_BACK, f"{START_BACK}; dh = dh + dy[lengths[n]:, n, k].sum(axis=0)")),
    Twin(plain, "dy ignored", "the gradient is that of the sum of y, as if dy were 1 everywhere",
         once(DY, "step_back(1 + dh, dc,")),
    Twin(plain, "dy of the last frame only", "only the last output of each sequence has a gradient",
         once(DY, "step_back(dy[t, n, k] * (t == frames[-1]) + dh, dc,")),
)
