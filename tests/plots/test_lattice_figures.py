"""The figures of the lattice show its arrays, and their texts are large enough and do not overlap."""

import numpy as np
import pytest

from ctc_scratch import plots
from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.plots.lattice_figures import short
from ctc_scratch.plots.style import ACCENT
from tests.plots.conftest import NAMES, all_texts, assert_no_label_covers_another, lattice_of, render


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


@pytest.mark.parametrize("T, labels", [
    (4, (1, 2)), pytest.param(40, (1, 2, 2, 4), marks=pytest.mark.slow),
    pytest.param(140, (1, 2, 3, 4, 4, 1, 2, 3), marks=pytest.mark.slow),
    pytest.param(2000, (1, 2, 3, 4), marks=pytest.mark.slow),
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
    np.testing.assert_allclose(shown.T[~hatched], np.log10(shares(its.log_alpha)[~hatched]))


def shares(log_values):
    """Each value divided by the sum of its frame."""
    values = np.exp(log_values - log_values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def test_a_small_map_shows_its_shares_as_numbers(ax):
    its, names = lattice_of(6, [1, 2])
    plots.heat(ax, its.log_beta, names)
    seen = np.zeros((6, 5))
    for text in ax.texts:
        seen[text.get_position()] = float(text.get_text())
    np.testing.assert_allclose(seen, shares(its.log_beta), atol=0.005)
    assert len(ax.texts) == (its.log_beta > -np.inf).sum(), "a state without a path has no number"


def test_a_large_map_shows_no_numbers(ax):
    its, names = lattice_of(9, [1, 2])
    plots.heat(ax, its.log_beta, names)
    assert not ax.texts


@pytest.mark.parametrize("share, text", [
    (1, "1"), (0.996, "1"), (0.43, ".43"), (0.07, ".07"), (0.0949, ".09"), (0.003, ".003"), (2e-5, "2e-5"),
    (1e-12, "1e-12"), (0.0095, ".01"), (0.0094, ".009"), (0.00049, "5e-4"), (0.0, "0"),
])
def test_a_share_is_written_in_few_characters(share, text):
    assert short(share) == text


@pytest.mark.parametrize("scale", [0.0, 2.0, 20.0])
def test_equal_shades_mean_equal_shares_in_all_figures(scale):
    its, names = lattice_of(12, [1, 2, 2], scale)
    figure = plots.alpha_beta_gamma_figure(its.log_alpha, its.log_beta, its.log_alpha + its.log_beta, names)
    assert [ax.images[0].get_clim() for ax in figure.axes[:3]] == [(-4, 0)] * 3


def test_the_gradient_shows_its_signs_without_colour(ax, rng):
    """Positive values are filled and lie above the line of their class; the axis points down."""
    grad = rng.standard_normal((6, 3))
    plots.gradient(ax, grad, NAMES[:3])
    assert ax.yaxis_inverted()
    scale = 0.42 / np.abs(grad).max()
    seen = np.zeros_like(grad)
    for steps in ax.patches:
        values, edges, c = steps.get_data()
        assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
        assert (values >= c).all() if steps.get_hatch() else (values <= c).all()
        seen[:, int(c)] -= (values - c) / scale
    np.testing.assert_allclose(seen, grad)


@pytest.mark.parametrize("largest, tick", [(0.47, 0.2), (1.0, 1.0), (0.0613, 0.05), (3e-5, 2e-5)])
def test_the_gradient_has_a_scale(ax, largest, tick):
    grad = np.array([[largest, -largest / 2], [0, 0]])
    plots.gradient(ax, grad, NAMES[:2])
    right, = ax.child_axes
    labels = [label.get_text().replace("−", "-") for label in right.get_yticklabels()]
    assert [float(label) for label in labels] == pytest.approx([tick, -tick] * 2)
    step = 0.42 * tick / largest        # upward, which is towards smaller y
    assert right.get_yticks() == pytest.approx([-step, step, 1 - step, 1 + step])


def test_a_gradient_of_zero_has_a_figure():
    render(plots.gradient_figure(np.zeros((3, 3)), NAMES[:3]))


def test_evolution_has_one_panel_per_stage():
    its, names = lattice_of(12, [1, 2])
    gammas = [its.gamma, its.gamma**2]
    figure = plots.gamma_evolution_figure(gammas, ["first", "second"], names)
    for ax, gamma, title in zip(figure.axes, gammas, ["first", "second"]):
        np.testing.assert_array_equal(ax.images[0].get_array(), gamma.T)
        assert ax.get_title(loc="left") == title and ax.images[0].get_clim() == (0, 1)


# ---- plots.lattice ------------------------------------------------------------------------


@pytest.mark.parametrize("what, of", [
    ("gamma", lambda its: its.gamma),
    ("occupancy", lambda its: its.occupancy),
    ("alpha", lambda its: np.log10(shares(its.log_alpha), where=its.log_alpha > -np.inf,
                                   out=np.full_like(its.log_alpha, np.nan))),
    ("beta", lambda its: np.log10(shares(its.log_beta), where=its.log_beta > -np.inf,
                                  out=np.full_like(its.log_beta, np.nan))),
], ids=["gamma", "occupancy", "alpha", "beta"])
def test_a_lattice_is_drawn_as_the_array_asked_for_with_its_best_path(what, of):
    its, names = lattice_of(12, [1, 2, 2])
    ax = plots.lattice(its, what=what)
    shown, expected = ax.images[0].get_array().T, of(its)
    np.testing.assert_allclose(shown[np.isfinite(expected)], expected[np.isfinite(expected)], atol=1e-12)
    line, = ax.lines
    path = its.best().path
    np.testing.assert_array_equal(line.get_xdata(), np.arange(12))
    np.testing.assert_array_equal(line.get_ydata(), path if what == "occupancy" else states_of(path.tolist()))
    assert line.get_color() == ACCENT
    ticks = [tick.get_text() for tick in ax.get_yticklabels()]
    assert ticks == (["blank", "1", "2", "3", "4"] if what == "occupancy" else names)
    assert ax.get_xlabel() == "frame t" and ax.get_ylabel() and ax.get_title(loc="left")
    assert ax.figure.axes[1].get_ylabel(), "the shades have no scale"


def test_a_lattice_is_drawn_into_the_axes_given(ax):
    its, _ = lattice_of(5, [1])
    assert plots.lattice(its, ax) is ax


def test_a_lattice_with_another_blank_names_it(ax):
    its = lattice(np.zeros((3, 3)), [0], blank=2)
    plots.lattice(its, ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["–", "0", "–"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), states_of(its.best().path.tolist(), 2))


def test_a_target_without_an_alignment_has_a_lattice_without_a_path(ax):
    plots.lattice(lattice(np.zeros((2, 3)), [1, 1]), ax)
    assert not ax.lines and "no alignment" in ax.get_title(loc="left")


def test_an_unknown_array_is_refused(ax):
    its, _ = lattice_of(5, [1])
    with pytest.raises(ValueError, match="what must be one of gamma, alpha, beta, occupancy, not 'delta'"):
        plots.lattice(its, ax, what="delta")


@pytest.mark.parametrize("T, labels", [(4, (1, 2)), (40, (1, 2, 2, 4)), (400, (1, 2) * 20)],
                         ids=["T=4", "T=40", "T=400"])
@pytest.mark.parametrize("what", ["gamma", "alpha", "beta", "occupancy"])
def test_no_label_of_a_lattice_covers_another(what, T, labels):
    its, _ = lattice_of(T, list(labels))
    assert_no_label_covers_another(plots.lattice(its, what=what).figure)
