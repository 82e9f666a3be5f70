"""Image files are read like rows; unreadable files and wrong options give an error of one line."""

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.commands.main import main
from ctc_scratch.ctc.reference import log_likelihood, log_softmax
from ctc_scratch.digits.model.evaluate import model_logits, read_rows
from ctc_scratch.digits.model.model_file import save_model
from ctc_scratch.digits.model.reader import digits_to_labels
from ctc_scratch.digits.reading import read as reading
from ctc_scratch.digits.reading.row import make_row
from tests.digits.reading.conftest import grey, paste, small_model

# ---- what is read ------------------------------------------------------------------------


def test_an_image_is_read_as_evaluate_reads_the_same_row(rows):
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


def test_a_table_of_long_rows_fits_80_columns():
    digits = [reading.Digit(k % 10, 0.9 + k / 1000, 0, 1, 0, 1) for k in range(13)]
    found = [[reading.Reading(digits, 0.5, True)], [reading.Reading(digits[:2], 0.25, False)]]
    lines = reading.describe(["one.png", "two.png"], found).splitlines()
    assert len(lines) == 1 + 4 + 1 and max(map(len, lines)) <= 80
    confidences = " ".join(lines[1:5]).partition("(highest)")[2]
    assert confidences.split() == [text for k in range(13) for text in (str(k % 10), f"{0.9 + k / 1000:.3f}")]
    assert lines[5].split() == ["two.png", "01", "0.2500", "0", "0.900", "1", "0.901"]
    lines = reading.describe(["x" * 70], found[:1]).splitlines()
    assert len(lines) == 2, "a long name leaves no room to wrap the confidences"


def test_each_image_goes_through_the_network_once(rows, tmp_path, monkeypatch, capsys):
    names = [str(tmp_path / f"{k}.png") for k in range(2)]
    for name, row in zip(names, rows):
        paste(row).save(name)
    model, passes = small_model(), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x, lengths: passes.append(len(x[0])) or forward(x, lengths))
    reading.read_files(names, model, "beam", 3, str(tmp_path / "pictures"))
    assert passes == [1, 1] and len(list((tmp_path / "pictures").iterdir())) == 2


def test_rows_and_readings_print_in_one_line(rows):
    made = make_row(grey(paste(rows[0])))
    assert repr(made) == "Row(5 boxes, W=140, from an image of 140 x 28 pixels)"
    one = reading.Reading([reading.Digit(7, 0.98765, 3.2, 17.8, 4, 16)], 0.5, False)
    assert repr(one) == "Reading('7', probability=0.5000, proved=False)"
    assert repr(one.digits[0]) == "Digit(7, confidence=0.988, image=3..18, row=4..16)"


# ---- unreadable files and wrong options ---------------------------------------------------


def bad_file(kind, path):
    if kind == "a folder":
        path.mkdir()
    elif kind == "that are not one":
        path.write_text("no image")
    elif kind == "a damaged one":
        Image.fromarray(np.uint8(np.random.default_rng(0).integers(256, size=(99, 99)))).save(path, "PNG")
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "found no ink":
        Image.new("L", (50, 30), 255).save(path, "PNG")
    elif kind == "found nothing that stands out":
        Image.fromarray(np.uint8(np.random.default_rng(0).normal(128, 9, (60, 200)))).save(path, "PNG")
    elif kind.endswith("NaN"):
        grey = np.ones((30, 50), np.float32)
        grey[10:20, 20:30] = [[np.nan], *9 * [[0]]]
        Image.fromarray(grey).save(path, "TIFF")
    elif kind.startswith("expected a row of at most"):
        hairline = np.full((9, 60_000), 255, np.uint8)
        hairline[3, 5:-5] = 0
        Image.fromarray(hairline).save(path, "PNG")


@pytest.mark.parametrize("kind", [
    "no such file", "a folder", "that are not one", "a damaged one", "found no ink",
    "found nothing that stands out", "at most 1000 pixels, found more",
    "expected finite grey values, found some that are infinite or NaN",
    "expected a row of at most 1000 digits, found one as wide as 42851",
])
def test_a_file_that_cannot_be_read_gives_one_line_and_status_2(kind, rows, tmp_path, monkeypatch, capsys):
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
    assert captured.out == "" and not (tmp_path / "pictures").exists(), "some output was written"


@pytest.mark.parametrize("options, message", [
    (["--top", "0"], "--top must be at least 1, not 0"),
    (["--top", "2", "--decoder", "map"], "--top 2 needs --decoder beam; map gives a single reading"),
    (["--figure", "PICTURES"], "to the same file"),
])
def test_options_that_cannot_be_used_are_refused(options, message, rows, tmp_path, capsys):
    save_model(tmp_path / "model.npz", small_model())
    paste(rows[0]).save(tmp_path / "row.png")
    row = str(tmp_path / "row.png")
    options = [option.replace("PICTURES", str(tmp_path / "pictures")) for option in options]
    assert main(["read", row, row, "--model", str(tmp_path), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1 and not captured.out
    assert not (tmp_path / "pictures").exists()


def test_no_figure_overwrites_an_image_to_read(rows, tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("row.png", "row.png.read.png")]
    for name in names:
        paste(rows[0]).save(name)
    before = (tmp_path / "row.png.read.png").read_bytes()
    assert main(["read", *names, "--figure", str(tmp_path)]) == 2
    assert f"--figure would draw {names[0]} over {names[1]}, an image to read" in capsys.readouterr().err
    assert (tmp_path / "row.png.read.png").read_bytes() == before
