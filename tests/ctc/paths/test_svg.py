"""The drawings of lattices and alignments are well-formed XML of bounded size, with the right numbers."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from ctc_scratch.ctc import align
from ctc_scratch.ctc.labels import states_of
from ctc_scratch.ctc.paths import svg
from ctc_scratch.ctc.paths.lattice import lattice
from tests.conftest import assert_close

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parsed(drawn):
    """The root of a drawing that a notebook gets."""
    root = ElementTree.fromstring(drawn._repr_html_())
    assert root.tag == f"{NAMESPACE}svg"
    return root


def all_of(root, tag):
    return root.findall(f".//{NAMESPACE}{tag}")


def texts(root):
    return ["".join(text.itertext()) for text in all_of(root, "text")]


def titles(root):
    return [title.text for title in all_of(root, "title")]


def line_of(root):
    """The points (n, 2) of the path of the target."""
    line, = [path for path in all_of(root, "path") if path.get("stroke") == svg.ACCENT]
    return np.array(re.findall(r"[-\d.]+", line.get("d")), float).reshape(-1, 2)


def boxes(path):
    """The upper left corners (n, 2) of the cells of one shade."""
    return np.array(re.findall(r"M([\d.]+) ([\d.]+)", path.get("d")), float)


@pytest.mark.parametrize("T, labels", [
    (0, []), (0, [1]), (1, []), (2, [1, 1]), (4, [1, 2]), (300, [1, 2] * 50),
], ids=["empty", "no_frames", "no_labels", "too_short", "toy", "long"])
def test_any_lattice_is_drawn_within_its_frame(rng, T, labels):
    result = lattice(rng.standard_normal((T, 3)), labels)
    root = parsed(result)
    width, height = float(root.get("width")), float(root.get("height"))
    assert f"T = {T} frames" in texts(root)[0] and f"U = {len(labels)} labels" in texts(root)[0]
    assert f"log_likelihood = {result.log_likelihood:.6f}" in texts(root)[0]
    for rectangle in all_of(root, "rect"):
        x, y, w, h = (float(rectangle.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width + 0.1 and 0 <= y and y + h <= height
    for text in all_of(root, "text"):
        assert 0 <= float(text.get("x")) <= width and 0 <= float(text.get("y")) <= height


def test_each_cell_of_a_small_lattice_has_its_gamma(rng):
    result = lattice(rng.standard_normal((5, 4)), [1, 3, 3])
    root = parsed(result)
    cells = [re.fullmatch(r"t=(\d+), state (\d+) \((.+)\): gamma ([\d.]+)", title)
             for title in titles(root)[1:]]
    assert len(cells) == result.gamma.size
    for cell in cells:
        t, s = int(cell[1]), int(cell[2])
        assert cell[3] == ("-" if s % 2 == 0 else str(result.ext[s]))
        assert_close(float(cell[4]), result.gamma[t, s], 5e-5, "gamma")
    numbers = [float(text) for text in texts(root) if re.fullmatch(r"\.\d\d|1\.0", text)]
    assert_close(numbers, result.gamma[result.gamma > 0], 5.1e-3, "numbers in the cells")


@pytest.mark.parametrize("T, labels", [(6, [1, 2]), (40, [1, 2, 2, 1]), (110, [1] * 20)], ids=str)
def test_the_line_is_the_best_path(rng, T, labels):
    result = lattice(2 * rng.standard_normal((T, 3)), labels)
    points = line_of(parsed(result))
    states = states_of(result.best().path.tolist())
    assert len(points) == T and (np.diff(points[:, 0]) > 0).all()
    height = max(np.diff(np.unique(points[:, 1])).max(), 1)
    rows = (points[:, 1] - svg.MARGIN_TOP) / height - 0.5
    # Equal distances for equal numbers of states, whatever the height of a row is.
    assert_close(np.interp(states, [states.min(), states.max()], [rows.min(), rows.max()]), rows, 0.05, "row")


def test_shades_are_those_of_gamma(rng):
    result = lattice(3 * rng.standard_normal((60, 3)), [1, 2, 1, 1, 2])
    root, (T, S) = parsed(result), result.gamma.shape
    shades = np.zeros((T, S))
    ground = all_of(root, "rect")[1]
    width, height = float(ground.get("width")) / T, float(ground.get("height")) / S
    for path in all_of(root, "path"):
        if path.get("fill") == svg.INK:
            t, s = np.rint((boxes(path) - [svg.MARGIN_LEFT, svg.MARGIN_TOP]) / [width, height]).astype(int).T
            shades[t, s] = float(path.get("fill-opacity")) / 0.9
    assert_close(shades, result.gamma, 1 / 32 + 1e-3, "shade")


def test_frames_and_states_that_do_not_fit_are_pooled_and_the_caption_says_so(rng):
    result = lattice(rng.standard_normal((1000, 5)), rng.integers(1, 5, 150))
    root = parsed(result)
    assert any("each cell is the largest gamma of 9 frames and 5 states" in text for text in texts(root))
    pooled = svg._largest(result.gamma, 9, 5)
    assert pooled.shape == (112, 61)
    assert pooled[3, 0] == result.gamma[27:36, :5].max() and pooled[-1, -1] == result.gamma[999, 300]
    assert len(line_of(root)) == 112


@pytest.mark.parametrize("T, U", [(100, 30), (2000, 400), (5000, 100)])
def test_a_drawing_is_small(rng, T, U):
    """Even a drawing of noise, where gamma is spread over many cells."""
    result = lattice(0.1 * rng.standard_normal((T, 9)), rng.integers(1, 9, U))
    assert len(result._repr_html_()) < 100_000
    assert len(result.best()._repr_html_()) < 40_000


# ---- alignments


def test_bars_stand_over_the_frames_of_their_labels(rng):
    found = align(3 * rng.standard_normal((40, 5)), [1, 4, 4, 2])
    root = parsed(found)
    bars = [bar for bar in all_of(root, "rect") if bar.get("fill") == svg.ACCENT]
    assert len(bars) == len(found.spans)
    frame_width = (svg.WIDTH - svg.MARGIN_LEFT - svg.MARGIN_RIGHT) / 40
    for bar, span in zip(bars, found.spans):
        x, width, height = (float(bar.get(name)) for name in ("x", "width", "height"))
        edges = svg.MARGIN_LEFT + frame_width * np.array([span.first, span.last + 1])
        assert_close([x, x + width + 1], edges, 0.11, "edges of the bar")
        assert_close(height / svg.BAR_HEIGHT, span.confidence, 1e-3, "height of the bar")
        frames = f"frame {span.first}" if span.first == span.last else f"frames {span.first} to {span.last}"
        assert bar[0].text == f"label {span.label}, {frames}, confidence {span.confidence:.3f}"
    assert [text for text in texts(root) if text in "124" and text != "1"] == ["4", "4", "2"]


def test_what_a_star_covers_has_a_grey_bar_of_its_own():
    logits = np.log(np.full((7, 4), 0.05) + 0.8 * np.eye(4)[[0, 3, 0, 3, 0, 1, 2]])
    root = parsed(align(logits, [1, 2], star="ends"))
    star, *labels = [bar for bar in all_of(root, "rect") if len(bar)]
    assert [bar.get("fill") for bar in (star, *labels)] == [svg.RULE, svg.ACCENT, svg.ACCENT]
    assert star[0].text == "star, frames 1 to 3, confidence 0.917"  # the mean of 0.95, 0.85 and 0.95
    assert "U = 2 labels" in texts(root)[0] and "*" in texts(root)
    assert any("grey (*): what a star covers" in text for text in texts(root))


def test_labels_that_are_not_shown_are_counted(rng):
    found = align(rng.standard_normal((900, 5)), rng.integers(1, 5, 200))
    root = parsed(found)
    bars = [bar for bar in all_of(root, "rect") if bar.get("fill") == svg.ACCENT]
    assert len(bars) == svg.MOST_SPANS
    frames = found.spans[svg.MOST_SPANS - 1].last + 1
    note = f"only the first {svg.MOST_SPANS} of 200 labels are shown, in {frames} of 900 frames"
    assert note in texts(root)
    missing, = [int(match[1]) for text in texts(root)
                if (match := re.match(r"(\d+) bars had no room for the label", text))]
    named = [text for text in texts(root) if text in ("1", "2", "3", "4")]  # and the 1 on the scale
    assert 0 < missing and len(named) - 1 == svg.MOST_SPANS - missing


@pytest.mark.parametrize("T", [0, 1, 5])
def test_an_alignment_without_labels_is_drawn(T):
    root = parsed(align(np.zeros((T, 3)), []))
    assert f"T = {T} frames, U = 0 labels" in texts(root)[0]
    assert not [bar for bar in all_of(root, "rect") if bar.get("fill") == svg.ACCENT]
