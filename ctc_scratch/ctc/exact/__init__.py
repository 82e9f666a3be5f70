"""The kernel that is always right: linear space, every state with an exponent of its own.

A long product of probabilities leaves the range of a float64; that is all that is
wrong with computing CTC as the papers write it. Log space cures it with three `exp`
and a `log` a cell, and with an error that grows with the loss. One scale factor a
frame cures it for states about as likely as the likeliest, and loses the others
without a word. Here nothing can get lost: a state is a pair

    alpha_t(s) = m 2^e          m a float64 in [1, 2), or 0;  e a whole number

and so is an emission. Products multiply the m and add the e. A sum lifts its terms to
the largest e of them, adds, and reads the new exponent off the bits. A 0 carries the
exponent EMPTY, which no sum ever chooses. e is kept in a float64 as well, where whole
numbers are exact up to 2^53 and nothing overflows behind that.

**Recursion.** The one of `reference`, without logarithms (stay, step, skip):

    alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + skips(s) alpha_{t-1}(s-2)] y_t(s)

from all mass in the first blank before the first frame. The backward pass mirrors it,
from the last blank behind the last frame; beta_t(s) leaves out the emission of frame t.
Work is done only on states that are reachable and can still finish (`reach`).

**Error.** All terms are positive, so nothing cancels. A frame brings a state two
additions, one product and the emission's own error, powers of two being exact: the
*relative* error of a state, and of the likelihood, is at most about 4 T 2^-53 plus
what the emissions bring. An emission is e^(x - top) / total. The difference x - top is
kept as the exact sum of two floats and its multiple of ln 2 is taken out exactly; so
e^(x - top) is right within 2^-52 for |x - top| up to 2^40. Beyond, it is that of a
difference perturbed by a few 2^-53 of itself: the loss is right to relative rounding
(logits saturate at 2^1000), but gamma need not be. The total is summed by halves, in
log2(C) roundings at most; it enters all states of a frame alike and so cancels in
gamma, which is divided by the same frame's own sum.

**The loss** is -(ln m + e ln 2), with every digit where the likelihood is small. Near
1 that would forget what p lacks. So where p >= 1/2 the lack itself is summed: 1 - p
is the probability of all paths that stop being the beginning of an alignment, each
counted at the frame where it does,

    1 - p = sum over t, s of alpha_{t-1}(s) (what frame t gives to classes that are no move from s)

a sum of positive terms once more. loss = -log1p(-(1 - p)) then has a relative error
like all the rest, be it 1e-3 or 1e-300, and is never negative.

**Memory.** Forward states are kept for all frames while they fit a budget, else only
before every ~sqrt(T)-th; the backward pass computes those between again, to the same
bit.

The files, in the order to read them: `layout` (the arrays and their shapes), `pairs` (m 2^e, and sums),
`emissions`, `recursion` (stay, step, skip), `posterior` (gamma), `batch` (a sequence, a batch).
"""

from .batch import solve_samples

__all__ = ["solve_samples"]
