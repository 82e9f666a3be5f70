"""Greedy decoding gives the labels of the best path, which often are not the most probable ones."""

import numpy as np
import pytest

from ctc_scratch.ctc import GreedyStream, greedy_decode
from ctc_scratch.ctc.enumeration import labelling_distribution
from ctc_scratch.ctc.reference import log_softmax


def _logits(path, C=4):
    return np.eye(C)[path]


def test_batch_lengths_and_blank():
    logits = np.stack([_logits([1, 1, 0, 1, 2]), _logits([3, 0, 0, 3, 3])], axis=1)
    assert greedy_decode(logits) == [[1, 1, 2], [3, 3]]
    assert greedy_decode(logits, [3, 0]) == [[1], []]
    assert greedy_decode(logits, blank=3) == [[1, 0, 1, 2], [0]]
    assert greedy_decode(logits[:, 1]) == [3, 3]
    assert greedy_decode(np.zeros((5, 0, 4))) == []


def test_padding_may_hold_nan_and_used_frames_may_not():
    logits = np.stack([_logits([1, 2, 3])], axis=1)
    logits[2] = np.nan
    assert greedy_decode(logits, [2]) == [[1, 2]]
    with pytest.raises(ValueError, match=r"logits\[t=2, n=0, c=0\] is nan"):
        greedy_decode(logits)


def test_greedy_often_misses_the_most_probable_labelling(rng):
    """At T=6, C=3 it is wrong in a good share of random cases."""
    missed = 0
    for _ in range(100):
        log_probs = log_softmax(rng.standard_normal((6, 3)))
        dist = labelling_distribution(log_probs)
        missed += tuple(greedy_decode(log_probs)) != max(dist, key=dist.get)
    assert 25 <= missed <= 75, f"greedy missed {missed} of 100"


def test_a_stream_gives_the_same_labels(rng):
    for blank in (0, 2):
        logits = rng.standard_normal((40, 3))
        stream, new, t = GreedyStream(blank=blank), [], 0
        for frames in (3, 0, 1, 20, 16):
            new += stream.push(logits[t:t + frames])
            t += frames
            assert stream.labels == new == greedy_decode(logits[:t], blank=blank)


def test_a_stream_refuses_bad_pieces():
    stream = GreedyStream(blank=2)
    stream.push(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="a stream that began with 3 classes got 4"):
        stream.push(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="blank is 5"):
        GreedyStream(blank=5).push(np.zeros((1, 3)))


def test_repr_fits_a_line():
    stream = GreedyStream()
    stream.push(_logits([1, 1, 0, 1, 2]))
    assert repr(stream) == "GreedyStream(blank=0, 3 labels so far)"
