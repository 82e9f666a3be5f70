"""Ink is cut into digits and sorted into lines; marks that are not writing are left out and counted."""

import numpy as np

from ctc_scratch.digits.reading.pieces import find_lines


def page(height=60, width=200):
    return np.zeros((height, width), np.float32)


def extents(lines):
    return [[piece[:4] for piece in line] for line in lines.lines]


def test_dirt_is_left_out_and_a_broken_digit_stays_whole():
    ink = page(40, 120)
    ink[10:30, 10:20] = 1
    ink[4:6, 50:52] = 1                                 # far from everything
    ink[10:30, 70:78], ink[10:13, 80:86] = 1, 1         # a stroke that nearly reaches its digit
    found = find_lines(ink, 20)
    assert extents(found) == [[(10, 20, 10, 30), (70, 86, 10, 30)]]
    assert found.left_out == {"speck": 1}


def test_a_bar_above_its_digit_belongs_to_it():
    ink = page()
    ink[20:40, 20:32] = 1
    ink[14:17, 22:34] = 1
    ink[20:40, 60:70] = 1
    assert extents(find_lines(ink, 20)) == [[(20, 34, 14, 40), (60, 70, 20, 40)]]


def test_slanted_digits_that_share_columns_but_do_not_touch_are_two():
    ink = page()
    for k in range(20):
        ink[20 + k, 60 - k:64 - k] = 1      # like / /, one above the other in half of the columns
        ink[20 + k, 72 - k:76 - k] = 1
    assert len(find_lines(ink, 20).lines[0]) == 2


def test_digits_that_touch_are_one_piece():
    ink = page()
    ink[20:40, 20:32] = 1
    ink[30:32, 32:36] = 1
    ink[20:40, 36:48] = 1
    assert extents(find_lines(ink, 20)) == [[(20, 48, 20, 40)]]


def test_sloping_lines_are_separated_and_come_from_top_to_bottom():
    ink = page(160, 300)
    for n in range(2):
        for k in range(8):
            top = 20 + 60 * n + 6 * k       # a slope of 6 / 35: line 2 begins above the end of line 1
            ink[top:top + 20, 10 + 35 * k:22 + 35 * k] = 1
    found = find_lines(ink, 20)
    assert [[piece.top for piece in line] for line in found.lines] == [
        [20 + 60 * n + 6 * k for k in range(8)] for n in range(2)]


def test_dots_far_above_and_below_a_line_do_not_change_it():
    """The dots are far from the line, in its columns; they belong to no digit and do not change its size."""
    ink = page(300, 200)
    for k in range(3):
        ink[140:160, 40 + 30 * k:50 + 30 * k] = 1
    ink[5:8, 70:73] = ink[290:293, 75:78] = 1
    found = find_lines(ink, 20)
    assert len(found.lines) == 1 and [piece.size for piece in found.lines[0]] == [20, 20, 20]
    assert found.left_out == {"speck": 2}


def test_a_digit_much_smaller_than_the_others_is_kept():
    ink = page()
    for k in range(3):
        ink[10:50, 10 + 40 * k:30 + 40 * k] = 1
    ink[34:50, 140:150] = 1                 # 38 % of the others' height
    assert [piece.size for piece in find_lines(ink, 40).lines[0]] == [40, 40, 40, 16]


def test_marks_that_are_not_writing_are_counted_by_kind():
    ink = page(200, 200)
    for k in range(3):
        ink[100:120, 60 + 30 * k:72 + 30 * k] = 1
    ink[:, :30] = 1                         # a desk
    ink[60:80, 60:72] = 0.45                # a smudge
    found = find_lines(ink, 20)
    assert len(found.lines) == 1 and len(found.lines[0]) == 3
    assert found.left_out == {"large shape": 1, "faint mark": 1}


def test_a_page_without_ink_has_no_lines():
    assert find_lines(page(), 20).lines == []
