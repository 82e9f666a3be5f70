"""The posterior over alignments as a Markov chain: gamma, xi, entropy, and derivatives of any expectation.

An alignment of probability proportional to e^(its total score) can be drawn frame by frame. Whatever it did
before, from state s at frame t - 1 it makes a move m with the probability

    share_t(s, m) = weight(m) y_t(s') beta_t(s') / (the sum of these products over stay, step and skip)

where s' is the state that m leads to. So one backward pass turns the lattice into a Markov chain, and all
else follows from its shares, which are plain numbers between 0 and 1:

    gamma_t(s') = sum over the moves into s' of xi_t(s, m)          xi_t(s, m) = gamma_{t-1}(s) share_t(s, m)
    entropy     = - sum over t, s, m of xi_t(s, m) ln share_t(s, m)

**Derivatives.** Give each class of each frame a value v_t(c), and each move a value w_t(s, m). V is the sum
of the values along an alignment. Then the covariance of V with "is in state s at frame t" is

    cov_t(s) = gamma_t(s) (A_t(s) + B_t(s) - E[V])

where A_t(s) is the mean of V up to frame t over the ways to s, and B_t(s) the mean of the rest of V over the
ways to finish from s. Summed over the states of each class, it is the Hessian of ln Z times v; it is also the
derivative of E[V] with respect to the scores of all frames and classes, while values are held.

**Rounding.** beta is computed with the pairs m 2^e of `exact`, so no state can get lost; a share of a sum of
positive terms then has a small relative error. A constant may be added to all v of a frame without any change
in cov. So v_t is first centred by its mean under gamma, and E[V] is found anew at each frame, as the mean of
A + B under gamma. Both means are taken twice: where one state has a gamma of 1 - 1e-9, the first mean is off by
a rounding error that is not small compared with cov, and the second removes it. Without this, sums over T
frames cancel.

**Memory.** The shares of all frames are kept while they fit a budget. Otherwise beta is kept at the last
frame of every block of about sqrt(T) frames, and the shares of a block are computed again, to the same bits.

The files, in the order to read them: `states` (which moves there are), `shares` (one frame backward),
`sweep` (all frames: backward, forward, backward), `solve` (sequences and batches).
"""
