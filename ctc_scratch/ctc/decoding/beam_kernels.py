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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.log_space import log_add_by_table, log_softmax
from .prefix_tree import BEAM, FRESH, LABEL, NODES, PARENT, SLOT, extended, forget

# nogil: the driver runs batches on several threads. cache: compiled once a machine.
# error_model: no test for division by zero. No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# inline: what is called once a frame would count a reference to each of its arrays, once a frame.
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

ENDS_IN_BLANK, ENDS_IN_LABEL, TOTAL = 0, 1, 2  # columns of logs


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
                in_label = log_add_by_table(in_label, arrives)
                links[j, 1], links[i, 0] = links[i, 0], j
            in_label += log_probs[label]
        total = log_add_by_table(in_blank, in_label)
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
