"""The exact kernel: linear space, with an exponent for every state, so that nothing underflows.

A long product of probabilities underflows the range of a float64; apart from that, CTC
could be computed as the papers write it. Log space avoids the underflow, but takes three
`exp` and a `log` per state and frame, and its error grows with the loss. One scale factor
per frame avoids it for states about as probable as the most probable one, and loses all
others without a warning. Here no state can get lost, because each is a pair

    alpha_t(s) = m 2^e          m a float64 in [1, 2), or 0;  e a whole number

and so is each emission. A product multiplies the mantissas m and adds the exponents e. A
sum scales its terms to the largest of their exponents, adds them, and reads the new
exponent from the bits. A 0 has the exponent EMPTY, which is below every other. e is kept
in a float64, too, which holds whole numbers exactly up to 2^53 and does not overflow
above.

**Recursion.** That of `reference`, without logarithms (stay, step, skip):

    alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + skips(s) alpha_{t-1}(s-2)] y_t(s)

starting from all mass in the first blank before the first frame. The backward pass
mirrors it, starting from the last blank after the last frame; beta_t(s) leaves out the
emission of frame t. Only states that can be reached and can still finish are computed
(`find_windows` in `compiled/targets.py`).

**Error.** All terms are positive, so nothing cancels. Each frame adds the errors of two
additions, one product and one emission to that of a state; powers of two are exact. So
the *relative* error of a state, and of the likelihood, is at most about 4 T 2^-53, plus
the errors of the emissions. An emission is e^(x - top) / total. The difference x - top
is kept as the exact sum of two floats, and its multiple of ln 2 is subtracted exactly;
so e^(x - top) is right within 2^-52 for |x - top| up to 2^40. For larger |x - top| it
belongs to a difference that is off by a few 2^-53 of itself: the loss is right up to
relative rounding (logits saturate at 2^1000), but gamma need not be. The total is
summed by halves, with at most log2(C) roundings; it is the same factor for all states
of a frame, so it cancels in gamma, which is divided by its sum over the frame.

**The loss** is -(ln m + e ln 2), which has all its digits where the likelihood p is
small. Near p = 1 it would lose the digits of 1 - p. So where p >= 1/2, 1 - p is summed
instead: it is the probability of all paths that are no alignment, each counted at the
first frame where it is no longer the beginning of one,

    1 - p = sum over t, s of alpha_{t-1}(s) (probability at frame t of classes to which s has no move)

which is a sum of positive terms again. loss = -log1p(-(1 - p)) then has a small
relative error even if it is 1e-300, and it is never negative.

**Memory.** Forward states are kept for all frames while they fit a budget. Otherwise
they are kept before every block of about sqrt(T) frames, and the backward pass computes
each block again, to the same bits.

The files, in the order to read them: `layout` (the arrays and their shapes), `pairs` (m 2^e, and sums),
`emissions`, `recursion` (stay, step, skip), `posterior` (gamma), `batch` (a sequence, a batch).
"""

from .batch import solve_samples

__all__ = ["solve_samples"]
