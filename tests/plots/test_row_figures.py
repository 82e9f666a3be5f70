"""Figures show a row, its posteriors and its greedy path; the tests read matplotlib's artists, not pixels."""

import threading

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from ctc_scratch import plots
from tests.plots.conftest import (
    NAMES,
    WINDOW,
    all_texts,
    make_probs,
    make_reading,
    render,
    texts_of,
)


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
        np.testing.assert_array_equal(middle.patches[-1].get_data().values, row.probs[:, 0])
        symbols = {x: name for x, name in texts_of(bottom)}
        for t, c in enumerate(row.probs.argmax(axis=1)):
            assert symbols.get((t + 0.5) * WINDOW, "blank") == NAMES[c], f"row {n}, frame {t}"
        assert image.get_title() == "read: 2 0    truth: 2 0    right"
        # Equal x stand above one another, in the units of the data and on the page.
        for ax in (image, middle, bottom):
            assert ax.get_xlim() == image.get_xlim() == figure.axes[0].get_xlim()
            assert ax.get_window_extent().bounds[::2] == pytest.approx(
                image.get_window_extent().bounds[::2], abs=1e-6)
        assert image.get_xlim()[1] >= row.image.shape[1]


def planted_row(frames=(2, 5, 6, 9), labels=(3, 8, 8, 3)):
    """Ten frames with the blank everywhere except for these labels at these frames."""
    probs = np.zeros((10, 11))
    probs[:, 0] = 1
    for t, c in zip(frames, labels):
        probs[t] = np.where(np.arange(11) == c, 0.9, 0.01)
    return probs


def test_spikes_are_drawn_over_their_frames_and_named(ax):
    plots.spikes(ax, planted_row(), WINDOW, NAMES, blank=0)
    *labels, blank = (patch.get_data() for patch in ax.patches)
    np.testing.assert_array_equal(blank.values, planted_row()[:, 0])
    np.testing.assert_array_equal(labels[2].values, planted_row()[:, 3])
    assert labels[0].edges.tolist() == list(range(0, 44, 4))
    assert texts_of(ax) == [(10, "2"), (24, "7"), (38, "2")], "one name per spike, at its middle"


def test_spikes_that_are_hardly_there_have_no_name(ax):
    plots.spikes(ax, np.full((5, 11), 1 / 11), WINDOW, NAMES, blank=0)
    assert texts_of(ax) == []


@pytest.mark.parametrize("places, joined", [
    ([(0, 8), (16, 30), (32, 40)], True), ([(0, 8)], False), ([], False),
], ids=["as many places as spikes", "fewer", "none"])
def test_a_line_leads_from_each_place_to_its_spike(places, joined):
    row = plots.PlottedRow(np.zeros((28, 40)), planted_row(), [3, 8, 3], [3, 8, 3], places)
    image, middle, _ = plots.reading_figure([row], WINDOW, NAMES, 0).axes
    lines = [artist for artist in [*image.patches, *middle.patches] if isinstance(artist, ConnectionPatch)]
    ends = [(line.xy1[0], line.xy2[0]) for line in lines]
    assert ends == ([(4, 10), (23, 24), (36, 38)] if joined else [])
    bands = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in image.patches]
    assert bands == places


@pytest.mark.slow
def test_a_reading_is_legible_at_80_mm(rng):
    row = make_reading(rng)._replace(places=[(0, 9), (50, 70)])
    figure = plots.reading_figure([row] * 2, WINDOW, NAMES, 0)
    render(figure)
    for text in all_texts(figure):
        points = text.get_fontsize() * min(1.0, 80 / 25.4 / figure.get_figwidth())
        assert points >= 5.5, f"{text.get_text()!r} has {points:.1f} points at 80 mm"


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
