"""The posterior over alignments against a list of all: topologies, weights of entering, stars, values."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import lattice, log_partition
from ctc_scratch.ctc.chain.memory import BUDGET
from ctc_scratch.ctc.chain.solve import posterior
from ctc_scratch.ctc.chain.states import Topology
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.running.workspace import Workspace
from tests.conftest import assert_close
from tests.tools.alignments import alignments, distribution, first_frames, moments, starred_alignments, total

TOPOLOGIES = [Topology(*flags) for flags in itertools.product([True, False], repeat=3)]
each_topology = pytest.mark.parametrize("topology", TOPOLOGIES, ids=[
    "".join(name[0] if flag else "-" for name, flag in t._asdict().items()) for t in TOPOLOGIES])
ALL = ["gamma", "xi", "entropy"]


def tiny_problems(rng, count, closed=0.2):
    """Random problems of at most six frames, one in three with some scores of -inf."""
    for _ in range(count):
        T, C, U = rng.integers(1, 7), rng.integers(2, 4), rng.integers(0, 4)
        blank = int(rng.integers(C))
        scores = rng.choice([1.0, 6.0]) * rng.standard_normal((T, C))
        if rng.random() < 1 / 3:
            scores[rng.random((T, C)) < closed] = -np.inf
        labels = rng.choice([c for c in range(C) if c != blank], U)
        yield scores, labels, blank


def check(found, paths, log_weights, values, shape):
    """Compare a Posterior with all alignments, whose values are the V that the covariance is asked for."""
    log_z, probs = distribution(log_weights)
    assert_close(found.log_z, log_z, 1e-13 * max(1, abs(log_z) if log_z > -np.inf else 1), "log_z")
    occupancy, covariance = moments(paths, probs, values, *shape)
    assert_close(found.occupancy, occupancy, 1e-13, "occupancy")
    assert_close(found.covariance, covariance, 1e-12 * max(1.0, np.abs(values).max(initial=0)), "covariance")
    if found.entropy is not None:
        assert_close(found.entropy, -(probs * np.log(np.where(probs > 0, probs, 1))).sum(), 1e-13, "entropy")


budgets = pytest.mark.parametrize("budget", [0, 1200, BUDGET], ids=["checkpoints", "few blocks", "one block"])


@budgets
@each_topology
def test_moments_and_entropy(rng, topology, budget):
    for scores, labels, blank in tiny_problems(rng, 60):
        v = rng.standard_normal(scores.shape)
        found = posterior(scores, labels, blank, topology=topology, values=v, want=ALL, budget=budget)
        paths = alignments(*scores.shape, labels, blank, topology)
        check(found, paths, [total(scores, path) for path in paths],
              np.array([total(v, path) for path in paths]), scores.shape)


def test_entering_a_label_has_a_weight(rng):
    for scores, labels, blank in tiny_problems(rng, 100):
        v, enter = rng.standard_normal(scores.shape), 3 * rng.standard_normal(len(scores))
        enter[rng.random(len(enter)) < 0.1] = -np.inf
        found = posterior(scores, labels, blank, enter=enter, values=v, want=ALL)
        paths = alignments(*scores.shape, labels, blank)
        check(found, paths, [total(scores, path) + enter[first_frames(path, blank)].sum() for path in paths],
              np.array([total(v, path) for path in paths]), scores.shape)


@pytest.mark.parametrize("weight", [0.0, -1.5])
def test_starred_positions_take_any_class(rng, weight):
    for scores, labels, blank in tiny_problems(rng, 60):
        positions = np.flatnonzero(rng.random(len(labels) + 1) < 0.5)
        ways = starred_alignments(*scores.shape, labels, blank, positions)
        found = posterior(scores, labels, blank, star=(positions, weight))
        log_z, probs = distribution([total(scores, path) + weight * sum(starred) for path, starred in ways])
        assert_close(found.log_z, log_z, 1e-13 * max(1, abs(log_z) if log_z > -np.inf else 1), "log_z")
        occupancy, _ = moments([path for path, _ in ways], probs, np.zeros(len(ways)), *scores.shape)
        assert_close(found.occupancy, occupancy, 1e-13, "occupancy")


@budgets
def test_moves_have_values_too(rng, budget):
    for scores, labels, blank in tiny_problems(rng, 60):
        T, S = len(scores), 2 * len(labels) + 1
        v, w = rng.standard_normal(scores.shape), rng.standard_normal((T + 1, 3, S))
        found = posterior(scores, labels, blank, values=v, moves=w, budget=budget)
        paths = alignments(*scores.shape, labels, blank)
        values = []
        for path in paths:
            states = [0, *states_of(path, blank).tolist()]
            values.append(total(v, path) + w[T, 0, states[-1]]
                          + sum(w[t, states[t + 1] - states[t], states[t]] for t in range(T)))
        check(found, paths, [total(scores, path) for path in paths], np.array(values), scores.shape)


@budgets
def test_labels_have_values_at_the_frame_where_they_end(rng, budget):
    for scores, labels, blank in tiny_problems(rng, 60):
        U, r = len(labels), rng.uniform(0.1, 3.0, len(scores))
        found = posterior(scores, labels, blank, leave=r, budget=budget)
        paths = alignments(*scores.shape, labels, blank)
        weights = [total(scores, path) for path in paths]
        shares = distribution(weights)[1]
        ends = np.zeros((len(paths), U))  # r at the end of each label
        for path, row in zip(paths, ends):
            states = states_of(path, blank)
            row[:] = [r[np.flatnonzero(states == 2 * u + 1)[-1]] for u in range(U)]
        means = shares @ ends if len(paths) else np.zeros(U)
        assert_close(found.leaving, means, 1e-13, "leaving")
        values = (ends / np.where(means > 0, means, 1.0)).sum(axis=1)
        check(found, paths, weights, values, scores.shape)


@budgets
def test_a_longer_problem_agrees_with_the_kernels_and_the_lattice(rng, budget):
    scores, labels = 2 * rng.standard_normal((60, 7)), rng.integers(1, 7, 12)
    scores[rng.random(scores.shape) < 0.05] = -np.inf
    found, other = posterior(scores, labels, 0, want=ALL, budget=budget), log_partition(scores, labels)
    assert_close(found.log_z, other.log_z, 1e-12, "log_z")
    assert_close(found.gamma, other.gamma, 1e-13, "gamma")
    paths = lattice(scores, labels)
    assert_close(found.xi[1:-1].swapaxes(0, 1), paths.xi, 1e-13, "xi")
    assert_close(found.xi[0].sum(), 1.0, 1e-14, "moves into frame 0")
    assert_close(found.xi[-1, 0], found.gamma[-1], 0, "moves after the last frame")
    assert_close(found.entropy, paths.entropy, 1e-12, "entropy")


@pytest.mark.parametrize("labels, log_z", [([], 0.0), ([1], -np.inf)], ids=["empty", "one label"])
def test_no_frames(labels, log_z):
    found = posterior(np.empty((0, 3)), np.array(labels, np.intp), 0, values=np.empty((0, 3)), want=ALL)
    assert found.log_z == log_z and found.entropy == 0 and found.covariance.shape == (0, 3)


@budgets
def test_no_number_of_the_workspace_is_read_before_it_is_written(rng, budget):
    """A sequence gets the memory of the one before it; here that is full of NaN."""
    for scores, labels, blank in tiny_problems(rng, 20):
        T, S = len(scores), 2 * len(labels) + 1
        v, w = rng.standard_normal(scores.shape), rng.standard_normal((T + 1, 3, S))
        workspace = Workspace()
        workspace._give(np.full(10_000, np.nan))
        for extra in ({}, {"moves": w}, {"leave": rng.uniform(0.1, 3.0, T)}):
            arguments = dict(values=v, enter=np.zeros(T), want=ALL, budget=budget, **extra)
            found, fresh = (posterior(scores, labels, blank, workspace=memory, **arguments)
                            for memory in (workspace, Workspace()))
            for name, value in found._asdict().items():
                if value is None:
                    continue
                np.testing.assert_array_equal(value, getattr(fresh, name), err_msg=name)
                assert np.isfinite(value).all() or name == "log_z"
            numbers = workspace._take(0)
            numbers[:] = np.nan
            workspace._give(numbers)
