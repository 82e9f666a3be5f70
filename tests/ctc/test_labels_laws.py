"""Laws of labellings and paths. The table of all laws is in tests/ctc/test_loss_laws.py."""

from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import can_skip, collapse, extend, min_frames
from ctc_scratch.ctc.labels import states_of
from tests.tools.strategies import labellings, laws, random


@laws
@given(labels=labellings(), blank=st.sampled_from([0, 9]), random=random)
def test_a_path_collapses_to_the_labels_that_it_passes(labels, blank, random):
    ext = extend(labels, blank)
    assert ext[1::2].tolist() == labels and (ext[::2] == blank).all() and len(ext) == 2 * len(labels) + 1
    skips = [u > 0 and labels[u] != labels[u - 1] for u in range(len(labels))]
    assert can_skip(ext)[1::2].tolist() == skips and not can_skip(ext)[::2].any()
    path = [c for c in ext.tolist() for _ in range(random.randint(1, 3))]
    assert collapse(path, blank) == labels
    assert ext[states_of(path, blank)].tolist() == path
    assert min_frames(labels) == len(labels) + sum(a == b for a, b in zip(labels, labels[1:]))
    # A path of min_frames frames exists.
    shortest = [c for u, c in enumerate(labels) for c in ([blank] if u and labels[u - 1] == c else []) + [c]]
    assert len(shortest) == min_frames(labels) and collapse(shortest, blank) == labels


@laws
@given(path=st.lists(st.integers(0, 3), max_size=12), random=random)
def test_collapsing_ignores_repeated_frames_and_commutes_with_renaming(path, random):
    labels = collapse(path)
    assert min_frames(labels) <= len(path)
    assert collapse([c for c in path for _ in range(random.randint(1, 3))]) == labels
    name = [0, *random.sample([1, 2, 3], 3)]
    assert collapse([name[c] for c in path]) == [name[c] for c in labels]
