"""A row is cut into its digits, and dirt is left out."""

import numpy as np

from ctc_scratch.digits.reading.pieces import find_pieces


def test_dirt_is_left_out_and_a_broken_digit_stays_whole():
    page = np.zeros((40, 90), np.float32)
    page[10:30, 10:20] = 1
    page[4:6, 50:52] = 1                                # far from everything
    page[10:30, 70:78], page[10:13, 80:86] = 1, 1       # a stroke that nearly reaches its digit
    assert find_pieces(page) == [(10, 20, 10, 30), (70, 86, 10, 30)]
