"""Hypothesis strategies: random CTC problems, every one of which has a path."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ctc_scratch.ctc.labels import min_frames

from .conftest import Problem


@st.composite
def problems(draw, most_frames=12, most_sequences=4, most_classes=5):
    """A `Problem`: ragged lengths, any blank, repeats and empty targets, logits of any scale to 30."""
    T = draw(st.integers(1, most_frames))
    N = draw(st.integers(1, most_sequences))
    C = draw(st.integers(2, most_classes))
    blank = draw(st.integers(0, C - 1))
    labels = st.sampled_from([c for c in range(C) if c != blank])
    fitting = st.lists(labels, max_size=T).filter(lambda target: min_frames(target) <= T)
    targets = [draw(fitting) for _ in range(N)]
    lengths = [draw(st.integers(max(min_frames(target), 1), T)) for target in targets]
    scale = draw(st.sampled_from([0.1, 1.0, 5.0, 30.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Problem(scale * rng.standard_normal((T, N, C)), targets, np.array(lengths), blank)
