"""The figures of paths draw every path that they get."""

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch import plots
from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.plots.style import ACCENT
from tests.plots.conftest import lattice_of


def test_a_trellis_draws_every_move_from_centre_to_centre_and_counts_the_paths():
    paths = np.array([states_of(path) for path in enumeration.alignments([1, 2], 4)])
    ax = plots.trellis(Figure().subplots(), paths, ["–", "1", "–", "2", "–"])
    moves = {(t, path[t], path[t + 1]) for path in paths.tolist() for t in range(3)}
    drawn = [(line.get_label(), line.get_xdata(), line.get_ydata()) for line in ax.lines
             if len(line.get_xdata()) == 2]
    assert sorted((x[0], *y) for _, x, y in drawn) == sorted(moves), "each move once, through both centres"
    assert all(label == ["stay", "step", "skip"][y[1] - y[0]] and x[1] == x[0] + 1 for label, x, y in drawn)
    looks = {(line.get_label(), line.get_color(), line.is_dashed()) for line in ax.lines
             if len(line.get_xdata()) == 2}
    assert len(looks) == 3 == len({color for _, color, _ in looks})
    assert {label for label, _, dashed in looks if dashed} == {"skip"}
    counts = {tuple(map(int, text.get_position())): int(text.get_text()) for text in ax.texts}
    gamma = lattice(np.zeros((4, 3)), [1, 2]).gamma
    assert counts == {(t, s): round(15 * gamma[t, s]) for t, s in zip(*np.nonzero(gamma))}
    assert ax.yaxis_inverted()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["–", "1", "–", "2", "–"]


def test_the_legend_of_a_trellis_names_the_moves_that_it_has():
    for labels, T, names in ([1, 2], 4, ["stay", "step", "skip"]), ([1, 1], 4, ["stay", "step"]):
        paths = np.array([states_of(path) for path in enumeration.alignments(labels, T)])
        legend, = plots.trellis_figure(paths, ["–"] * 5).legends
        assert [text.get_text().split()[0] for text in legend.get_texts()] == names


def test_paths_lie_over_gamma():
    its, names = lattice_of(12, [1, 2])
    paths = [states_of(path.path.tolist()) for path in its.k_best(3)]
    ax = plots.paths_over(Figure().subplots(), its.gamma, names, paths[0], paths[1:])
    np.testing.assert_array_equal(ax.images[0].get_array(), its.gamma.T)
    *others, best = ax.lines
    drawn = [np.rint(line.get_ydata()).astype(int).tolist() for line in (best, *others)]
    assert drawn == [path.tolist() for path in paths]
    assert all(best.get_linewidth() > line.get_linewidth() for line in others)
    assert all(best.get_zorder() > line.get_zorder() for line in others), "the best path is hidden"


def test_the_best_path_lies_over_the_samples():
    its, names = lattice_of(12, [1, 2])
    samples = [states_of(path) for path in its.sample(5, np.random.default_rng(0)).tolist()]
    figure = plots.paths_figure(its.gamma, names, [states_of(its.best().path.tolist())], samples)
    for ax in figure.axes:
        best = max(ax.lines, key=lambda line: line.get_zorder())
        np.testing.assert_array_equal(best.get_ydata(), states_of(its.best().path.tolist()))
        assert best.get_color() == ACCENT
    assert len(figure.axes[1].lines) == 6
