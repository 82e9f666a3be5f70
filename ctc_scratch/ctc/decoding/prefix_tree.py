"""The prefix tree of a beam search, in flat arrays: finding a child, dropping what no prefix needs, spelling.

Every prefix is a node; its parent is the prefix without its last label. Node 0 is the empty prefix.

    tree          (capacity, 5)  one row per node, parents before children
    priors        (capacity,)    what the language model says of the whole prefix; 0 without one
    label_priors  (capacity, C)  what it adds for each label after the prefix; (0, C) without one
    nodes         (W,)           the prefixes in the beam, best first
    counts        (3,)           nodes used, prefixes in the beam, first node of the last frame
"""

from ...compiled.cache import cached_njit

# As in `beam_kernels`.
kernel = cached_njit(nogil=True, error_model="numpy")
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

# Columns of the tree: the parent (-1 at node 0), the last label (-1 at node 0), the youngest child, the
# next older child of the same parent (-1 if none), and the place in the beam (-1 if not in it).
PARENT, LABEL, CHILD, SIBLING, SLOT = 0, 1, 2, 3, 4
NODES, BEAM, FRESH = 0, 1, 2  # entries of counts


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


@kernel
def spell(tree, node, labels):
    """Write the labels of a node's prefix to the end of `labels` (capacity,); returns how many they are."""
    U = 0
    while node > 0:
        U += 1
        labels[len(labels) - U] = tree[node, LABEL]
        node = tree[node, PARENT]
    return U
