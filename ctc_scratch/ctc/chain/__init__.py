"""The posterior over alignments as a Markov chain: gamma, xi, entropy, and derivatives of any expectation.

Alignments with probabilities proportional to e^(total score) can be drawn frame by frame. From state s at
frame t - 1, whatever came before, the next move is m with the probability

    share_t(s, m) = weight(m) y_t(s') beta_t(s') / (the sum of these products over stay, step and skip)

where s' is the state that m leads to. So one backward pass turns the lattice into a Markov chain. All else
follows from its shares, which are plain numbers between 0 and 1:

    gamma_t(s') = sum over the moves into s' of xi_t(s, m)          xi_t(s, m) = gamma_{t-1}(s) share_t(s, m)
    entropy     = - sum over t, s, m of xi_t(s, m) ln share_t(s, m)

**Derivatives.** Give each class of each frame a value v_t(c), and each move a value w_t(s, m). Let V be the
sum of the values along an alignment. Then the covariance of V with "it is in state s at frame t" is

    cov_t(s) = gamma_t(s) (A_t(s) + B_t(s) - E[V])

where A_t(s) is the mean, over the ways to reach s at frame t, of the part of V up to that frame; and B_t(s)
the mean, over the ways to finish from there, of the rest of V. Summed over the states of each class, the
covariance is the derivative of E[V] with respect to the scores, with the values held fixed. Without values of
moves, it is also the Hessian of ln Z times v.

**Rounding.** beta is computed with the pairs m 2^e of `exact`, so no state underflows. A share is a positive
term of a sum of positive terms, so its relative error is small. Adding a constant to all v of a frame does
not change cov. So v_t is first centred by its mean under gamma, and E[V] is computed at each frame, as the
mean of A + B under gamma. Both means are taken twice. Where one state has a gamma of 1 - 1e-9, the first mean
has a rounding error that is not small compared with cov, and the second removes it. Without these two steps,
sums over T frames would cancel.

**Memory.** What is known of all frames is kept while it fits a budget. Otherwise beta is kept at the last
frame of every block of as many frames as fit, and the shares of a block are computed again when they are
needed, to the same bits.

The files, in the order to read them: `states` (which moves there are), `shares` (one frame backward),
`forward` (one frame forward), `memory` (the arrays), `sweep` (all frames: backward, forward, backward),
`solve` (one sequence, from the scores of all classes).
"""
