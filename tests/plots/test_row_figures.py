"""Figures show a row, its posteriors and its greedy path; the tests read matplotlib's artists, not pixels."""

import threading

import numpy as np
import pytest
from matplotlib.figure import Figure

from ctc_scratch import plots
from tests.plots.conftest import NAMES, WINDOW, make_probs, make_reading, render, texts_of


def test_row_image_shows_the_pixels_dark_on_white_at_their_place(ax, rng):
    image = rng.random((28, 84))
    assert plots.row_image(ax, image) is ax
    picture, = ax.images
    np.testing.assert_array_equal(picture.get_array(), image)
    assert picture.get_extent() == [0, 84, 28, 0]
    dark, light = (sum(picture.to_rgba(np.full((1, 1), ink))[0, 0, :3]) for ink in (1.0, 0.0))
    assert dark < light, f"ink {dark} must be darker than paper {light}"
    assert ax.get_xlabel() == "x [pixels]"


@pytest.mark.parametrize("blank", [0, 4, 10])
def test_posteriors_draw_each_class_on_its_line_and_the_blank_apart(ax, rng, blank):
    names = [*"0123456789"]
    names.insert(blank, "blank")
    probs = make_probs(rng, T=9)
    plots.posteriors(ax, probs, WINDOW, names, blank)

    digits, foot = ax.images
    np.testing.assert_array_equal(digits.get_array(), np.delete(probs, blank, axis=1).T)
    np.testing.assert_array_equal(foot.get_array(), probs[:, [blank]].T)
    assert digits.get_extent()[:2] == foot.get_extent()[:2] == [0, 36]
    assert max(foot.get_extent()[2:]) < min(digits.get_extent()[2:]), "the blank is not apart"

    lines = dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels())))
    middle = np.mean(foot.get_extent()[2:])
    assert lines.pop(middle) == "blank"
    assert list(lines.items()) == [(line, str(line)) for line in range(10)]


def test_posteriors_keep_one_scale_however_small_the_probabilities(ax):
    plots.posteriors(ax, np.full((3, 11), 1 / 11), WINDOW, NAMES, blank=0)
    assert [picture.get_clim() for picture in ax.images] == [(0, 1), (0, 1)]


def test_greedy_path_writes_each_frame_before_merging(ax):
    path = np.array([0, 3, 3, 0, 3, 8])
    plots.greedy_path(ax, path, WINDOW, NAMES, 0, decoded=[3, 3, 8], truth=[3, 3, 8])
    assert texts_of(ax) == [(6, "2"), (10, "2"), (18, "2"), (22, "7")]
    dots, = ax.lines
    assert dots.get_xdata().tolist() == [2, 14]


@pytest.mark.parametrize("decoded, truth, title", [
    ([3, 1], [3, 1], "read: 2 0    truth: 2 0    right"),
    ([3], [3, 1], "read: 2    truth: 2 0    WRONG"),
    ([], [3, 1], "read: nothing    truth: 2 0    WRONG"),
    ([3] * 20, [3] * 20, "read:" + 20 * " 2" + "\ntruth:" + 20 * " 2" + "    right"),
], ids=["right", "deletion", "nothing", "long"])
def test_the_title_shows_the_decoded_labels_and_the_truth(ax, decoded, truth, title):
    plots.greedy_path(ax, np.zeros(5, int), WINDOW, NAMES, 0, decoded, truth)
    assert ax.get_title() == title


def test_digits_of_a_path_do_not_overlap_for_any_number_of_frames(rng):
    for T in (5, 35, 140):
        figure = Figure(figsize=(8, 1))
        ax = plots.greedy_path(figure.subplots(), np.full(T, 9), WINDOW, NAMES, 0, [9], [9])
        render(figure)
        boxes = [text.get_window_extent() for text in ax.texts]
        for left, right in zip(boxes, boxes[1:]):
            assert left.x1 <= right.x0, f"T={T}: one ends at {left.x1}, next begins at {right.x0}"


@pytest.mark.parametrize("widths", [
    (140,), (30, 7), *(pytest.param(widths, marks=pytest.mark.slow) for widths in (
        (140, 84, 140, 28), (560, 560, 560)))], ids=str)
def test_reading_figure_aligns_the_panels_of_every_row(rng, widths):
    rows = [make_reading(rng, width) for width in widths]
    figure = plots.reading_figure(rows, WINDOW, NAMES, blank=0)
    render(figure)
    assert len(figure.axes) == 3 * len(rows)
    for n, row in enumerate(rows):
        image, middle, bottom = figure.axes[3 * n:3 * n + 3]
        np.testing.assert_array_equal(image.images[0].get_array(), row.image)
        np.testing.assert_array_equal(middle.images[1].get_array()[0], row.probs[:, 0])
        symbols = {x: name for x, name in texts_of(bottom)}
        for t, c in enumerate(row.probs.argmax(axis=1)):
            assert symbols.get((t + 0.5) * WINDOW, "blank") == NAMES[c], f"row {n}, frame {t}"
        assert bottom.get_title() == "read: 2 0    truth: 2 0    right"
        # Equal x stand above one another, in the units of the data and on the page.
        for ax in (image, middle, bottom):
            assert ax.get_xlim() == image.get_xlim() == figure.axes[0].get_xlim()
            assert ax.get_window_extent().bounds[::2] == pytest.approx(
                image.get_window_extent().bounds[::2], abs=1e-6)
        assert image.get_xlim()[1] >= row.image.shape[1]


@pytest.mark.slow
def test_no_label_of_a_reading_figure_covers_another(rng):
    figure = plots.reading_figure([make_reading(rng) for _ in range(4)], WINDOW, NAMES, blank=0)
    render(figure)
    texts = []
    for ax in figure.axes:
        ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
        texts += [text for text in (*ticks, ax.xaxis.label, ax.yaxis.label, ax.title)
                  if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for n, (name, box) in enumerate(boxes):
        for other, other_box in boxes[n + 1:]:
            assert not box.overlaps(other_box), f"{name!r} at {box} covers {other!r} at {other_box}"


def test_figures_are_drawn_the_same_in_any_thread(rng):
    rows = [make_reading(rng)]
    expected = render(plots.reading_figure(rows, WINDOW, NAMES, 0))
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.append(
        render(plots.reading_figure(rows, WINDOW, NAMES, 0)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected, expected]
