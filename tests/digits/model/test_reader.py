"""Rows are cut into frames exactly, and backward is the gradient of forward."""

import numpy as np
import pytest

from ctc_scratch.digits.model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels, labels_to_digits
from ctc_scratch.digits.model.vertical import MARGIN

SHAPES = {
    "one_layer": dict(hidden=3, layers=1, bidirectional=True, window=4, vertical=0),
    "two_layers": dict(hidden=2, layers=2, bidirectional=True, window=5, vertical=0),
    "forward_only": dict(hidden=3, layers=2, bidirectional=False, window=4, vertical=0),
    "single_columns": dict(hidden=2, layers=1, bidirectional=True, window=1, vertical=0),
    "vertical": dict(hidden=2, layers=1, bidirectional=True, window=4, vertical=2),
    "vertical_forward": dict(hidden=2, layers=1, bidirectional=False, window=5, vertical=1),
}
any_shape = pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())


def make_rows(rng, widths):
    images = rng.random((len(widths), 28, max(widths)))
    for image, width in zip(images, widths):
        image[:, width:] = 0
    return images, np.array(widths)


def test_a_reader_prints_in_one_line(rng):
    model = RowReader(hidden=1, window=2, rng=rng)
    assert repr(model) == ("RowReader(hidden=1, layers=1, bidirectional=True, window=2, vertical=0): "
                           f"{sum(param.size for param in model.params.values())} float32 weights")


# ---- digits and labels --------------------------------------------------------------------


def test_digit_d_is_class_d_plus_1_and_blank_is_class_0():
    assert [CLASS_NAMES[c] for c in digits_to_labels(range(10))] == list("0123456789")
    assert CLASS_NAMES[BLANK] == "blank"
    assert labels_to_digits(digits_to_labels(range(10))).tolist() == list(range(10))
    assert digits_to_labels([]).tolist() == labels_to_digits([]).tolist() == []


def test_numbers_that_are_no_digits_or_labels_are_refused():
    with pytest.raises(ValueError, match=r"digits must be 0\.\.9, not 3\.\.10"):
        digits_to_labels([10, 3])
    with pytest.raises(ValueError, match=r"labels of digits must be 1\.\.10, not 0\.\.5"):
        labels_to_digits([5, BLANK])


# ---- frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 4, 28, 100])
def test_each_frame_holds_its_columns_and_the_last_is_padded(rng, window):
    images, widths = make_rows(rng, [84, 28, 83])
    model = RowReader(hidden=1, window=window, rng=rng, dtype=np.float64)
    x, lengths = model.frames(images, widths)
    expected = [-(-width // window) for width in widths]
    assert lengths.tolist() == expected
    assert x.shape == (max(expected), 3, 28 * window)
    for n, image in enumerate(images):
        for t in range(len(x)):
            columns = image[:, t * window:(t + 1) * window]
            columns = np.pad(columns, ((0, 0), (0, window - columns.shape[1])))
            np.testing.assert_array_equal(x[t, n], columns.T.ravel(), err_msg=f"row {n} frame {t}")


def test_pixels_to_the_right_of_a_row_are_never_read(rng):
    images, widths = make_rows(rng, [84, 30])
    model = RowReader(hidden=1, rng=rng)
    x, lengths = model.frames(images, widths)
    spoilt = np.full((2, 28, 100), np.nan)
    for n, width in enumerate(widths):
        spoilt[n, :, :width] = images[n, :, :width]
    x_spoilt, lengths_spoilt = model.frames(spoilt, widths)
    np.testing.assert_array_equal(x_spoilt, x)
    np.testing.assert_array_equal(lengths_spoilt, lengths)


def test_rows_of_width_0_have_no_frames(rng):
    x, lengths = RowReader(hidden=1, rng=rng).frames(np.zeros((2, 28, 0)), np.zeros(2, int))
    assert x.shape == (0, 2, 112) and lengths.tolist() == [0, 0]


def test_errors_for_bad_arguments_hold_their_numbers(rng):
    model = RowReader(hidden=1, rng=rng)
    with pytest.raises(ValueError, match=r"not \(2, 27, 56\) and \(2,\)"):
        model.frames(np.zeros((2, 27, 56)), np.array([56, 56]))
    with pytest.raises(ValueError, match=r"not \(2, 28, 56\) and \(3,\)"):
        model.frames(np.zeros((2, 28, 56)), np.array([56, 56, 56]))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], not uint8"):
        model.frames(np.zeros((2, 28, 56), np.uint8), np.array([56, 56]))
    with pytest.raises(ValueError, match=r"from 0 to W = 56, not 28\.\.57"):
        model.frames(np.zeros((2, 28, 56)), np.array([57, 28]))
    for name in ("hidden", "layers", "window"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
            RowReader(**{name: 0}, rng=rng)


# ---- the network --------------------------------------------------------------------------


@any_shape
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_gives_11_scores_per_frame_in_the_dtype_of_the_model(rng, config, dtype):
    model = RowReader(**config, rng=rng, dtype=dtype)
    x, lengths = model.frames(*make_rows(rng, [56, 28]))
    logits, _ = model.forward(x, lengths)
    assert logits.shape == (-(-56 // config["window"]), 2, 11)
    assert logits.dtype == x.dtype == dtype
    assert {param.dtype for param in model.params.values()} == {np.dtype(dtype)}


def test_the_matrices_are_the_weights_of_all_lstms(rng):
    for vertical, layers in (0, ["lstm1"]), (2, ["vertical", "lstm1"]):
        model = RowReader(hidden=3, layers=1, window=4, vertical=vertical, rng=rng)
        assert model.matrices == {f"{layer}.{direction}.weight_{kind}": 4 for layer in layers
                                  for direction in ("forward", "reverse") for kind in ("ih", "hh")}


@any_shape
def test_a_row_is_read_the_same_alone_and_in_a_batch(rng, config):
    model = RowReader(**config, rng=rng, dtype=np.float64)
    images, widths = make_rows(rng, [84, 28, 57])
    logits, _ = model.forward(*model.frames(images, widths))
    for n, width in enumerate(widths):
        alone, _ = model.forward(*model.frames(images[n:n + 1, :, :width], widths[n:n + 1]))
        T = len(alone)
        np.testing.assert_allclose(logits[:T, n], alone[:, 0], rtol=0, atol=1e-13)


@any_shape
def test_only_a_bidirectional_reader_depends_on_later_columns(rng, config):
    model = RowReader(**config, rng=rng, dtype=np.float64)
    images, widths = make_rows(rng, [56])
    before, _ = model.forward(*model.frames(images, widths))
    images[:, :, -1] += 1
    after, _ = model.forward(*model.frames(images, widths))
    moved = np.abs(after - before).max(axis=(1, 2)) > 0
    margin = MARGIN if config.get("vertical") else 0
    sees = (np.arange(len(moved)) + 1) * config["window"] + margin > 55
    assert moved[sees].all()
    assert moved[~sees].any() == config["bidirectional"]


@any_shape
def test_backward_is_the_gradient_of_forward(rng, config):
    """d<weights, logits>/dparam by central differences, for four random entries of each parameter."""
    model = RowReader(**config, rng=rng, dtype=np.float64)
    x, lengths = model.frames(*make_rows(rng, [40, 28]))
    weights = rng.normal(size=(len(x), 2, 11))
    for n, T in enumerate(lengths):
        weights[T:, n] = 0      # padded frames do not count in any loss
    _, cache = model.forward(x, lengths)
    grads = model.backward(weights, cache)
    assert grads.keys() == model.params.keys()

    step = 1e-5
    for name, param in model.params.items():
        largest = np.abs(grads[name]).max()
        assert largest > 0, f"{name} has no gradient"
        for place in map(tuple, rng.integers(param.shape, size=(4, param.ndim))):
            kept = param[place]
            sides = []
            for param[place] in (kept + step, kept - step):
                logits, _ = model.forward(x, lengths)
                sides.append((weights * logits).sum())
            param[place] = kept
            numeric = (sides[0] - sides[1]) / (2 * step)
            analytic = grads[name][place]
            assert analytic == pytest.approx(numeric, rel=1e-6, abs=1e-7 * largest + 1e-9), \
                f"{name}{place}: analytic {analytic}, numeric {numeric}"


@any_shape
def test_the_gradient_of_the_pixels_is_that_of_the_scores(rng, config):
    """d<weights, logits>/dpixel by central differences, for pixels of every frame, row and column."""
    model = RowReader(**config, rng=rng, dtype=np.float64)
    images, widths = make_rows(rng, [40, 28])
    logits, cache = model.forward(*model.frames(images, widths))
    weights = rng.normal(size=logits.shape)
    grads = model.input_gradient(weights, cache)
    T = len(logits)
    assert grads.shape == (2, 28, T * config["window"])
    assert not grads[1, :, -(-28 // config["window"]) * config["window"]:].any(), "there are no frames"
    for n, width in enumerate(widths):
        places = np.arange(width), rng.integers(28, size=width), np.arange(width)   # one pixel per column
        moved = np.zeros((width, 28, width))
        moved[places] = 1e-5
        sides = []
        for images_of_row in (images[n, :, :width] + moved, images[n, :, :width] - moved):
            found, _ = model.forward(*model.frames(images_of_row, np.full(width, width)))
            sides.append(np.einsum("tc,tnc->n", weights[:len(found), n], found))
        np.testing.assert_allclose(grads[n][places[1:]], (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-8)


@any_shape
def test_config_gives_the_same_shapes_and_the_generator_the_same_weights(config):
    model, twin, other = (RowReader(**config, rng=np.random.default_rng(seed))
                          for seed in (1, 1, 2))
    rebuilt = RowReader(**model.config, rng=np.random.default_rng(1))
    assert rebuilt.config == model.config == config
    for name, param in model.params.items():
        np.testing.assert_array_equal(param, twin.params[name], strict=True)
        np.testing.assert_array_equal(param, rebuilt.params[name], strict=True)
    assert any((param != other.params[name]).any() for name, param in model.params.items())
