"""Images of any size and colour come out as the rows a model has learnt from, and are read alike."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from benchmarks.reading import draw
from ctc_scratch import plots
from ctc_scratch.commands.main import main
from ctc_scratch.ctc.reference import log_likelihood, log_softmax
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model import model_file
from ctc_scratch.digits.model.evaluate import model_logits, read_rows
from ctc_scratch.digits.model.model_file import save_model
from ctc_scratch.digits.model.reader import CLASS_NAMES, RowReader, digits_to_labels
from ctc_scratch.digits.reading import read as reading
from ctc_scratch.digits.reading.image_file import HIGHEST, KEPT
from ctc_scratch.digits.reading.ink import otsu
from ctc_scratch.digits.reading.pieces import find_pieces
from ctc_scratch.digits.reading.row import CENTRE, load_row, make_row


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def rows(mnist):
    """Forty rows of five test digits, (40, 28, 140)."""
    return consecutive_rows(mnist.test_images[:200], mnist.test_labels[:200], 5)[0]


def paste(row, size=1.0, light=False, margins=(0, 0, 0, 0), quality=0):
    """A row (28, W) as a picture; with a quality, as JPEG makes it."""
    picture = draw(row, size, light, margins)
    if quality:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        picture = Image.open(file)
    return picture


def grey(picture):
    return np.asarray(picture, np.float32)


PASTED = {
    "as it is": dict(light=True),
    "dark": dict(),
    "margins": dict(margins=(40, 11, 3, 70)),
    "large": dict(size=6.0, margins=(10, 20, 30, 5)),
    "small": dict(size=0.7, light=True, margins=(7, 0, 0, 3)),
    "JPEG 90": dict(size=2.0, quality=90, margins=(5, 5, 5, 5)),
    "JPEG 30": dict(size=3.3, light=True, quality=30, margins=(0, 31, 50, 8)),
}


@pytest.mark.parametrize("how", PASTED.values(), ids=PASTED)
def test_a_pasted_row_comes_out_as_it_was(how, rows):
    """Each digit lies where it lay but for the part of a pixel by which MNIST misses its centre."""
    for row in rows:
        made = make_row(grey(paste(row, **how))).pixels
        assert made.shape == row.shape and made.dtype == np.float32
        assert made.min() >= 0 and made.max() <= 1
        alike = np.corrcoef(made.ravel(), row.ravel())[0, 1]
        assert alike > 0.85, f"correlation {alike}"
        for box in np.split(made, 5, axis=1):
            mass = box / box.sum()
            centre = [mass.sum(axis=1 - k) @ (np.arange(28) + 0.5) for k in (0, 1)]
            assert np.abs(np.array(centre) - CENTRE).max() < 0.35, f"centre of mass {centre}"


def test_light_that_falls_off_and_grain_are_no_ink(rows, rng):
    for row in rows[:10]:
        picture = grey(paste(row, 3.0, margins=(60, 40, 60, 40)))
        height, width = picture.shape
        light = 0.9 - 0.4 * np.linspace(0, 1, width) - 0.2 * np.linspace(0, 1, height)[:, None]
        photo = (0.3 + 0.7 * picture / 255) * light * 255 + rng.normal(0, 3, picture.shape)
        made = make_row(photo.astype(np.float32)).pixels
        assert made.shape == row.shape
        assert np.corrcoef(made.ravel(), row.ravel())[0, 1] > 0.85
        assert (made == 0).mean() > 0.6, "paper is exactly 0"


def test_uneven_spaces_and_a_crooked_line_become_boxes_side_by_side(rows):
    digits = np.split(rows[0], 5, axis=1)
    page = np.zeros((80, 400), np.float32)
    lefts = [3, 40, 150, 181, 350]
    for k, (digit, left) in enumerate(zip(digits, lefts)):
        page[10 * k:10 * k + 28, left:left + 28] = digit
    made = make_row(page)
    assert made.pixels.shape == (28, 140)
    assert np.corrcoef(made.pixels.ravel(), rows[0].ravel())[0, 1] > 0.85
    assert [(box.left, box.right) for box in made.boxes] == [(28 * k, 28 * k + 28) for k in range(5)]
    for k, left in enumerate(lefts):        # and each place can be found again
        first, last = made.place(28 * k + 5, 28 * k + 20)
        assert abs(first - left - 5) < 1 and abs(last - left - 20) < 1


def test_no_place_reaches_over_a_close_neighbour():
    """Strokes 3 wide and 3 apart, each in a box of 28 columns, whose place ends halfway between them."""
    page = np.zeros((40, 90), np.float32)
    for left in (30, 36, 42):
        page[10:30, left:left + 3] = 1
    row = make_row(page, scale=2.0)
    assert [box[:2] for box in row.boxes] == [(0, 28), (28, 56), (56, 84)]
    assert row.place(28, 56) == (2 * 34, 2 * 40)
    assert row.place(0, 28) == pytest.approx((2 * 17, 2 * 34), abs=0.1), "there is no neighbour on the left"
    assert row.place(40, 44) == pytest.approx((2 * 35, 2 * 39), abs=0.1), "what is within stays"
    for margin in ((28, 32), (52, 56)):         # nothing but what stands for the neighbours' ink
        first, last = row.place(*margin)
        assert 2 * 34 <= first < last <= 2 * 40 and last - first == row.boxes[1].step


def test_dirt_is_left_out_and_a_broken_digit_stays_whole():
    page = np.zeros((40, 90), np.float32)
    page[10:30, 10:20] = 1
    page[4:6, 50:52] = 1                                # far from everything
    page[10:30, 70:78], page[10:13, 80:86] = 1, 1       # a stroke that nearly reaches its digit
    assert find_pieces(page) == [(10, 20, 10, 30), (70, 86, 10, 30)]


def test_digits_that_touch_keep_their_places_in_a_box_as_wide_as_two():
    page = np.zeros((40, 90), np.float32)
    page[10:30, 20:61] = 1
    made = make_row(page)
    assert made.pixels.shape == (28, 56)
    np.testing.assert_array_equal(np.flatnonzero(made.pixels.max(axis=0) > 0.5)[[0, -1]], [8, 48])


# ---- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16", "RGBA", "LA", "1"])
def test_every_kind_of_pixel_gives_the_same_row(mode, rows, tmp_path):
    picture = paste(rows[0], 2.0, margins=(9, 9, 9, 9))
    expected = make_row(grey(picture)).pixels
    if mode in ("RGBA", "LA"):      # ink on glass; what lies under glass does not count
        ink = Image.new(mode, picture.size, 0)
        ink.putalpha(Image.fromarray(255 - np.asarray(picture)))
        picture = ink
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 200)
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png").pixels
    assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > (0.95 if mode == "1" else 0.99)


def test_a_photograph_taken_sideways_is_turned_upright(rows, tmp_path):
    picture = paste(rows[0], 2.0, margins=(9, 9, 9, 9))
    turned = Image.Exif()
    turned[0x0112] = 6      # the camera's "turn me clockwise"
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "row.png", exif=turned)
    np.testing.assert_array_equal(load_row(tmp_path / "row.png").pixels, make_row(grey(picture)).pixels)


def test_a_large_image_is_reduced_and_places_count_its_own_pixels(rows, tmp_path):
    paste(rows[0], 20.0, margins=(100, 500, 300, 500)).save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png")
    assert made.grey.size <= KEPT and made.scale == 2
    assert np.corrcoef(made.pixels.ravel(), rows[0].ravel())[0, 1] > 0.85
    first, last = made.place(28, 56)
    assert abs(first - (100 + 20 * 28)) < 25 and abs(last - (100 + 20 * 56)) < 25


def test_paper_around_a_high_line_does_not_fill_the_memory(tmp_path):
    line = np.zeros((60_000, 3), np.uint8)
    line[10:-10, 1] = 255
    Image.fromarray(line).save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png")
    assert made.pixels.shape == (28, 28) and len(made.grey) <= HIGHEST


def bad_file(kind, path):
    if kind == "a folder":
        path.mkdir()
    elif kind == "that are none":
        path.write_text("no image")
    elif kind == "a damaged one":
        Image.fromarray(np.uint8(np.random.default_rng(0).integers(256, size=(99, 99)))).save(path, "PNG")
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "found no ink":
        Image.new("L", (50, 30), 255).save(path, "PNG")
    elif kind == "found nothing that stands out":
        Image.fromarray(np.uint8(np.random.default_rng(0).normal(128, 9, (60, 200)))).save(path, "PNG")
    elif kind.endswith("no numbers"):
        grey = np.ones((30, 50), np.float32)
        grey[10:20, 20:30] = [[np.nan], *9 * [[0]]]
        Image.fromarray(grey).save(path, "TIFF")
    elif kind.startswith("expected a row of at most"):
        hairline = np.full((9, 60_000), 255, np.uint8)
        hairline[3, 5:-5] = 0
        Image.fromarray(hairline).save(path, "PNG")


@pytest.mark.parametrize("kind", [
    "no such file", "a folder", "that are none", "a damaged one", "found no ink",
    "found nothing that stands out", "at most 1000 pixels, found more",
    "expected finite grey values, found some that are infinite or no numbers",
    "expected a row of at most 1000 digits, found one as wide as 42851",
])
def test_a_file_that_cannot_be_read_is_one_line_and_status_2(kind, rows, tmp_path, monkeypatch, capsys):
    path, good = tmp_path / "row.png", tmp_path / "good.png"
    paste(rows[0]).save(good)
    save_model(tmp_path / "model.npz", small_model())
    bad_file(kind, path)
    if kind.startswith("at most"):
        paste(rows[0]).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    files = [str(path), str(good)] if kind.startswith("at most") else [str(good), str(path)]
    assert main(["read", *files, "--model", str(tmp_path), "--figure", str(tmp_path / "pictures")]) == 2
    captured = capsys.readouterr()
    assert kind in captured.err and str(path) in captured.err and len(captured.err.splitlines()) == 1
    assert captured.out == "" and not (tmp_path / "pictures").exists(), "nothing is done before all is well"


# ---- reading ------------------------------------------------------------------------------


def small_model():
    """It knows nothing, but says so with spread-out probabilities."""
    model = RowReader(hidden=8, window=7, rng=np.random.default_rng(5))
    model.params["output.weight"] *= 20
    return model


def test_read_says_what_evaluate_would_say_of_the_same_row(rows):
    model = small_model()
    for row in rows[:10]:
        made = make_row(grey(paste(row)))
        for decoder in ("greedy", "beam"):
            found, = reading.read_row(model, made, decoder)
            assert [digit.digit for digit in found.digits] == read_rows(model, made.pixels[None], decoder)[0]


def test_readings_are_in_order_with_their_exact_probability(rows):
    model = small_model()
    made = make_row(grey(paste(rows[0])))
    found = reading.read_row(model, made, "beam", top=20)
    assert len(found) == 20 == len({reading.text for reading in found})
    probabilities = [reading.probability for reading in found]
    assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1
    logits = model_logits(model, made.pixels[None])[0][:, 0].astype(np.float64)
    for one in found[:3]:
        labels = digits_to_labels([digit.digit for digit in one.digits])
        log_probs = log_softmax(logits)
        assert one.probability == pytest.approx(np.exp(log_likelihood(log_probs, labels)), rel=1e-9)
        for digit, label in zip(one.digits, labels):
            frames = slice(digit.first // 7, digit.last // 7)
            assert digit.confidence == pytest.approx(np.exp(log_probs[frames, label]).mean(), rel=1e-6)
            assert digit.first < digit.last and digit.left < digit.right
    best, = reading.read_row(model, made, "map")
    assert best.probability >= probabilities[0] * (1 - 1e-9)


def test_read_prints_a_table_and_draws_pictures(rows, tmp_path, capsys):
    save_model(tmp_path / "model.npz", small_model())
    names = [str(tmp_path / name) for name in ("one.png", "two.jpg")]
    for name, row in zip(names, rows):
        paste(row, 2.0, quality=80).save(name)
    assert main(["read", *names, "--model", str(tmp_path), "--top", "3",
                 "--figure", str(tmp_path / "pictures")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "image digits probability confidence of each digit".split()
    assert [line.split()[0] for line in (lines[1], lines[4])] == names
    assert all(line.startswith(" ") for line in lines[2:4] + lines[5:7])
    for name in ("one.png.read.png", "two.jpg.read.png"):
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert picture.width > 400


def test_the_figure_marks_each_digit_in_the_image_and_in_the_row(rng):
    marks = [plots.Mark("7", 0.91, 20.0, 40.0, 7.0, 14.0), plots.Mark("3", 0.5, 90.0, 120.0, 35.0, 42.0)]
    grey, row, probs = rng.random((60, 200)), rng.random((28, 56)), rng.dirichlet(np.ones(11), 8)
    figure = plots.where_read_figure(grey, row, probs, marks, 7, CLASS_NAMES, 0, "row.png: 73")
    top, middle, _ = figure.axes
    assert [(text.xy[0], text.get_text()) for text in top.texts] == [(30.0, "7"), (105.0, "3")]
    assert [(text.xy[0], text.get_text()) for text in middle.texts] == [(10.5, "7\n0.91"), (38.5, "3\n0.50")]
    for ax, edges in ((top, [(20, 40), (90, 120)]), (middle, [(7, 14), (35, 42)])):
        # A rectangle, which was a polygon up to matplotlib 3.8.
        corners = [patch.get_patch_transform().transform(patch.get_path().vertices) for patch in ax.patches]
        assert [(x.min(), x.max()) for x, _ in map(np.transpose, corners)] == edges


# ---- which model, and what can be asked of it ---------------------------------------------


def test_the_model_is_a_run_s_a_file_or_the_packaged_one(tmp_path, monkeypatch):
    assert model_file.find_model("runs/one") == os.path.join("runs/one", "model.npz")
    assert model_file.find_model("one.npz") == "one.npz"
    (tmp_path / "run.npz").mkdir()
    assert model_file.find_model(tmp_path / "run.npz") == str(tmp_path / "run.npz" / "model.npz")
    monkeypatch.setattr(model_file, "PACKAGED", tmp_path / "trained.npz")
    with pytest.raises(ArchiveError, match="no run is named, and this package holds no trained model"):
        model_file.find_model()
    save_model(tmp_path / "trained.npz", small_model())
    assert model_file.find_model() == str(tmp_path / "trained.npz")


@pytest.mark.parametrize("verb", [["read", "row.png"], ["evaluate"]], ids=["read", "evaluate"])
def test_without_a_model_one_line_says_so(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_file, "PACKAGED", tmp_path / "trained.npz")
    assert main(verb) == 2
    err = capsys.readouterr().err
    assert "holds no trained model" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("options, message", [
    (["--top", "0"], "--top must be at least 1, not 0"),
    (["--top", "2", "--decoder", "map"], "--top 2 needs --decoder beam; map gives a single reading"),
    (["--figure", "PICTURES"], "to the same file"),
])
def test_what_cannot_be_asked(options, message, rows, tmp_path, capsys):
    save_model(tmp_path / "model.npz", small_model())
    paste(rows[0]).save(tmp_path / "row.png")
    row = str(tmp_path / "row.png")
    options = [option.replace("PICTURES", str(tmp_path / "pictures")) for option in options]
    assert main(["read", row, row, "--model", str(tmp_path), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1 and not captured.out
    assert not (tmp_path / "pictures").exists()


def test_no_picture_takes_the_place_of_an_image(rows, tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("row.png", "row.png.read.png")]
    for name in names:
        paste(rows[0]).save(name)
    before = (tmp_path / "row.png.read.png").read_bytes()
    assert main(["read", *names, "--figure", str(tmp_path)]) == 2
    assert f"--figure would draw {names[0]} over {names[1]}, an image to read" in capsys.readouterr().err
    assert (tmp_path / "row.png.read.png").read_bytes() == before


def test_a_threshold_between_values_that_hardly_differ():
    values = 1 + np.arange(5) * 2.0**-52
    assert values[0] < otsu(values) < values[-1]
