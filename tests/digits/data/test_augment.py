"""Digits are warped and placed as the options say: exactly where that is possible, else statistically."""

import numpy as np
import pytest

from ctc_scratch.digits.data import augment
from ctc_scratch.digits.data.augment import SMOOTH, A, Augmentation, affine_maps, draw, spectrum
from ctc_scratch.digits.data.rows import RowSampler, assemble_rows
from tests.conftest import assert_close

COUNTS = np.array([2, 1, 3])
ALL = Augmentation(rotate=10, scale=0.1, shear=0.2, shift=2, jitter=2, wave=0.5, plain=0.5, gap=3,
                   overlap=4, close=0.9, margin=6, blur=1.5)
each_alone = pytest.mark.parametrize("name", [name for name in Augmentation._fields if name != "plain"])


@pytest.fixture
def digits(rng):
    """Six images with ink up to the edge, and their labels."""
    images = rng.integers(256, size=(6, 28, 28)).astype(np.uint8)
    images[rng.random(images.shape) < 0.5] = 0
    return images, np.array([3, 1, 4, 1, 5, 9], np.uint8)


def drawn(images, maps, waves=None):
    """Draw each image through its map into a row of its own."""
    K = len(images)
    waves = np.zeros((K, 2, A, A), np.float32) if waves is None else waves
    tiles = np.zeros((K, 28, 28), np.float32)
    draw(images, maps, waves, tiles)
    return tiles


def through(images, **amounts):
    """Draw all images through the map for which each amount has its largest positive value."""
    chance = np.zeros((len(images), 6))
    for k, name in enumerate(("rotate", "height", "width", "shear", "shift", "jitter")):
        chance[:, k] = name in amounts or (name in ("height", "width") and "scale" in amounts)
    return drawn(images, affine_maps(Augmentation(**amounts), chance))


# ---- one digit ----------------------------------------------------------------------------


def test_the_identity_gives_the_identical_image(digits):
    images, _ = digits
    np.testing.assert_array_equal(through(images), images / np.float32(255))


@pytest.mark.parametrize("name, axis", [("shift", 2), ("jitter", 1)])
def test_a_shift_by_whole_pixels_is_a_shift(digits, name, axis):
    images, _ = digits
    expected = np.roll(images, 3, axis)
    expected[(slice(None),) * axis + (slice(3),)] = 0
    np.testing.assert_array_equal(through(images, **{name: 3}), expected / np.float32(255))


def test_half_a_pixel_is_the_mean_of_two(digits):
    images, _ = digits
    ink = np.pad(images / 255, ((0, 0), (0, 0), (1, 0)))
    assert_close(through(images, shift=0.5), (ink[:, :, 1:] + ink[:, :, :-1]) / 2, 1e-6, "ink")


def test_rotation_is_clockwise(digits):
    images, _ = digits
    assert_close(through(images, rotate=90), np.rot90(images, -1, (1, 2)) / 255, 1e-4, "turned ink")


def test_scale_enlarges_about_the_centre():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 12:16, 13:15] = 255                        # 4 x 2 pixels around the centre
    ink = through(image, scale=1)[0]
    assert ink[10:18, 12:16].min() > 0.5 and ink.sum() == pytest.approx(4 * 8, rel=1e-5)
    assert ink[:9].max() == ink[19:].max() == 0


def test_shear_leans_the_top_to_the_right():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, :, 14] = 255
    ink = through(image, shear=0.25)[0]
    middle = ink @ np.arange(28) / ink.sum(axis=1)
    assert_close(np.diff(middle), np.full(27, -0.25), 1e-4, "lean of a line")


def test_any_map_and_wave_agree_with_the_formula(digits, rng):
    """The expected image comes from the sum of cosines and the interpolation in NumPy and float64."""
    images, _ = digits
    K = len(images)
    maps = affine_maps(Augmentation(rotate=40, scale=0.3, shear=0.5, shift=4, jitter=4),
                       rng.uniform(-1, 1, (K, 6)))
    waves = (rng.standard_normal((K, 2, A, A)) / A).astype(np.float32)
    y, x = np.mgrid[:28, :28].astype(float)
    for k, found in enumerate(drawn(images, maps, waves)):
        sy, sx = (m[0] + m[1] * y + m[2] * x + sum(
            weights[a, b] * np.cos(np.pi * a * (y + 0.5) / 28) * np.cos(np.pi * b * (x + 0.5) / 28)
            for a in range(A) for b in range(A))
            for m, weights in zip(maps[k].astype(float).reshape(2, 3), waves[k].astype(float)))
        hat_y = np.maximum(0, 1 - abs(sy[..., None] - np.arange(28)))   # (28, 28, source line)
        hat_x = np.maximum(0, 1 - abs(sx[..., None] - np.arange(28)))
        expected = np.einsum("pqi,pqj,ij->pq", hat_y, hat_x, images[k] / 255)
        assert_close(found, expected, 2e-5, f"ink of digit {k}")


def test_a_wave_has_the_promised_size_and_smoothness(rng):
    """Its root mean square is 1; pixels d apart differ as in Gaussian noise, 1 - exp(-(d / 2 SMOOTH)²)."""
    cosines = np.cos(np.outer(np.arange(A), np.pi * (np.arange(28) + 0.5) / 28))
    field = np.einsum("kab,ay,bx->kyx", spectrum() * rng.standard_normal((4000, A, A)), cosines, cosines)
    assert_close(np.sqrt((field**2).mean()), 1, 0.01, "root mean square of a wave")
    near, far = (((field[:, :, 14 + d] - field[:, :, 14]) ** 2).mean() for d in (3, 6))
    expected = np.expm1(-((3 / (2 * SMOOTH)) ** 2)) / np.expm1(-((6 / (2 * SMOOTH)) ** 2))
    assert_close(near / far, expected, 0.02, "difference of pixels 3 and 6 apart")


# ---- amounts ------------------------------------------------------------------------------


def handed_to_draw(monkeypatch, rng, **amounts):
    """The maps and waves that `draw` gets for 3000 digits."""
    caught = []
    monkeypatch.setattr(augment, "draw", lambda images, maps, waves, *more: caught.append((maps, waves)))
    empty, labels = np.zeros((3000, 28, 28), np.uint8), np.zeros(3000, np.uint8)
    Augmentation(**amounts)(empty, labels, np.full(1000, 3), rng)
    return caught[0]


def test_the_weights_of_a_wave_are_as_large_as_its_spectrum_times_the_amount(monkeypatch, rng):
    _, waves = handed_to_draw(monkeypatch, rng, wave=0.7)
    assert waves.shape == (3000, 2, A, A) and not waves[:, :, 0, 0].any()
    expected = 0.7 * spectrum()
    expected[0, 0] = 1      # its weights are 0, checked above
    for axis, name in enumerate("yx"):
        found = waves[:, axis].std(axis=0) / expected
        found[0, 0] = 1
        assert_close(found, np.ones((A, A)), 0.06, f"deviation of a weight for {name} by its spectrum")


@pytest.mark.parametrize("name, most, of", [
    ("rotate", 10, lambda maps: np.degrees(np.arctan2(maps[:, 4], maps[:, 5]))),
    ("shift", 2, lambda maps: -maps[:, 3]),
], ids=["rotate", "shift"])
def test_amounts_are_reached_in_both_directions_and_never_exceeded(monkeypatch, rng, name, most, of):
    maps, _ = handed_to_draw(monkeypatch, rng, **{name: most})
    found = of(maps.astype(float))
    assert -most * 1.0001 < found.min() < -0.99 * most < 0.99 * most < found.max() < most * 1.0001


def test_the_requested_share_of_digits_stays_exactly_plain(rng):
    images = rng.integers(1, 256, size=(400, 28, 28)).astype(np.uint8)
    for share in (0, 0.3, 1):
        amounts = ALL._replace(plain=share, gap=0, overlap=0, close=0, margin=0, blur=0)
        batch = amounts(images, np.zeros(400, np.uint8), np.full(400, 1), rng)
        same = (batch.images == images / np.float32(255)).all(axis=(1, 2))
        assert share - 0.1 < same.mean() < share + 0.1
    assert same.all()


def test_the_share_of_plain_digits_does_not_change_the_other_digits(digits):
    boxes = ALL._replace(gap=0, overlap=0, close=0, margin=0, blur=0)
    without, half, with_all = (
        boxes._replace(plain=share)(*digits, np.ones(6, int), np.random.default_rng(0)).images
        for share in (0, 0.5, 1))
    spared = (half == with_all).all(axis=(1, 2))
    assert 0 < spared.sum() < 6
    np.testing.assert_array_equal(half[~spared], without[~spared])


# ---- rows ---------------------------------------------------------------------------------


def test_without_any_option_the_rows_are_plain(digits, rng):
    plain, augmented = assemble_rows(*digits, COUNTS), Augmentation()(*digits, COUNTS, rng)
    np.testing.assert_array_equal(augmented.images, plain.images, strict=True)
    np.testing.assert_array_equal(augmented.widths, plain.widths)
    assert [row.tolist() for row in augmented.labels] == [row.tolist() for row in plain.labels]


@each_alone
def test_each_amount_alone_changes_pixels_or_widths(digits, name):
    images, labels = digits
    plain = Augmentation()(*digits, COUNTS, np.random.default_rng(7))
    alone = Augmentation(**{name: getattr(ALL, name)})(*digits, COUNTS, np.random.default_rng(7))
    assert [row.tolist() for row in alone.labels] == [[3, 1], [4], [1, 5, 9]]
    places = name in ("gap", "overlap", "close", "margin")
    assert (alone.images.shape != plain.images.shape or not np.array_equal(alone.images, plain.images))
    assert np.array_equal(alone.widths, plain.widths) != places
    assert 0 <= alone.images.min() and alone.images.max() <= 1


def test_the_same_generator_gives_the_same_rows_and_uses_the_same_draws(digits):
    one, two = (ALL(*digits, COUNTS, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.images, two.images)
    after = []
    for amounts in (ALL._replace(close=0, margin=0, blur=0), Augmentation()):
        rng = np.random.default_rng(5)
        amounts(*digits, COUNTS, rng)
        after.append(rng.bit_generator.state)
    assert after[0] == after[1], "options that are switched off still draw their numbers"


def test_close_rows_leave_the_digits_of_the_others_as_they_were(digits):
    images, labels = digits
    amounts = ALL._replace(margin=0, blur=0)
    without, some = (amounts._replace(close=share)(*digits, np.full(3, 2), np.random.default_rng(4))
                     for share in (0, 0.5))
    same = [np.array_equal(a[:, :w], b[:, :w]) and w == v for a, b, w, v in
            zip(without.images, some.images, without.widths, some.widths)]
    assert True in same and False in same


def test_about_a_quarter_of_the_rows_are_blurred_and_keep_their_ink(rng):
    images = np.zeros((200, 28, 28), np.uint8)
    images[:, 10:18, 13:15] = 255
    batch = Augmentation(blur=1.5)(images, np.zeros(200, np.uint8), np.ones(200, int), rng)
    blurred = (batch.images != images / np.float32(255)).any(axis=(1, 2))
    assert 0.15 < blurred.mean() < 0.35
    assert_close(batch.images.sum(axis=(1, 2)), np.full(200, 16.0), 1e-4, "ink of each row")
    assert batch.images[blurred].max(axis=(1, 2)).min() < 0.7


@pytest.mark.parametrize("close", [0, 1], ids=["boxes", "close"])
def test_half_of_the_ends_get_a_margin_and_no_ink_changes(digits, close):
    """Rows of one digit: if they are close, they get their margins on top."""
    images, labels = (np.repeat(each, 50, axis=0) for each in digits)
    rng = np.random.default_rng(3)
    batch = Augmentation(close=close, margin=5)(images, labels, np.ones(300, int), rng)
    margins = []
    for row, width, image in zip(batch.images, batch.widths, images):
        inked = np.flatnonzero(row.any(axis=0))
        before = inked[0] - np.flatnonzero(image.any(axis=0))[0]
        alone = np.pad(image / np.float32(255), ((0, 0), (before, row.shape[1] - 28 - before)))
        np.testing.assert_array_equal(row, alone)
        margins.append((before, width - 28 - before))
    for end in np.transpose(margins):       # none: 6 of the 11 numbers from -5 to 5
        assert set(end.tolist()) == {0, 1, 2, 3, 4, 5} and 0.45 < (end == 0).mean() < 0.65
    assert abs(np.corrcoef(np.transpose(margins))[0, 1]) < 0.2, "the two ends get margins of their own"


@pytest.mark.parametrize("gap, overlap", [(0, 5), (5, 0), (2, 3)])
def test_gaps_and_overlaps_keep_their_bounds_and_reach_them(rng, gap, overlap):
    K = 120
    images, labels = np.full((K, 28, 28), 255, np.uint8), np.zeros(K, np.uint8)
    batch = Augmentation(gap=gap, overlap=overlap)(images, labels, np.full(K // 2, 2), rng)
    extra = batch.widths - 2 * 28
    assert sorted(set(extra.tolist())) == list(range(-overlap, gap + 1))
    for row, width in zip(batch.images, batch.widths):
        empty = np.flatnonzero(row[0, :width] == 0)
        assert empty.tolist() == list(range(28, width - 28)), "gaps lie between the boxes"
        assert not row[:, width:].any()


def test_where_boxes_overlap_the_darker_ink_stays(digits):
    images, labels = digits
    for seed in range(20):
        batch = Augmentation(overlap=9)(images[:2], labels[:2], np.array([2]), np.random.default_rng(seed))
        left = int(batch.widths[0]) - 28
        first = np.pad(images[0], ((0, 0), (0, left)))
        second = np.pad(images[1], ((0, 0), (left, 0)))
        np.testing.assert_array_equal(batch.images[0], np.maximum(first, second) / np.float32(255))


def test_the_sampler_hands_its_generator_to_the_augmentation(digits):
    one, two = (RowSampler(*digits, (1, 3), np.random.default_rng(0), ALL) for _ in range(2))
    first, second = one.batch(4), one.batch(4)
    np.testing.assert_array_equal(first.images, two.batch(4).images)
    assert first.images.shape != second.images.shape or not np.array_equal(first.images, second.images)


@pytest.mark.parametrize("amounts, only", [
    *((ALL, slice(*rows)) for rows in [(0, 0), (0, 2), (1, 2), (1, 3), (3, 3)]),
    (Augmentation(), slice(1, 2)), (Augmentation(rotate=10, wave=1), slice(1, 3)),
])
def test_rows_drawn_alone_have_the_pixels_that_they_have_among_all(digits, amounts, only):
    """The generator goes on from the same state, too."""
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    whole, part = (amounts(*digits, COUNTS, rng, rows) for rng, rows in zip(rngs, (slice(None), only)))
    assert rngs[0].random() == rngs[1].random()
    np.testing.assert_array_equal(whole.widths[only], part.widths[only])
    for width, expected, found in zip(whole.widths[only], whole.images[only], part.images[only]):
        np.testing.assert_array_equal(expected[:, :width], found[:, :width])
        assert not found[:, width:].any()
    others = np.delete(np.arange(len(COUNTS)), only)
    assert not part.images[others].any()
    assert [row.tolist() for row in whole.labels] == [row.tolist() for row in part.labels]
