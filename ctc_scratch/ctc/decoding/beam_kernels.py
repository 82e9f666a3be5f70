"""Prefix beam search, compiled: a prefix tree in one flat array, one sequence at a time, in log space.

The beam holds prefixes, each a node of the tree. A path that spells a prefix ends either
in a blank or in the prefix's last label. The two are kept apart, since only a blank
allows the last label to come again:

    blank'(p)    = [blank(p) + label(p)] y(blank)
    label'(p c)  = [label(p c) + blank(p) + (label(p) if c differs from p's last label)] y(c)

In one frame each of the B prefixes of the beam goes on as itself (it *stays*) or with one
of C - 1 labels more (it is *extended*), and the W best of these are the next beam. Three
facts spare looking at all B * C of them. An extension that is in the beam already belongs
to the stay of that prefix. Extensions of one prefix score worse with worse labels, so that
once one is too bad for a full beam, those behind it are. And a label behind the W + 1
likeliest is always too bad: a stay or an extension by one of these, each scoring better,
is left of every prefix for every place in the beam. (A language model voids the last two.)

On a tie stays come first, then extensions of better prefixes, then likelier labels, then
smaller ones.

Shapes: W the most prefixes a beam holds, C classes, K labels that are tried.

    tree          (capacity, 5)  a row a node, parents before children; node 0 is the empty prefix
    priors        (capacity,)    what the language model says of the whole prefix; 0 without one
    label_priors  (capacity, C)  what it adds for each label behind the prefix; (0, C) without one
    nodes         (W,)           the beam, best first
    logs          (W, 3)         ln of all ways that end in a blank, in the last label, in either
    counts        (3,)           nodes used, prefixes in the beam, first node of the last frame

Tuples of arrays are unpacked once a call: to take an array out of one costs a reference
count, as much as an exp.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit

# nogil: the driver runs batches on several threads. cache: compiled once a machine.
# error_model: no test for division by zero. No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# inline: what is called once a frame would count a reference to each of its arrays, once a frame.
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

# Columns of the tree: the parent (-1 at node 0), the last label (-1 at node 0), the youngest child, the
# next older child of the same parent (-1 if none), and the place in the beam (-1 if not in it).
PARENT, LABEL, CHILD, SIBLING, SLOT = 0, 1, 2, 3, 4
ENDS_IN_BLANK, ENDS_IN_LABEL, TOTAL = 0, 1, 2  # columns of logs
NODES, BEAM, FRESH = 0, 1, 2  # entries of counts


class State(NamedTuple):
    """A search between two frames."""

    tree: NDArray
    priors: NDArray
    label_priors: NDArray
    nodes: NDArray
    logs: NDArray
    counts: NDArray


class Scratch(NamedTuple):
    """What a frame needs; nothing of it lives on to the next."""

    log_probs: NDArray  # (C,)
    likely: NDArray  # (K,) the likeliest labels, and
    likely_log_probs: NDArray  # their log-probabilities
    owner: NDArray  # (C,) -1, but for labels that lead from prefix i to another one of the beam: i
    links: NDArray  # (W, 2) first child that is in the beam too, next such child of the parent; -1 if none
    stayed: NDArray  # (W, 3) the logs of each prefix that stays
    scores: NDArray  # (W,) of the next beam, and
    moves: NDArray  # how it comes about: packed(i, c) is prefix i extended by c, or staying if c is -1
    next_nodes: NDArray  # (W,)
    next_logs: NDArray  # (W, 3)


def _softplus(width, limit, degree):
    """ln(1 + e^-x) for 0 <= x < limit: a row of coefficients for each interval of that width.

    Each is the polynomial in x - middle that is right at the Chebyshev nodes of its interval.
    """
    powers, middles = np.arange(degree + 1), (np.arange(round(limit / width)) + 0.5) * width
    nodes = np.cos((powers + 0.5) * np.pi / (degree + 1))
    values = np.log1p(np.exp(-(middles[:, None] + 0.5 * width * nodes)))
    return np.linalg.solve(np.vander(nodes, increasing=True), values.T).T / (0.5 * width) ** powers


LIMIT = 37.0  # e^-37 does not change 1
SOFTPLUS = _softplus(0.5, LIMIT, 10)


@kernel
def log_add(a, b):
    """ln(e^a + e^b), -inf if both are; within 2^-51 and the rounding of the result."""
    if a < b:
        a, b = b, a
    if b < a - LIMIT or b == -np.inf:
        return a
    # What a beam spends most of its time on: exp and log take half as long again.
    x = a - b
    interval = min(int(2.0 * x), len(SOFTPLUS) - 1)
    x -= 0.5 * interval + 0.25
    k, x2 = np.uintp(interval), x * x
    x4 = x2 * x2
    low = (SOFTPLUS[k, 0] + SOFTPLUS[k, 1] * x) + x2 * (SOFTPLUS[k, 2] + SOFTPLUS[k, 3] * x)
    high = (SOFTPLUS[k, 4] + SOFTPLUS[k, 5] * x) + x2 * (SOFTPLUS[k, 6] + SOFTPLUS[k, 7] * x)
    highest = (SOFTPLUS[k, 8] + SOFTPLUS[k, 9] * x) + x2 * SOFTPLUS[k, 10]
    return a + (low + x4 * (high + x4 * highest))


@inlined
def log_softmax(rows, r, log_probs, norm):
    """log_probs = rows[r] - ln sum exp of it; norm: the largest, and ln sum exp of what it lacks."""
    C = len(log_probs)
    top = rows[r, 0]
    for c in range(1, C):
        top = max(top, rows[r, c])
    total = 0.0
    for c in range(C):
        log_probs[c] = np.float64(rows[r, c]) - np.float64(top)
        total += math.exp(log_probs[c])
    log_total = math.log(total)
    for c in range(C):
        log_probs[c] -= log_total
    norm[0], norm[1] = top, log_total


@kernel
def offer(keys, ids, size, key, id):
    """Put (key, id) into its place, best first, unless it is -inf or behind a full list; returns the size."""
    k = size
    if k == len(keys):
        k -= 1
        if key <= keys[k]:
            return size
    elif key == -np.inf:
        return size
    while k > 0 and keys[k - 1] < key:
        keys[k], ids[k] = keys[k - 1], ids[k - 1]
        k -= 1
    keys[k], ids[k] = key, id
    return min(size + 1, len(keys))


@kernel
def packed(i, c):
    """Two small numbers, i >= 0 and c >= -1, in one."""
    return (i << 32) + c + 1


@kernel
def unpacked(move):
    return move >> 32, (move & 0xFFFFFFFF) - 1


# ---- the tree -------------------------------------------------------------------------------------


@inlined
def extended(tree, counts, node, c):
    """The node that c leads to from this one; a new one if there was none."""
    found = tree[node, CHILD]
    while found >= 0 and tree[found, LABEL] != c:
        found = tree[found, SIBLING]
    if found < 0:
        found = counts[NODES]
        counts[NODES] += 1
        tree[found, PARENT], tree[found, LABEL], tree[found, CHILD] = node, c, -1
        tree[found, SIBLING], tree[found, SLOT] = tree[node, CHILD], -1
        tree[node, CHILD] = found
    return found


@kernel
def forget(tree, priors, label_priors, nodes, counts):
    """Drop the nodes that no prefix of the beam passes through; the others keep their order."""
    used = counts[NODES]
    for k in range(used):
        tree[k, CHILD] = -1
    for j in range(counts[BEAM]):
        k = nodes[j]
        while k >= 0 and tree[k, CHILD] < 0:
            tree[k, CHILD] = 0  # a mark: keep it
            k = tree[k, PARENT]
    kept = 0
    for k in range(used):
        if tree[k, CHILD] == 0:
            parent = tree[k, PARENT]
            tree[k, SIBLING] = kept  # where node k is now, for its children
            if tree[k, SLOT] >= 0:
                nodes[tree[k, SLOT]] = kept
            tree[kept, PARENT] = tree[parent, SIBLING] if parent >= 0 else -1
            tree[kept, LABEL], tree[kept, SLOT] = tree[k, LABEL], tree[k, SLOT]
            priors[kept] = priors[k]
            if len(label_priors) > 0:
                label_priors[kept] = label_priors[k]
            kept += 1
    for k in range(kept):
        tree[k, CHILD] = tree[k, SIBLING] = -1
    for k in range(1, kept):
        tree[k, SIBLING] = tree[tree[k, PARENT], CHILD]
        tree[tree[k, PARENT], CHILD] = k
    counts[NODES] = kept


# ---- one frame ------------------------------------------------------------------------------------


@inlined
def stay(tree, priors, nodes, logs, B, blank, log_probs, links, stayed, scores, moves):
    """Offer every prefix of the beam as it stands after this frame; returns how many there are now."""
    size = 0
    for j in range(B):
        links[j, 0] = -1
    for j in range(B):
        node = nodes[j]
        in_blank, in_label = logs[j, TOTAL] + log_probs[blank], -np.inf
        if node > 0:
            label, parent = tree[node, LABEL], tree[node, PARENT]
            in_label, i = logs[j, ENDS_IN_LABEL], tree[parent, SLOT]
            if i >= 0:
                arrives = logs[i, ENDS_IN_BLANK] if tree[parent, LABEL] == label else logs[i, TOTAL]
                in_label = log_add(in_label, arrives)
                links[j, 1], links[i, 0] = links[i, 0], j
            in_label += log_probs[label]
        total = log_add(in_blank, in_label)
        stayed[j, ENDS_IN_BLANK], stayed[j, ENDS_IN_LABEL], stayed[j, TOTAL] = in_blank, in_label, total
        size = offer(scores, moves, size, total + priors[node], packed(j, -1))
    return size


@inlined
def extend(
    tree, priors, label_priors, nodes, logs, B, likely, likely_log_probs, K, owner, links, scores, moves, size
):
    """Offer every prefix of the beam with one label more, unless that is in the beam itself."""
    W = len(scores)
    for i in range(B):
        node = nodes[i]
        last, score = tree[node, LABEL], priors[node]
        j = links[i, 0]
        while j >= 0:
            owner[tree[nodes[j], LABEL]] = i
            j = links[j, 1]
        for k in range(K):
            c, log_prob = likely[k], likely_log_probs[k]
            if len(label_priors) > 0:
                score = priors[node] + label_priors[node, c]
            elif size == W and logs[i, TOTAL] + log_prob <= scores[W - 1]:
                break
            if owner[c] != i:
                leaves = logs[i, ENDS_IN_BLANK] if c == last else logs[i, TOTAL]
                size = offer(scores, moves, size, leaves + log_prob + score, packed(i, c))
        j = links[i, 0]
        while j >= 0:
            owner[tree[nodes[j], LABEL]] = -1
            j = links[j, 1]
    return size


@inlined
def renew(
    tree, priors, label_priors, nodes, logs, counts, log_probs, stayed, moves, size, next_nodes, next_logs
):
    """Make the `size` best moves the beam."""
    counts[FRESH] = counts[NODES]
    for k in range(size):
        i, c = unpacked(moves[k])
        if c < 0:
            next_nodes[k] = nodes[i]
            for ending in range(3):
                next_logs[k, ending] = stayed[i, ending]
        else:
            node = next_nodes[k] = extended(tree, counts, nodes[i], c)
            priors[node] = priors[nodes[i]] + (label_priors[nodes[i], c] if len(label_priors) > 0 else 0.0)
            leaves = logs[i, ENDS_IN_BLANK] if c == tree[nodes[i], LABEL] else logs[i, TOTAL]
            next_logs[k, ENDS_IN_BLANK] = -np.inf
            next_logs[k, ENDS_IN_LABEL] = next_logs[k, TOTAL] = leaves + log_probs[c]
    for j in range(counts[BEAM]):
        tree[nodes[j], SLOT] = -1
    for k in range(size):
        nodes[k] = next_nodes[k]
        tree[nodes[k], SLOT] = k
        for ending in range(3):
            logs[k, ending] = next_logs[k, ending]
    counts[BEAM] = size


@kernel
def advance(rows, first, stride, T, blank, prune, state, scratch, norms):
    """Take T frames; frame t is rows[first + t * stride]. Fills norms (T, 2), see `log_softmax`.

    Returns how many were taken: fewer if the tree is more than half full of prefixes that are
    still needed, so that it ought to grow.
    """
    tree, priors, label_priors, nodes, logs, counts = state
    (log_probs, likely, likely_log_probs, owner, links, stayed, scores, moves, next_nodes,
     next_logs) = scratch
    W, C, capacity = len(nodes), len(log_probs), len(tree)
    for t in range(T):
        if counts[NODES] + W > capacity:
            forget(tree, priors, label_priors, nodes, counts)
            if 2 * (counts[NODES] + W) > capacity:
                return t
        B, K = counts[BEAM], 0
        log_softmax(rows, first + t * stride, log_probs, norms[t])
        for c in range(C):
            if c != blank:
                K = offer(likely_log_probs, likely, K, log_probs[c], c)
        size = stay(tree, priors, nodes, logs, B, blank, log_probs, links, stayed, scores, moves)
        size = extend(
            tree, priors, label_priors, nodes, logs, B, likely, likely_log_probs, K, owner, links, scores,
            moves, size,
        )
        while size > 1 and scores[size - 1] < scores[0] - prune:
            size -= 1
        renew(
            tree, priors, label_priors, nodes, logs, counts, log_probs, stayed, moves, size, next_nodes,
            next_logs,
        )
    return T


@kernel
def spell(tree, node, labels):
    """Write the labels of a node's prefix to the end of `labels` (capacity,); returns how many they are."""
    U = 0
    while node > 0:
        U += 1
        labels[len(labels) - U] = tree[node, LABEL]
        node = tree[node, PARENT]
    return U
