"""Prefix beam search, compiled: advance the beam of one sequence by a frame, in log space.

The beam holds the best prefixes so far. A path that spells a prefix p ends either in a blank or in the last
label of p. The probabilities of these two kinds of path are summed separately, as blank(p) and label(p),
because a label may come again only after a blank. With y the probabilities of the next frame, the sums become

    blank'(p)    = [blank(p) + label(p)] y(blank)
    label'(p c)  = [label(p c) + blank(p) + (label(p) if c differs from p's last label)] y(c)

In each frame, each of the B prefixes in the beam *stays* as it is or is *extended* by one of C - 1 labels.
The W best results are the next beam. Three facts make it unnecessary to look at all B * C of them:

1. If an extension is in the beam itself, its paths belong to the stay of that prefix.
2. The less likely a label is, the worse is the extension of a prefix by it. Once one extension is too bad
   for a full beam, so are those by all less likely labels.
3. Only the W + 1 likeliest labels need to be tried. At least W of them differ from the prefix's last label.
   An extension by any other label scores no better than the extensions by these W. (If one of them is in
   the beam itself, the stay of that prefix takes its place.)

With a language model, the first fact holds unchanged, the second with a bound in place of the scores, and
the third does not apply. Every candidate has the score (leaves + log_prob) + (prior + label_prior). No
label_prior of a prefix exceeds the bound in its row, `leaves` is at most the total of the prefix, and
rounding never reverses the order of two sums. So no candidate scores more than (total + log_prob) + (prior +
bound), which falls from one label to the next. Once that is no better than the last of a full beam, neither
this label nor a less likely one can enter: while candidates are offered, the last of the beam only improves,
and `offer` refuses a candidate that merely equals it.

A label_prior is NaN until the model has given it. If the bound would let a label enter but its label_prior is
NaN, `extend` lists it as wanted. `advance` then returns before it has changed the state, the caller gets the
score from the model, and the frame is tried again. When nothing is wanted any more, every label that was
skipped was ruled out by the bound, so the beam is the one that all C - 1 scores would give. At most
`most_wanted` scores are listed at a time, those of better prefixes and likelier labels first, because they
raise the score of the last in the beam and so make others unnecessary.

Ties are broken in this order: stays first, then extensions of better prefixes, then likelier labels, then
smaller labels.

Shapes
------
W is the width of the beam, B the number of prefixes in it, C that of classes, K that of labels to try.

tree, priors, label_priors, nodes, counts : see `prefix_tree`
logs : (W, 3), ln of the sum of all paths that end in a blank, in the last label, in either

`advance` unpacks its tuples of arrays once per call, because taking an array out of a tuple counts a
reference to it, which takes as long as an exp.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.log_space import log_add_by_table, log_softmax
from .prefix_tree import BEAM, FRESH, LABEL, NODES, PARENT, SLOT, WANTED, extended, forget

# nogil: the driver runs batches on several threads. error_model: no test for division by zero.
# No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# inline: called once per frame, and an ordinary call would count a reference to each of its arrays.
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

ENDS_IN_BLANK, ENDS_IN_LABEL, TOTAL = 0, 1, 2  # columns of logs


class State(NamedTuple):
    """What a search keeps from one frame to the next."""

    tree: NDArray
    priors: NDArray
    label_priors: NDArray
    nodes: NDArray
    logs: NDArray
    counts: NDArray


class Scratch(NamedTuple):
    """Memory that a frame needs; its contents do not matter to the next frame."""

    log_probs: NDArray  # (C,)
    order: NDArray  # (C,) the classes; with a language model likeliest first, so that `offer` only appends
    likely: NDArray  # (K,) the likeliest labels, likeliest first
    likely_log_probs: NDArray  # (K,) their log-probabilities
    wanted: NDArray  # (W * C,) packed(i, c) if the score of label c after prefix i is needed; (0,) if never
    owner: NDArray  # (C,) i if label c leads from prefix i to another prefix of the beam, else -1
    links: NDArray  # (W, 2) first child that is in the beam, next such child of the same parent; -1 if none
    stayed: NDArray  # (W, 3) the new logs of each prefix that stays
    scores: NDArray  # (W,) of the next beam, best first
    moves: NDArray  # (W,) how each comes about: packed(i, c), prefix i extended by c; it stays if c is -1
    next_nodes: NDArray  # (W,) nodes of the next beam
    next_logs: NDArray  # (W, 3) logs of the next beam


@kernel
def offer(keys, ids, size, key, id):
    """Insert (key, id) into a list sorted by falling key, unless the key is -inf or too low for a full list.

    Returns how many entries the list has now. Of equal keys the earlier one stays first.
    """
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
    """The numbers i >= 0 and c >= -1 in one integer."""
    return (i << 32) + c + 1


@kernel
def unpacked(move):
    """The numbers i and c that `packed` put into one."""
    return move >> 32, (move & 0xFFFFFFFF) - 1


# ---- one frame ------------------------------------------------------------------------------------


@inlined
def stay(tree, priors, nodes, logs, B, blank, log_probs, links, stayed, scores, moves):
    """Offer each prefix of the beam, unchanged, to the next beam; returns how many entries that has now."""
    size = 0
    for j in range(B):
        links[j, 0] = -1
    for j in range(B):
        node = nodes[j]
        in_blank, in_label = logs[j, TOTAL] + log_probs[blank], -np.inf
        if node > 0:
            # The last label goes on, or it has just come: from the parent, if that is in the beam.
            label, parent = tree[node, LABEL], tree[node, PARENT]
            in_label, i = logs[j, ENDS_IN_LABEL], tree[parent, SLOT]
            if i >= 0:
                arrives = logs[i, ENDS_IN_BLANK] if tree[parent, LABEL] == label else logs[i, TOTAL]
                in_label = log_add_by_table(in_label, arrives)
                links[j, 1], links[i, 0] = links[i, 0], j  # tells `extend` that i has a child in the beam
            in_label += log_probs[label]
        total = log_add_by_table(in_blank, in_label)
        stayed[j, ENDS_IN_BLANK], stayed[j, ENDS_IN_LABEL], stayed[j, TOTAL] = in_blank, in_label, total
        size = offer(scores, moves, size, total + priors[node], packed(j, -1))
    return size


@inlined
def extend(
    tree, priors, label_priors, nodes, logs, counts, blank, likely, likely_log_probs, K, wanted, most_wanted,
    owner, links, scores, moves, size
):
    """Offer each prefix with one more label to the next beam, unless the result is in the beam already.

    Lists the scores that are needed from the language model, at most `most_wanted`. Returns how many entries
    the next beam has now.
    """
    W, B, has_model = len(scores), counts[BEAM], len(label_priors) > 0
    counts[WANTED] = 0
    for i in range(B):
        node = nodes[i]
        last, score = tree[node, LABEL], priors[node]
        highest = score + label_priors[node, blank] if has_model else score
        # Mark the labels whose extension is in the beam: `stay` has counted these paths.
        j = links[i, 0]
        while j >= 0:
            owner[tree[nodes[j], LABEL]] = i
            j = links[j, 1]
        for k in range(K):
            c, log_prob = likely[k], likely_log_probs[k]
            if size == W and (logs[i, TOTAL] + log_prob) + highest <= scores[W - 1]:
                break  # no label after this one is likelier, so none can do better
            if owner[c] == i:
                continue
            if has_model and np.isnan(label_priors[node, c]):
                if counts[WANTED] == most_wanted:
                    break  # the scores listed may show that the other labels cannot enter
                wanted[counts[WANTED]] = packed(i, c)
                counts[WANTED] += 1
            else:
                if has_model:
                    score = priors[node] + label_priors[node, c]
                leaves = logs[i, ENDS_IN_BLANK] if c == last else logs[i, TOTAL]
                size = offer(scores, moves, size, leaves + log_prob + score, packed(i, c))
        # Take the marks away again.
        j = links[i, 0]
        while j >= 0:
            owner[tree[nodes[j], LABEL]] = -1
            j = links[j, 1]
    return size


@inlined
def renew(
    tree, priors, label_priors, nodes, logs, counts, log_probs, stayed, moves, size, next_nodes, next_logs
):
    """Carry out the `size` best moves: the next beam replaces this one."""
    counts[FRESH] = counts[NODES]
    # Moves refer to positions in the old beam, so the new one is collected in other arrays first.
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
def advance(rows, first, stride, T, blank, prune, most_wanted, state, scratch, norms):
    """Advance by T frames; frame t is rows[first + t * stride]. Fills norms (T, 2), see `log_softmax`.

    Returns how many frames were taken. It is fewer than T if more than half of the tree is still needed, or
    if scores are needed from the language model. The caller then has to make room, or to write the scores
    into label_priors, and to call again.
    """
    tree, priors, label_priors, nodes, logs, counts = state
    (log_probs, order, likely, likely_log_probs, wanted, owner, links, stayed, scores, moves, next_nodes,
     next_logs) = scratch
    W, capacity = len(nodes), len(tree)
    counts[WANTED] = 0
    for t in range(T):
        if counts[NODES] + W > capacity:
            forget(tree, priors, label_priors, nodes, counts)
            if 2 * (counts[NODES] + W) > capacity:
                return t
        # The log-probabilities of this frame, and its likeliest labels.
        B, K = counts[BEAM], 0
        log_softmax(rows, first + t * stride, log_probs, norms[t])
        for c in order:
            if c != blank:
                K = offer(likely_log_probs, likely, K, log_probs[c], c)
        # The best results of staying and extending are the next beam.
        size = stay(tree, priors, nodes, logs, B, blank, log_probs, links, stayed, scores, moves)
        size = extend(
            tree, priors, label_priors, nodes, logs, counts, blank, likely, likely_log_probs, K, wanted,
            most_wanted, owner, links, scores, moves, size,
        )
        if counts[WANTED] > 0:
            return t
        while size > 1 and scores[size - 1] < scores[0] - prune:
            size -= 1
        renew(
            tree, priors, label_priors, nodes, logs, counts, log_probs, stayed, moves, size, next_nodes,
            next_logs,
        )
    return T
