"""The posterior over alignments as a Markov chain: gamma, xi, entropy, and derivatives of any expectation.

Alignments with probabilities proportional to e^(total score) can be drawn frame by frame. From state s at
frame t - 1, whatever came before, the next move is m with the probability

    share_t(s, m) = weight(m) y_t(s') beta_t(s') / (the sum of these products over stay, step and skip)

where s' is the state that m leads to. So one backward pass turns the lattice into a Markov chain. Everything
else follows from its transition probabilities, the shares:

    gamma_t(s') = sum over the moves into s' of xi_t(s, m)          xi_t(s, m) = gamma_{t-1}(s) share_t(s, m)
    entropy     = - sum over t, s, m of xi_t(s, m) ln share_t(s, m)

**Derivatives.** Give each class of each frame a value v_t(c), and each move a value w_t(s, m). Let V be the
sum of the values along an alignment. Then the covariance of V with "it is in state s at frame t" is

    cov_t(s) = gamma_t(s) (A_t(s) + B_t(s) - E[V])

where A_t(s) is the mean, over the ways to reach s at frame t, of the part of V up to that frame, and B_t(s)
is the mean, over the ways to finish from there, of the rest of V. Summed over the states of each class, the
covariance is the derivative of E[V] with respect to the scores, with the values held fixed. If the moves
have no values, it is also the Hessian of ln Z times v.

**Rounding.** beta is computed with the pairs m 2^e of `exact`, so no state underflows. A share is a positive
term of a sum of positive terms, so its relative error is small. A covariance, however, could lose its digits
to cancellation in sums over T frames. Two steps prevent that. Adding a constant to all v of a frame does not
change cov, so v_t is first centred: its mean under gamma is subtracted. And E[V] is computed anew at each
frame, as the mean of A + B under gamma. Both means are taken twice: where one state has a gamma of 1 - 1e-9,
the first mean has a rounding error that is not small compared with cov, and the second removes it.

**Memory.** Shares, gamma and means are kept for all frames if they fit a budget. Otherwise the frames are cut
into blocks of as many frames as fit, and beta is kept only at the last frame of each block. The shares of a
block are computed again, to the same bits, when they are needed.

The files, in the order to read them: `states` (which moves there are), `shares` (one frame backward),
`forward` (one frame forward), `memory` (the arrays), `sweep` (all frames: backward, forward, backward),
`solve` (one sequence, from the scores of all classes); then `tilt` and `derivatives`, for the derivatives of
a covariance.
"""
