"""Pictures of digit rows show their digits where they say, and what their condition promises."""

import numpy as np
import pytest
from scipy.ndimage import label

from benchmarks.pictures import scenes
from benchmarks.pictures.photographs import (
    CONDITIONS,
    KINDS,
    NAMES,
    STRENGTHS,
    draw_conditions,
    lines_found,
    lines_of,
    photograph,
)
from ctc_scratch.digits.data.mnist_files import load_mnist

CASES = [(name, strength) for name in NAMES for strength in STRENGTHS]
WRITTEN = [name for name in CONDITIONS if CONDITIONS[name].kind == "writing"]
UNMOVED = [name for name in CONDITIONS if CONDITIONS[name].kind in ("light", "camera", "file")]


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


def take(mnist, condition, strength, seed=0, digits=5):
    count = digits * lines_of(condition, strength)
    return photograph(mnist.test_images[:count], mnist.test_labels[:count], condition, strength,
                      np.random.default_rng(seed))


def grey(photo):
    return np.asarray(photo.picture.convert("L"), float)


@pytest.mark.parametrize("condition, strength", CASES)
def test_every_condition_makes_a_picture(mnist, condition, strength):
    photo = take(mnist, condition, strength)
    count = lines_of(condition, strength)
    width, height = photo.picture.size
    assert 60 < width < 4000 and 14 < height < 1000
    if condition != "mixed":
        assert len(photo.lines) == count and all(len(line) == 5 for line in photo.lines)
    assert sum(photo.lines, []) == mnist.test_labels[:5 * count].tolist()
    assert list(map(len, photo.extents)) == list(map(len, photo.lines))
    assert all(0 <= left < right <= width for line in photo.extents for left, right in line)
    # A colour that differs has contrast too, where grey values have none.
    pixels = np.asarray(photo.picture, float).reshape(height * width, -1)
    assert np.ptp(pixels, axis=0).max() > 30


@pytest.mark.slow
@pytest.mark.parametrize("condition, strength", CASES)
def test_a_seed_stands_for_a_picture(mnist, condition, strength):
    photo, again, other = (take(mnist, condition, strength, seed) for seed in (1, 1, 2))
    assert photo.extents == again.extents and photo.picture.tobytes() == again.picture.tobytes()
    assert photo.picture.size != other.picture.size or photo.picture.tobytes() != other.picture.tobytes()


@pytest.mark.parametrize("condition", ["plain", *(name for name in WRITTEN if name != "lines")])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_extents_end_where_the_ink_does(mnist, condition, strength):
    """Each extent begins and ends with ink of its own; where nothing touches, paper follows."""
    photo = take(mnist, condition, strength)
    level = scenes.PAPER - 0.3 * (scenes.PAPER - scenes.INK)
    darkest = grey(photo).min(axis=0)
    for left, right in photo.extents[0]:
        assert darkest[int(left)] < level and darkest[int(right) - 1] < level
        if condition != "touching":
            assert darkest[int(left) - 1] >= level - 1 and darkest[int(right)] >= level - 1


@pytest.mark.parametrize("condition", ["slant", "perspective"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_extents_move_with_the_ink(mnist, condition, strength):
    """A turned digit leaves its old extent; bicubic sampling moves an edge by less than 1.5 pixels."""
    for seed in range(3):
        photo = take(mnist, condition, strength, seed)
        inked = grey(photo) < scenes.PAPER - 0.3 * (scenes.PAPER - scenes.INK)
        for axis, ends in enumerate([(photo.extents[0][0][0], photo.extents[0][-1][1]), photo.spans[0]]):
            edges = np.flatnonzero(np.diff(inked.any(axis=axis), prepend=False, append=False))
            assert np.abs(np.array(ends) - (edges[0], edges[-1])).max() < 1.5


@pytest.mark.parametrize("strength", STRENGTHS)
def test_lines_are_found_where_they_stand(mnist, strength):
    photo = take(mnist, "lines", strength)
    assert lines_found(photo, photo.spans[::-1]) == list(range(len(photo.lines)))[::-1]
    (top, bottom), *_ = photo.spans
    places = [(top - 60, top - 10), *photo.spans[1:], (top, bottom - 8), (top + 1, bottom - 2)]
    assert lines_found(photo, places) == [len(photo.lines) + 1, *range(1, len(photo.lines))]
    assert lines_found(photo, []) == [None] * len(photo.lines)


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["slant", "perspective"])
def test_no_nothingness_comes_into_a_picture_that_is_moved(mnist, condition):
    """Where paper ends, the picture would be black; the frame of a picture of strong slant is all paper."""
    for seed in range(20):
        pixels = grey(take(mnist, condition, "strong", seed, digits=8))
        assert min(pixels[0].min(), pixels[-1].min(), pixels[:, 0].min(), pixels[:, -1].min()) > 210


@pytest.mark.parametrize("name", UNMOVED)
def test_light_and_camera_leave_the_digits_where_they_are(mnist, name):
    plain = take(mnist, "plain", "mild")
    for strength in STRENGTHS:
        photo = take(mnist, name, strength)
        assert photo.extents == plain.extents and photo.picture.size == plain.picture.size
        assert np.corrcoef(grey(photo).ravel(), grey(plain).ravel())[0, 1] > 0.2


def test_the_plain_picture_is_dark_on_light(mnist):
    pixels = grey(take(mnist, "plain", "mild"))
    assert np.median(pixels) == scenes.PAPER and pixels.min() == scenes.INK


def test_strengths_are_those_of_the_table(mnist):
    plain = grey(take(mnist, "plain", "mild"))
    for k, strength in enumerate(STRENGTHS):
        def value(name):
            return CONDITIONS[name][2 + k]
        lit = grey(take(mnist, "light", strength)) / plain
        assert lit.min() == pytest.approx(value("light"), abs=0.03) and lit.max() > 0.97
        dark = grey(take(mnist, "shadow", strength)) / plain
        assert dark.min() == pytest.approx(value("shadow"), abs=0.03) and dark.max() > 0.97
        rough = grey(take(mnist, "noise", strength))[plain == scenes.PAPER]
        assert rough.std() == pytest.approx(value("noise"), rel=0.2)      # values above 255 are cut off
        tall = [right - left for left, right in take(mnist, "small", strength).extents[0]]
        same = [right - left for left, right in take(mnist, "plain", "mild").extents[0]]
        assert np.sum(tall) / np.sum(same) == pytest.approx(value("small") / 60, rel=0.1)
        ruled = grey(take(mnist, "rules", strength))
        line = np.median(ruled, axis=1).min()
        width, contrast = value("rules")
        assert np.count_nonzero(np.median(ruled, axis=1) < 210) >= width
        assert scenes.PAPER - line <= contrast * (scenes.PAPER - scenes.INK) + 1
        assert scenes.PAPER - line >= 0.5 * contrast * (scenes.PAPER - scenes.INK)


def test_colours_differ_where_grey_values_do_not(mnist):
    photo = take(mnist, "colours", "strong")
    assert photo.picture.mode == "RGB" and np.ptp(grey(photo)) <= 3
    assert np.ptp(np.asarray(photo.picture, float), axis=(0, 1)).max() > 60


def test_touching_digits_meet_and_overlap(mnist):
    """Digits that the labels keep apart (a network needs frames for both) are left out."""
    gaps = []
    for strength in STRENGTHS:
        line = take(mnist, "touching", strength).extents[0]
        gaps.append(np.median([b[0] - a[1] for a, b in zip(line, line[1:])]) / 3)
    assert gaps == pytest.approx([1, 0, -2], abs=0.7)


def test_mixed_conditions_are_of_different_kinds():
    rng = np.random.default_rng(0)
    seen = set()
    for strength, counts in [("mild", {2}), ("middle", {2, 3}), ("strong", {3})]:
        drawn = [draw_conditions(strength, rng) for _ in range(100)]
        assert {len(chosen) for chosen in drawn} == counts
        for chosen in drawn:
            assert len({CONDITIONS[name].kind for name in chosen}) == len(chosen)
            seen |= set(chosen.items())
    assert {name for name, _ in seen} == set(CONDITIONS) and {how for _, how in seen} == set(STRENGTHS)
    assert {condition.kind for condition in CONDITIONS.values()} == set(KINDS)


def test_any_mixture_can_be_taken_of_any_number_of_digits(mnist):
    for seed in range(42):
        digits = 1 + seed % 7
        photo = take(mnist, "mixed", STRENGTHS[seed % 3], seed, digits)
        assert sum(photo.lines, []) == mnist.test_labels[:digits].tolist() and all(photo.lines)
        assert list(map(len, photo.extents)) == list(map(len, photo.lines))
        width = photo.picture.width
        assert all(0 <= left < right <= width for line in photo.extents for left, right in line)


def test_boxes_stand_around_the_row_or_each_digit(mnist):
    """Each column of the row crosses the frame; the gaps between digits hold a bar, either all or none."""
    bars = []
    for seed in range(12):
        photo = take(mnist, "boxes", "strong", seed)
        pixels, line = grey(photo), photo.extents[0]
        assert pixels[:, int(line[0][0]):int(line[-1][1])].min(axis=0).max() < 80
        between = [pixels[:, int(a[1]) + 1:int(b[0]) - 1] for a, b in zip(line, line[1:])]
        dark = [np.count_nonzero(gap < 100, axis=0).max() for gap in between]
        assert min(dark) > 60 or max(dark) < 10
        bars.append(min(dark) > 60)
    assert 0 < sum(bars) < len(bars)


def rectangle(height=60.0):
    """A scene without margins whose one digit is a rectangle, 200 pixels wide and 80 high."""
    corners = np.array([[50.0, 40], [250, 40], [250, 120], [50, 120]])
    return scenes.Scene(np.full((160, 300), 215, np.float32), [[corners]], height, (0, 0)), corners


@pytest.mark.parametrize("share", CONDITIONS["perspective"][2:])
def test_perspective_moves_each_corner_by_a_share_of_the_height(rng, share):
    scene, corners = rectangle()
    moves = scenes.tilt(scene, share, rng).outlines[0][0] - corners
    assert np.hypot(*moves.T) == pytest.approx(share * 80) and np.ptp(moves, axis=0).min() > 1


@pytest.mark.parametrize("degrees", CONDITIONS["slant"][2:])
def test_slant_turns_by_an_angle_to_either_side(rng, degrees):
    scene, corners = rectangle()
    turned = [scenes.turn(scene, degrees, rng).outlines[0][0] for _ in range(20)]
    sides = np.array([points[1] - points[0] for points in turned])
    assert np.abs(np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))) == pytest.approx(degrees)
    assert np.hypot(*sides.T) == pytest.approx(200) and np.ptp(np.sign(sides[:, 1])) == 2


@pytest.mark.parametrize("height", [30.0, 60.0])
def test_blur_spreads_a_point_by_its_standard_deviation(rng, height):
    scene, _ = rectangle(height)
    scene.image[:] = 0
    scene.image[80, 150] = 1000
    for sigma in CONDITIONS["blur"][2:]:
        spread = scenes.blur(scene, sigma, rng).image.sum(axis=0) / 1000
        deviation = np.sqrt(spread @ (np.arange(300) - 150) ** 2)
        assert deviation == pytest.approx(sigma * height / 60, rel=0.05)


def test_chalk_and_light_ink_are_light_on_dark(mnist):
    scene = scenes.write(mnist.test_images[:5], mnist.test_labels[:5], np.random.default_rng(0))
    ink = scene.image < 80
    for name in ("chalk", "light ink"):
        _, change, *values = CONDITIONS[name]
        for value in values:
            image = change(scene, value, np.random.default_rng(0)).image
            assert image[ink].mean() > image[~ink].mean() + 50


@pytest.mark.parametrize("strength, sides", [("mild", 1), ("middle", 2), ("strong", 4)])
def test_the_desk_is_seen_on_so_many_sides(mnist, strength, sides):
    for seed in range(5):
        pixels = grey(take(mnist, "desk", strength, seed))
        borders = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
        assert sum(np.median(border) < 180 for border in borders) == sides


def test_specks_are_as_many_as_the_table_says(mnist):
    """Counted on wide margins; two that meet count as one."""
    scene = scenes.write(mnist.test_images[:1], mnist.test_labels[:1], np.random.default_rng(0),
                         margins=(15, 15))
    for density in (10, 40, 120):
        found = [label(scenes.specks(scene, density, np.random.default_rng(seed)).image < 200)[1] - 1
                 for seed in range(5)]
        assert np.mean(found) == pytest.approx(density * scene.image.size / 1e6, rel=0.15)


@pytest.mark.parametrize("change, message", [
    (dict(condition="fog"), "^expected a condition out of plain, .*, not 'fog'$"),
    (dict(strength="weak"), "^expected a strength out of mild, middle, strong, not 'weak'$"),
    (dict(labels=np.arange(4)), r"^expected .*, not \(5, 28, 28\) uint8 and 4 labels$"),
    (dict(images=np.zeros((5, 28, 28))), r"^expected .*, not \(5, 28, 28\) float64 and 5 labels$"),
    (dict(images=np.zeros((0, 28, 28), np.uint8), labels=np.arange(0)), r"^expected .* and 0 labels$"),
])
def test_what_cannot_be_photographed_is_an_error(mnist, change, message):
    with pytest.raises(ValueError, match=message):
        photograph(**{**dict(images=mnist.test_images[:5], labels=mnist.test_labels[:5], condition="blur",
                             strength="mild", rng=np.random.default_rng(0)), **change})
