"""The figures of paths draw every path that they get."""

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch import plots
from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.paths.lattice import lattice
from tests.plots.conftest import lattice_of


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


def test_paths_lie_over_gamma():
    its, names = lattice_of(12, [1, 2])
    paths = [states_of(path.path.tolist()) for path in its.k_best(3)]
    ax = plots.paths_over(Figure().subplots(), its.gamma, names, paths[0], paths[1:])
    np.testing.assert_array_equal(ax.images[0].get_array(), its.gamma.T)
    drawn = [np.rint(line.get_ydata()).astype(int).tolist() for line in ax.lines]
    assert drawn == [path.tolist() for path in paths]
    best, *others = ax.lines
    assert all(best.get_linewidth() > line.get_linewidth() for line in others)
