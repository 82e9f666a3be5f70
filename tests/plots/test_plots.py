"""Each figure draws what it says: the assertions read the artists, not the pixels."""

import io
import threading

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ctc_scratch import plots
from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.paths.lattice import lattice

NAMES = ["blank", *"0123456789"]
WINDOW = 4


@pytest.fixture
def ax():
    return Figure(figsize=(5, 2)).subplots()


def make_probs(rng, T, C=11):
    return rng.dirichlet(np.ones(C), size=T)


def make_reading(rng, width=140, decoded=(3, 1), truth=(3, 1)):
    T = -(-width // WINDOW)
    return plots.PlottedRow(rng.random((28, width)), make_probs(rng, T), decoded, truth)


def texts_of(ax):
    return [(text.get_position()[0], text.get_text()) for text in ax.texts]


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


# ---- one row of digits --------------------------------------------------------------------


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
def test_posteriors_set_each_class_on_its_line_and_the_blank_apart(ax, rng, blank):
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
def test_title_sets_the_decoded_labels_beside_the_truth(ax, decoded, truth, title):
    plots.greedy_path(ax, np.zeros(5, int), WINDOW, NAMES, 0, decoded, truth)
    assert ax.get_title() == title


def test_path_digits_do_not_overlap_however_many_frames(rng):
    for T in (5, 35, 140):
        figure = Figure(figsize=(8, 1))
        ax = plots.greedy_path(figure.subplots(), np.full(T, 9), WINDOW, NAMES, 0, [9], [9])
        render(figure)
        boxes = [text.get_window_extent() for text in ax.texts]
        for left, right in zip(boxes, boxes[1:]):
            assert left.x1 <= right.x0, f"T={T}: one ends at {left.x1}, next begins at {right.x0}"


@pytest.mark.parametrize("widths", [(140,), (140, 84, 140, 28), (560, 560, 560), (30, 7)], ids=str)
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
        # Pixel x stands above pixel x, in the data and on the paper.
        for ax in (image, middle, bottom):
            assert ax.get_xlim() == image.get_xlim() == figure.axes[0].get_xlim()
            assert ax.get_window_extent().bounds[::2] == pytest.approx(
                image.get_window_extent().bounds[::2], abs=1e-6)
        assert image.get_xlim()[1] >= row.image.shape[1]


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


# ---- learning -----------------------------------------------------------------------------


RECORDS = [
    {"step": 10, "loss": 14.0, "label_error_rate": 1.5, "blank_rate": 1.0},
    {"step": 20, "loss": 3.0, "label_error_rate": 0.25, "blank_rate": 0.8,
     "validation_label_error_rate": None},
    {"step": 20, "validation_label_error_rate": 0.0},
]


def test_learning_curve_draws_each_column_in_its_units():
    figure = plots.learning_figure(RECORDS)
    render(figure)
    ax_loss, ax_rate = figure.axes
    loss, = ax_loss.lines
    assert loss.get_xydata().tolist() == [[10, 14], [20, 3]]
    rates = {line.get_label(): line.get_xydata().tolist() for line in ax_rate.lines}
    assert rates == {"frames read as blank": [[10, 100], [20, 80]],
                     "label errors, training": [[10, 150], [20, 25]],
                     "label errors, validation": [[20, 0]]}
    assert ax_loss.get_ylabel() == "training loss [nats per row]"
    assert ax_rate.get_ylabel() == "rate [%]" and ax_rate.get_xlabel() == "training step"


def test_learning_curve_hides_no_rate_above_100_or_at_0():
    ax_loss, ax_rate = Figure().subplots(2)
    plots.learning_curve(ax_loss, ax_rate, RECORDS)
    low, high = ax_rate.get_ylim()
    assert low <= 0 and high > 150, f"0 and 150 must show, the axis goes from {low} to {high}"
    # A linear piece at the foot keeps a rate of 0 on a logarithmic axis.
    assert np.isfinite(ax_rate.transScale.transform([[1, 0.0]])).all()


def test_learning_figure_of_a_run_that_ended_at_once():
    figure = plots.learning_figure([])
    render(figure)
    assert [len(ax.lines) for ax in figure.axes] == [0, 0]


# ---- no global state ----------------------------------------------------------------------


def test_figures_are_drawn_alike_in_any_thread(rng):
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


# ---- the lattice --------------------------------------------------------------------------


def lattice_of(T, labels, scale=2.0):
    its = lattice(scale * np.random.default_rng(0).standard_normal((T, 5)), labels)
    return its, ["–" if s % 2 == 0 else str(c) for s, c in enumerate(its.ext)]


def lattice_figures(T=40, labels=(1, 2, 2, 4)):
    its, names = lattice_of(T, list(labels))
    paths = [states_of(path.path.tolist()) for path in its.k_best(3)]
    samples = [states_of(path) for path in its.sample(6, np.random.default_rng(0)).tolist()]
    every = np.array([states_of(path) for path in enumeration.alignments([1, 2], 4)])
    return {
        "trellis": plots.trellis_figure(every, ["–", "1", "–", "2", "–"]),
        "alpha_beta_gamma": plots.alpha_beta_gamma_figure(
            its.log_alpha, its.log_beta, its.log_alpha + its.log_beta, names),
        "paths": plots.paths_figure(its.gamma, names, paths, samples),
        "gradient": plots.gradient_figure(np.exp(its.log_probs) - its.occupancy, NAMES[:5]),
        "evolution": plots.gamma_evolution_figure([its.gamma] * 3, ["iteration 1", "50", "100"], names),
    }


def all_texts(figure):
    """What is written in a figure; a tick outside the axis has a label that is not drawn."""
    for ax in figure.axes:
        yield from (text for text in ax.findobj(Text) if text.get_visible() and text.get_text().strip()
                    and not any(text in (tick.label1, tick.label2) and not low <= tick.get_loc() <= high
                                for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())),
                                                          (ax.yaxis, sorted(ax.get_ylim())))
                                for tick in axis.get_major_ticks()))


@pytest.mark.parametrize("T, labels", [
    (4, (1, 2)), (40, (1, 2, 2, 4)), (140, (1, 2, 3, 4, 4, 1, 2, 3)), (2000, (1, 2, 3, 4)),
], ids=["T=4", "T=40", "T=140", "T=2000"])
def test_no_label_of_a_lattice_figure_covers_another_or_is_too_small_at_80_mm(T, labels):
    for name, figure in lattice_figures(T, labels).items():
        render(figure)
        width = figure.get_figwidth() * 25.4
        boxes = [(text.get_text(), text.get_window_extent()) for text in all_texts(figure)]
        page = figure.bbox
        for n, (text, box) in enumerate(boxes):
            inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
            assert inside, f"{name}: {text!r} is cut off"
            for other, other_box in boxes[n + 1:]:
                assert not box.overlaps(other_box), f"{name}: {text!r} covers {other!r}"
        for text in all_texts(figure):
            points = text.get_fontsize() * min(1.0, 80 / width)
            assert points >= 5.5, f"{name}: {text.get_text()!r} has {points:.1f} points at 80 mm"


def test_a_trellis_draws_every_path_and_counts_them():
    paths = np.array([states_of(path) for path in enumeration.alignments([1, 2], 4)])
    ax = plots.trellis(Figure().subplots(), paths, ["–", "1", "–", "2", "–"])
    drawn = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 4]
    assert sorted(np.rint(y).astype(int).tolist() for y in drawn) == sorted(paths.tolist())
    counts = {tuple(map(int, text.get_position())): int(text.get_text()) for text in ax.texts}
    gamma = lattice(np.zeros((4, 3)), [1, 2]).gamma
    assert counts == {(t, s): round(15 * gamma[t, s]) for t, s in zip(*np.nonzero(gamma))}
    assert ax.yaxis_inverted()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["–", "1", "–", "2", "–"]


def test_heat_maps_hatch_what_is_impossible(ax):
    its, names = lattice_of(9, [1, 2, 2])
    plots.heat(ax, its.log_alpha, names)
    hatched = np.zeros(its.log_alpha.shape, dtype=bool)
    for patch in ax.patches:
        first, s = round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)
        hatched[first:first + round(patch.get_width()), s] = True
        assert patch.get_hatch()
    np.testing.assert_array_equal(hatched, its.log_alpha == -np.inf)
    shown = ax.images[0].get_array()
    expected = (its.log_alpha - its.log_alpha.max(axis=1, keepdims=True)) / np.log(10)
    np.testing.assert_allclose(shown.T[~hatched], expected[~hatched])


def test_paths_lie_over_gamma():
    its, names = lattice_of(12, [1, 2])
    paths = [states_of(path.path.tolist()) for path in its.k_best(3)]
    ax = plots.paths_over(Figure().subplots(), its.gamma, names, paths[0], paths[1:])
    np.testing.assert_array_equal(ax.images[0].get_array(), its.gamma.T)
    drawn = [np.rint(line.get_ydata()).astype(int).tolist() for line in ax.lines]
    assert drawn == [path.tolist() for path in paths]
    best, *others = ax.lines
    assert all(best.get_linewidth() > line.get_linewidth() for line in others)


def test_gradient_tells_signs_apart_without_colour(ax, rng):
    grad = rng.standard_normal((6, 3))
    plots.gradient(ax, grad, NAMES[:3])
    scale = 0.46 / np.abs(grad).max()
    seen = np.zeros_like(grad)
    for steps in ax.patches:
        values, edges, c = steps.get_data()
        assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
        assert (values <= c).all() if steps.get_hatch() else (values >= c).all()
        seen[:, int(c)] += (values - c) / scale
    np.testing.assert_allclose(seen, grad)


def test_evolution_has_a_panel_a_stage():
    its, names = lattice_of(12, [1, 2])
    gammas = [its.gamma, its.gamma**2]
    figure = plots.gamma_evolution_figure(gammas, ["first", "second"], names)
    for ax, gamma, title in zip(figure.axes, gammas, ["first", "second"]):
        np.testing.assert_array_equal(ax.images[0].get_array(), gamma.T)
        assert ax.get_title(loc="left") == title and ax.images[0].get_clim() == (0, 1)
