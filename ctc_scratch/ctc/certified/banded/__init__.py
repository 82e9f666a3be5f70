"""Solve one long sequence in three passes, with an exponent per label, in a band of the paths that matter.

**Exponents.** After a thousand frames the states of one frame differ by more than a float64 can span, so
no common power of two fits them. But the states of one label change little in a few frames. Blank u and
label u are therefore kept as numbers times 2^e[u], a power of two of their own. A move from label u - 1
into label u multiplies by 2^(e[u-1] - e[u]). This factor stays the same for the eight frames of a
*period*; then the exponents are renewed (`exponents`).

**Three passes.** *Raised* means that a number too small to keep is replaced by a larger one, *dropped* that
it becomes 0.

1. `bound`: forward over all states (or fewer, see below), *raised*. It returns Z_up. Of alpha it keeps only
   the exponents at the beginning of each period.
2. `backward`: backward in a band, *dropped*. A block of eight labels at the edge of the band is left out if
   the exponents say that alpha beta is less than 2^-90 Z for all its labels. beta is kept for all frames.
3. `posterior`: forward again in the band, *dropped*, together with the gradient.

With the outputs of a trained network the band is about 20 labels wide, however long the target is. After
the first pass the work is then proportional to T and does not depend on U.

**Proof.** In the first pass every state, every emission below its floor, and every factor 2^n that is too
small for a float64 is replaced by something that is not smaller. So the pass returns Z_up >= Z. In the
other two passes whatever is replaced is replaced by something that is not larger: a state below its floor,
an emission below its floor and a label outside the band by 0, and a factor 2^n that is out of range by a
smaller one. As all terms are positive, what these passes have for alpha and beta lies between 0 and the
true values. At every frame, Z is the sum of alpha_t(s) beta_t(s) over all states. Let

    q_t(s)  be the product of what we have for the two,     0 <= q_t(s) <= alpha_t(s) beta_t(s),
    Q_t     the sum of q_t(s) over all states,              0 <= Q_t <= Z <= Z_up.

We return q_t(s) / Q_t for the posterior gamma_t(s) = alpha_t(s) beta_t(s) / Z. If a Q_t is 0, there is no
answer; let all be positive. For any set K of states at frame t, let q be the sum of q_t(s) over K, p that
of alpha_t(s) beta_t(s), and d = p - q >= 0 what is missing. The whole frame lacks Z - Q_t, of which d is a
part, so d <= Z - Q_t. With p = q + d,

    q / Q_t  -  p / Z  =  (q (Z - Q_t)  -  d Q_t) / (Q_t Z).

Both terms of the numerator are at least 0 and at most Q_t (Z - Q_t): the first because q <= Q_t, the
second because d <= Z - Q_t. So the difference is at most (Z - Q_t) / Z = 1 - Q_t / Z in size, which is
at most 1 - Q_t / Z_up. With the least Q_t of all frames,

    gap = (Z_up - min Q_t) / min Q_t

is not less than that. So it bounds the error of every gamma and of every sum of gammas, apart from
rounding. It also bounds the relative error of Z_up as the likelihood, since Z lies between min Q_t and
Z_up. Nothing in this depends on how the band and the exponents are chosen: a bad choice makes the gap wide,
but never the answer wrong. If a Q_t were larger than Z_up by more than rounding, the program would be at
fault; the gap is then negative, and the answer is not used.

*Why are emissions not raised in the second and the third pass,* as they are in the first one, and in the
forward pass of `lanes`? A raised emission lets q_t(s) exceed alpha_t(s) beta_t(s), and Q_t <= Z no longer
holds. Q_t could then be close to Z_up although its parts are wrong.

**A narrow first pass.** If the network is sure of its output, the first pass need not visit all labels
either. The moves out of a state lead to different classes, so different continuations of a path emit
different sequences of classes, and the probabilities of all such sequences sum to 1. So beta is at most 1,
and leaving out a state at frame t lowers Z by at most alpha_t(s). A block of labels at the edge is left out
once its states are less than some 2^n. What is left out altogether is then less than 2^n times the number of
such states. If that is not below 2^-60 of Z_up, the pass is repeated with a smaller n, and in the end with
all states. If it is 2^r of Z_up, then Z is at most Z_up (1 + 2^r), and 2^r is added to the gap.

Nothing is left out without a softmax, as beta can then be larger than 1, and nothing where there is no guess
of Z: for fewer than 32 labels, for very many classes, and where the most probable classes do not look like a
target of U labels (`emissions`).

**Memory.** beta is kept for the frames of a *segment*, which is the whole sequence if that fits a budget.
Otherwise there are several segments, the states that each begins with are kept, and its beta is computed
again, to the same bits, when the third pass comes to it. The exponents of all periods take at most
(U + 24) (T / 8 + 2) int32 numbers: 20 MB at T = 20 000, U = 2000.

The files, in the order to read them: `frame` (stay, step, skip), `bound`, `backward`, `posterior` (the
passes), `exponents`, `tiles` (how emissions get to the labels), `layout` (a sequence and its
workspace), `emissions`, `batch`.
"""

from .batch import solve_sequences
from .layout import workspace_size

__all__ = ["solve_sequences", "workspace_size"]
