"""Where each digit stands: the gradient of the pixels, the ink it points at, and the cuts between digits."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.digits.data.touching import ink_edges
from ctc_scratch.digits.model import places
from ctc_scratch.digits.model.evaluate import read_rows
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.places import assign, find_places, ink_shares
from ctc_scratch.digits.model.reader import RowReader, digits_to_labels


def forward(model, pixels):
    """The logits (T, 11) of one row, and the cache."""
    logits, cache = model.forward(*model.frames(pixels[None], np.array([pixels.shape[1]])))
    return logits[:, 0], cache


def tiny_model(rng, window=5):
    return RowReader(hidden=3, layers=2, window=window, vertical=2, rng=rng, dtype=np.float64)


# ---- the packaged model -------------------------------------------------------------------


@pytest.fixture(scope="module")
def packaged():
    return load_model(find_model())


@pytest.mark.slow
def test_each_digit_is_found_on_its_own_ink(mnist, rows, packaged):
    """In rows that are read right: centres lie on the ink of their own digits, and nearly all edges agree."""
    truth = mnist.test_labels[:200].reshape(-1, 5).tolist()
    edges = ink_edges(mnist.test_images[:200] / np.float32(255)).T.reshape(-1, 5, 2)
    edges = edges + 28 * np.arange(5)[:, None]
    exact = total = 0
    for row, digits, edge, read in zip(rows[:12], truth, edges, read_rows(packaged, rows[:12])):
        if read != digits:
            continue
        with np.errstate(all="raise"):          # as a caller may have set it
            found = np.array(find_places(packaged, row, *forward(packaged, row), digits))
        centres = found.mean(axis=1)
        assert ((edge[:, 0] < centres) & (centres < edge[:, 1])).all(), f"{digits}: {found}, ink {edge}"
        exact += (found == edge).all(axis=1).sum()
        total += 5
    assert total >= 50 and exact >= 0.95 * total, f"{exact} of {total}"


def test_a_place_follows_its_digit(rows, packaged):
    """Paper before the row moves all places by as much: spikes may stay where they are, ink does not."""
    row = rows[0]
    digits, = read_rows(packaged, row[None])
    moved = np.pad(row, [(0, 0), (4, 0)])
    assert read_rows(packaged, moved[None]) == [digits]
    here = np.array(find_places(packaged, row, *forward(packaged, row), digits))
    there = np.array(find_places(packaged, moved, *forward(packaged, moved), digits))
    assert (there == here + 4).all(), f"{here}, {there}"


# ---- any model ----------------------------------------------------------------------------


def scores(model, images, digits, gamma):
    """s_u of each image, (N, U)."""
    logits, _ = model.forward(*model.frames(images, np.full(len(images), images.shape[2])))
    return np.einsum("tu,tnu->nu", gamma, logits[:, :, digits + 1] - logits.mean(axis=2, keepdims=True))


@pytest.mark.parametrize("passes", [2, 9])
def test_shares_are_ink_times_the_slope_of_each_score(rng, monkeypatch, passes):
    """By central differences of every pixel. Digits that share a pass divide the row between them."""
    monkeypatch.setattr(places, "PASSES", passes)
    model, digits = tiny_model(rng, window=2), np.array([3, 1, 1, 8])
    pixels = rng.random((28, 15))               # 8 frames, the last of which reaches beyond the row
    logits, cache = forward(model, pixels)
    gamma = lattice(logits, digits_to_labels(digits)).gamma[:, 1::2]
    found = ink_shares(model, pixels, gamma, cache, digits_to_labels(digits))

    # One image per pixel, in which it alone is darker, and one in which it is lighter. Steps of h.
    moved = 1e-5 * np.eye(pixels.size).reshape(-1, 28, 15)
    darker, lighter = (scores(model, pixels + step, digits, gamma) for step in (moved, -moved))
    slopes = ((darker - lighter) / 2e-5).T.reshape(4, 28, 15)
    if passes == 2:
        slopes = np.array([slopes[u % 2] + slopes[u % 2 + 2] for u in range(4)])
    expected = np.maximum(pixels * slopes, 0).sum(axis=1)
    if passes == 2:
        centre = 2 * ((np.arange(8) + 0.5) @ gamma / gamma.sum(axis=0))
        right = np.arange(15) + 0.5 >= (centre[:2, None] + centre[2:, None]) / 2
        expected *= np.concatenate([~right, right])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_columns_are_assigned_in_the_best_of_all_ways(rng):
    for U, X in [(1, 1), (1, 4), (2, 2), (2, 6), (3, 7), (4, 8)]:
        shares, stay, step = rng.random((U, X)), rng.random(X), rng.random(X)

        def value(cuts):
            runs = list(zip([0, *cuts], [*cuts, X]))
            gained = sum(shares[u, a:b].sum() for u, (a, b) in enumerate(runs))
            return gained - step[list(cuts)].sum() - sum(stay[a + 1:b].sum() for a, b in runs)

        best = max(itertools.combinations(range(1, X), U - 1), key=value)
        assert assign(shares, stay, step).tolist() == [sum(x >= cut for cut in best) for x in range(X)]


def test_places_are_runs_of_inked_columns_in_order(rng):
    """Whatever a model reads: an untrained one names digits at random."""
    model = tiny_model(rng)
    pixels = np.zeros((28, 60))
    pixels[5:20, 10:18] = pixels[8:25, 30:31] = pixels[3:9, 44:50] = 0.9
    pixels[4, 22] = 0.2                         # too pale to be ink
    for digits in ([4], [4, 4], [1, 2, 3], [9, 0, 9, 0, 9]):
        found = find_places(model, pixels, *forward(model, pixels), digits)
        edges = [edge for place in found for edge in place]
        assert len(found) == len(digits) and edges == sorted(edges) and (edges[0], edges[-1]) == (10, 50)
        for left, right in found:
            assert left < right and pixels[:, left].max() == pixels[:, right - 1].max() == 0.9
    assert find_places(model, pixels, *forward(model, pixels), []) == []


@pytest.mark.parametrize("claim, cut", [(0.1, 21), (0.2, 18)])
def test_cuts_avoid_ink_where_little_is_at_stake(rng, monkeypatch, claim, cut):
    """Two blobs that a thin stroke joins; the second digit claims three columns of the first one's ink."""
    model, pixels = tiny_model(rng), np.zeros((28, 50))
    pixels[4:24, 10:40] = 1
    pixels[5:, 21] = 0
    claims = np.zeros((2, 50))
    claims[0, 10:18] = claims[1, 30:40] = 0.1
    claims[1, 18:21] = claim
    monkeypatch.setattr(places, "ink_shares", lambda *row: claims)
    assert find_places(model, pixels, *forward(model, pixels), [1, 2]) == [(10, cut), (cut, 40)]


def test_a_digit_does_not_reach_over_paper_for_a_small_share(rng, monkeypatch):
    model, pixels = tiny_model(rng), np.zeros((28, 60))
    pixels[4:24, 10:22] = pixels[12:14, 22:26] = pixels[4:24, 38:50] = 1    # a thin tail ends at column 26
    claims = np.zeros((2, 60))
    claims[0, 10:22] = claims[1, 38:50] = 0.07
    claims[1, 22:26] = 0.1
    monkeypatch.setattr(places, "ink_shares", lambda *row: claims)
    assert find_places(model, pixels, *forward(model, pixels), [1, 2]) == [(10, 26), (38, 50)]


def test_a_row_with_less_ink_than_digits_is_shared(rng):
    model, pixels = tiny_model(rng), np.zeros((28, 60))
    pixels[10, 7] = 1
    found = find_places(model, pixels, *forward(model, pixels), [1, 2])
    assert found[0][0] == 0 and found[0][1] == found[1][0] and found[1][1] == 60


def test_what_does_not_belong_together_is_refused(rng):
    model, pixels = tiny_model(rng), rng.random((28, 20))
    logits, cache = forward(model, pixels)
    for wrong in (pixels[1:], pixels[:, :15], np.zeros((28, 21))):
        with pytest.raises(ValueError, match=r"pixels must be \(28, W\), with a frame of logits per 5 col"):
            find_places(model, wrong, logits, cache, [1])
    with pytest.raises(ValueError, match=r"digits \[1, 1, 1\] have no path through these 4 frames"):
        find_places(model, pixels, logits, cache, [1, 1, 1])
