"""The kernel to use: linear space, vectorised, and every answer comes with a proof.

**Recursion.** The extended labels are split into blanks ab[u], u = 0..U, and labels
al[u], u = 0..U-1, so that no state looks its symbol up:

    ab_t[u] = (ab[u] + al[u-1]) y_t(blank)                                  stay, step
    al_t[u] = (al[u] + ab[u] + skip[u] al[u-1]) y_t(label u)                stay, step, skip

with skip[u] = label u differs from label u-1. All terms are positive, so nothing
cancels: a frame brings a state at most four roundings, relative ones. Backward the
labels are kept times their emission, as the frame before wants them; and the gradient
of a frame is written once, when its beta is there: weight * (y - occupancy).

**Range.** States live between FLOOR and about TOP, relative to a power of two that
each sequence keeps for itself. Every fourth frame, if their sum has left the
neighbourhood of TOP, they are multiplied by another one: nothing rounds. So far
this is rescaling as everyone does it, and as everyone knows it can lose a state that
matters later. Hence

**The bracket.** At every frame, before it is used,

    forward:   a reachable state, or an emission, under its floor is *raised* to it
    backward:  the same is *dropped* to 0

so that the forward states A are upper bounds on alpha and the backward ones B lower
bounds on beta, and the likelihood Z lies between Z_up, made of A, and Z_low, made of B.
More than that: for any frame t and any set K of states

    sum_K (A B - alpha beta) = sum_K (A - alpha) B  -  sum_K alpha (beta - B)

The first term is at most sum (A - alpha) beta <= Z_up - Z: what has been raised until t
flows on through the true recursion, and later raises only add. The second is the mass
of true paths that are dropped behind t, at most Z - Z_low. So

    -(Z - Z_low)  <=  sum_K A B - sum_K alpha beta  <=  Z_up - Z

also if states are left out of the first sum whose emission at t was dropped: their paths
are part of Z - Z_low, and no other path is counted with them. Let a be this error for K
and b that for all states, Q = Z + b the sum of all A B at frame t, Q >= Z_low. With
p = sum_K alpha beta, the posterior of K is p / Z, and what we return is off by

    (p + a) / Q - p / Z  =  (a (1 - p / Z) - b p / Z) / Q

in size at most (Z_up - Z_low) / Z_low. So two numbers that are computed anyway bound
everything:

    bound = (Z_up - Z_low) / Z_low + rho

relatively for the likelihood, absolutely for every gamma and for every sum of them.
rho = (4 T + sum_t eps_t) 2^-53 is rounding, eps_t what the emissions are off by, in
units of 2^-53. For float64 logits e^(x - max) has the rounding of the difference put
back, so eps_t is about 8 and what summing C terms costs. For float32 logits emissions
are float32, and the claim is about those: each is perturbed by at most
(3 + min(C, 67) + ln C + |x - max|) 2^-24 of itself, where min(C, 67) + ln C is for their sum.

**Lanes.** Where frames, labels and classes are few, eight sequences go side by side: entry
u * 8 + j of a row is label u of lane j, and the neighbour u - 1 stands eight entries
before. So loops over all entries serve one sequence and eight. What a lane computes
does not depend on the others: windows of reachable states are closed for each by itself.

**Memory.** alpha is kept for all frames while it fits a budget, else for stretches of
about sqrt(T) frames, computed again on the way back, to the same bit.
"""

from .batch import solve_groups
from .layout import workspace_size

__all__ = ["solve_groups", "workspace_size"]
