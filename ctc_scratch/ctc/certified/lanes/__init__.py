"""Eight short sequences side by side, each with one power of two for all its states.

**Lanes.** Entry u * 8 + j of a row is label u of lane j, and its neighbour u - 1 stands eight entries
before it. So one vector holds the same label of eight sequences, and no sum runs across a vector. A
lane does not depend on the others: each has a window of its own states that can be reached. The
gradient of a frame, weight * (y - occupancy), is written once, when its beta is known.

**Range.** States lie between FLOOR and about TOP, relative to a power of two of their sequence. At
every fourth frame, if the sum of its states has moved away from TOP, they are multiplied by another
power of two, which rounds nothing. So far this is ordinary rescaling, which is known to lose states
that matter later. Therefore:

**The bracket.** At every frame, before they are used,

    forward:   a reachable state, or an emission, below its floor is *raised* to it
    backward:  a state, or an emission, below its floor is *dropped* to 0

so that the forward states A are upper bounds on alpha and the backward states B lower bounds on beta.
The likelihood Z then lies between Z_up, made of A, and Z_low, made of B. More than that: for any frame
t and any set K of states

    sum_K (A B - alpha beta) = sum_K (A - alpha) B  -  sum_K alpha (beta - B)

The first term is at most sum (A - alpha) beta <= Z_up - Z: what has been raised up to t goes on through
the true recursion, and later raises only add to it. The second term is the mass of true paths that are
dropped after t, which is at most Z - Z_low. So

    -(Z - Z_low)  <=  sum_K A B - sum_K alpha beta  <=  Z_up - Z

This holds also if the first sum leaves out states whose emission at t was dropped: their paths are part
of Z - Z_low, and no other path is counted with them. Let a be this error for K, and b that for all
states; Q = Z + b is the sum of all A B at frame t, and Q >= Z_low. With p = sum_K alpha beta, the
posterior of K is p / Z, and the error of what we return is

    (p + a) / Q - p / Z  =  (a (1 - p / Z) - b p / Z) / Q

which is at most (Z_up - Z_low) / Z_low in size. So two numbers that are computed anyway bound
everything:

    gap = (Z_up - Z_low) / Z_low

It is relative for the likelihood, and absolute for every gamma and every sum of gammas.

**Memory.** alpha is kept for all frames while it fits a budget. Otherwise it is kept for a segment of
about sqrt(T) frames at a time, and computed again on the way back, to the same bits.

The files, in the order to read them: `frame` (stay, step, skip), `passes` (over the frames), `layout`
(a group of sequences and its workspace), `emissions`, `batch`.
"""

from .batch import solve_groups
from .layout import workspace_size

__all__ = ["solve_groups", "workspace_size"]
