"""The prefix tree of a beam search, in flat arrays: find or add a child, drop what is not needed, spell.

Each prefix that the search keeps is a node; its parent is the prefix without its last label. Node 0 is the
empty prefix.

Shapes
------
tree : (capacity, 5), one row per node with the columns below, parents before their children
priors : (capacity,), what the language model adds to the score of the whole prefix; 0 without a model
label_priors : (capacity, C), what it adds for each label after the prefix, NaN if it was not asked yet; in
    the column of the blank, a bound that none of these exceeds; (0, C) without a model
nodes : (W,), the nodes of the prefixes in the beam, best first
counts : (4,), nodes in use, prefixes in the beam, first node that is new to the language model, scores that
    the next frame needs of it
"""

from ...compiled.cache import cached_njit

# nogil: the driver runs batches on several threads. error_model: no test for division by zero.
kernel = cached_njit(nogil=True, error_model="numpy")
# inline: called often, and an ordinary call would count a reference to each of its arrays every time.
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

# Columns of the tree: the parent, the last label, the youngest child, the next older child of the same
# parent, and the position in the beam. Each is -1 if there is none.
PARENT, LABEL, CHILD, SIBLING, SLOT = 0, 1, 2, 3, 4
NODES, BEAM, FRESH, WANTED = 0, 1, 2, 3  # entries of counts


@inlined
def extended(tree, counts, node, c):
    """The child of a node for label c, which is added if there is none."""
    child = tree[node, CHILD]
    while child >= 0 and tree[child, LABEL] != c:
        child = tree[child, SIBLING]
    if child < 0:
        child = counts[NODES]
        counts[NODES] += 1
        tree[child, PARENT], tree[child, LABEL], tree[child, CHILD] = node, c, -1
        tree[child, SIBLING], tree[child, SLOT] = tree[node, CHILD], -1
        tree[node, CHILD] = child
    return child


@kernel
def forget(tree, priors, label_priors, nodes, counts):
    """Drop each node that is neither in the beam nor an ancestor of one in it; the rest keep their order."""
    used = counts[NODES]
    tree[:used, CHILD] = -1
    for j in range(counts[BEAM]):
        k = nodes[j]
        while k >= 0 and tree[k, CHILD] < 0:
            tree[k, CHILD] = 0  # marks the node as needed
            k = tree[k, PARENT]
    kept = 0
    for k in range(used):
        if tree[k, CHILD] == 0:
            parent = tree[k, PARENT]
            tree[k, SIBLING] = kept  # the new position of node k, for its children to find
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


@kernel
def spell(tree, node, labels):
    """Write the labels of a node's prefix to the end of `labels` (capacity,); returns how many there are."""
    U = 0
    while node > 0:
        U += 1
        labels[len(labels) - U] = tree[node, LABEL]
        node = tree[node, PARENT]
    return U
