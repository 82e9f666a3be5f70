"""What follows from alpha and beta at one frame: gamma, the occupancy of each class, and the lost mass."""

from ...compiled.bits import EMPTY
from .flags import part
from .pairs import copy, fold, plain


@part
def joint(alpha, alpha_exp, beta, beta_exp, top, out):
    """out[s] = alpha(s) beta(s) 2^-top."""
    for s in range(out.shape[0]):
        out[s] = plain(alpha[s] * beta[s], (alpha_exp[s] + beta_exp[s]) - top)


@part
def posterior(alpha, beta, target, t, top, memory, gamma):
    """Fill memory.occupancy (K,), which then sums to 1, and gamma (S,) unless it is empty."""
    joints, sums, occupancy, slots = memory.joints, memory.sums, memory.occupancy, target.slots
    lo, hi = target.windows[t + 1, 0], target.windows[t + 1, 1]
    n = max(hi - lo, 2)
    sums[n - 2:n] = 0.0
    # The joints of every frame add up to the likelihood, so its exponent `top` is their scale. A second turn,
    # with the largest exponent of this frame, is needed only where exponents are too large to be exact.
    for turn in range(2):
        joint(alpha[0, lo + 2:hi + 2], alpha[1, lo + 2:hi + 2],
              beta[0, lo + 2:hi + 2], beta[1, lo + 2:hi + 2], top, joints[lo:hi])
        copy(joints[lo:hi], sums)
        fold(sums[:n], 2)
        if 0.5 < sums[0] + sums[1] < 4.0:
            break
        top = EMPTY
        for s in range(lo + 2, hi + 2):
            top = max(top, alpha[1, s] + beta[1, s])
    total = sums[0] + sums[1]
    occupancy[:] = 0.0
    for s in range(lo + 1 - lo % 2, hi, 2):
        occupancy[slots[s]] += joints[s]
    occupancy[0] = sums[lo % 2]  # the blanks: even states
    for k in range(occupancy.shape[0]):
        occupancy[k] /= total
    if gamma.shape[0] > 0:
        gamma[:] = 0.0
        for s in range(lo, hi):
            gamma[s] = joints[s] / total


@part
def lost(alpha, target, t, probs, x):
    """The probability of all paths that cease at frame t to be the beginning of an alignment.

    That is the sum over s of alpha_{t-1}(s) times the probability of the classes to which s has no move.
    `alpha` is that of frame t - 1, `probs` are the probabilities of frame t, and x (C,) is scratch.
    """
    # Nothing is subtracted from 1, which would lose digits. The three most probable classes are added where
    # they are no move. The others are summed once for all states; from this sum a state subtracts the classes
    # of its own moves, each of which is part of the sum and no larger than any of the three.
    classes, slots, skips = target.classes, target.slots, target.skips
    first = second = third = -1
    for c in range(probs.shape[0]):
        if first < 0 or probs[c] > probs[first]:
            first, second, third = c, first, second
        elif second < 0 or probs[c] > probs[second]:
            second, third = c, second
        elif third < 0 or probs[c] > probs[third]:
            third = c
    copy(probs, x)
    for c in (first, second, third):
        if c >= 0:
            x[c] = 0.0
    fold(x, 1)
    mass, next_lo, next_hi = 0.0, target.windows[t + 1, 0], target.windows[t + 1, 1]
    for s in range(target.windows[t, 0], target.windows[t, 1]):
        stay = classes[slots[s]] if next_lo <= s < next_hi else -1
        step = classes[slots[s + 1]] if next_lo <= s + 1 < next_hi else -1
        skip = classes[slots[s + 2]] if next_lo <= s + 2 < next_hi and skips[s + 2] > 0.0 else -1
        others = x[0]
        for c in (first, second, third):
            if c >= 0 and c != stay and c != step and c != skip:
                others += probs[c]
        for c in (stay, step, skip):
            if c >= 0 and c != first and c != second and c != third:
                others -= probs[c]
        mass += plain(alpha[0, s + 2], alpha[1, s + 2]) * others
    return mass
