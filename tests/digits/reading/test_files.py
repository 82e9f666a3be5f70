"""Image files are found, read and reported; if one cannot be read, the others still are."""

import csv
import io
import json
import os
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.commands.main import main
from ctc_scratch.digits.model.model_file import save_model
from ctc_scratch.digits.reading import report
from ctc_scratch.digits.reading.files import read_files
from ctc_scratch.digits.reading.read import Digit, Reading
from tests.digits.reading.conftest import paste, small_model


@pytest.fixture
def folder(tmp_path):
    """A folder with a model in it."""
    save_model(tmp_path / "model.npz", small_model())
    return tmp_path


def run(folder, *arguments):
    return main(["read", *map(str, arguments), "--model", str(folder)])


# ---- what is printed ------------------------------------------------------------------------


def test_read_prints_a_table_and_draws_pictures(rows, folder, capsys):
    names = [str(folder / name) for name in ("one.png", "two.jpg")]
    for name, row in zip(names, rows):
        paste(row, 2.0, quality=80).save(name)
    assert run(folder, *names, "--top", "3", "--figure", folder / "pictures") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "image digits probability confidence of each digit".split()
    firsts = [line.split()[0].lstrip(".") for line in lines if line[0] not in " -"][1:3]
    assert all(name.endswith(first) for name, first in zip(names, firsts))
    assert max(map(len, lines[:7])) <= 80
    for name in ("one.png.read.png", "two.jpg.read.png"):
        with Image.open(folder / "pictures" / name) as picture:
            assert picture.width > 400


def read(name, *readings, left_out=()):
    line = report.ReadLine(list(readings), [0.5] * len(readings), "digits seem to touch", 3.0, 40.0)
    return report.ReadImage(name, [line], Counter(left_out))


@pytest.mark.parametrize("name, count", [
    ("one.png", 13), ("x" * 200, 13), ("one.png", 200), ("x" * 70, 1000)])
def test_every_table_fits_80_columns(name, count):
    digits = [Digit(k % 10, k / (count + 1), 0, 1, 0, 1) for k in range(count)]
    images = [read(name, Reading(digits, 0.5, True)),
              read("two.png", Reading(digits[:2], 0.25, False), left_out=["speck", "speck", "rule"])]
    text = report.table(images)
    assert max(map(len, text.splitlines())) <= 80
    for k, digit in enumerate(digits):
        assert f"{k % 10} {digit.confidence:.3f}" in text
    joined = "".join(text.split())
    assert "".join(str(digit.digit) for digit in digits) in joined
    assert "left out: 2 specks, 1 rule" in text and "not sure: digits seem to touch" in text


def test_json_and_csv_say_what_the_table_says_and_more(rows, folder, capsys):
    paste(rows[0], 2.0).save(folder / "one.png")
    (folder / "bad.png").write_text("no image")
    arguments = folder / "one.png", folder / "bad.png", "--top", 2
    assert run(folder, *arguments, "--json") == 2
    good, bad = json.loads(capsys.readouterr().out)
    assert bad["image"] == str(folder / "bad.png") and "that are not one" in bad["error"]
    line, = good["lines"]
    assert 0 <= line["top"] < line["bottom"] <= 56 and len(line["readings"]) == 2
    first = line["readings"][0]
    assert first["digits"] == "".join(str(each["digit"]) for each in first["each"])
    assert all(each["left"] < each["right"] for each in first["each"])
    assert run(folder, *arguments, "--csv") == 2
    records = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(record["line"], record["rank"]) for record in records] == [("1", "1"), ("1", "2"), ("", "")]
    assert records[0]["digits"] == first["digits"] and "that are not one" in records[2]["error"]


def test_several_lines_are_read_line_by_line(rows, mnist, folder, capsys):
    lines = [np.asarray(paste(row, 3.0, margins=(20, 15, 20, 15))) for row in rows[:3]]
    Image.fromarray(np.concatenate(lines)).save(folder / "page.png")
    assert main(["read", str(folder / "page.png"), "--csv"]) == 0      # with the model of the package
    records = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [record["line"] for record in records] == ["1", "2", "3"]
    truth = mnist.test_labels[:15].reshape(3, 5)
    assert [record["digits"] for record in records] == ["".join(map(str, row)) for row in truth]


# ---- files ----------------------------------------------------------------------------------


def test_each_image_goes_through_the_network_once(rows, tmp_path, monkeypatch, capsys):
    names = [str(tmp_path / f"{k}.png") for k in range(2)]
    for name, row in zip(names, rows):
        paste(row).save(name)
    model, passes = small_model(), []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x, lengths: passes.append(len(x[0])) or forward(x, lengths))
    read_files(names, model, "beam", 3, str(tmp_path / "pictures"))
    assert passes == [1, 4, 1, 4], "the row itself, then its four redrawn variants"
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_a_folder_stands_for_the_images_in_it(rows, folder, capsys):
    inside = folder / "scans"
    inside.mkdir()
    for name, row in zip(("b.png", "a.JPG", ".hidden.png"), rows):
        paste(row).save(inside / name)
    (inside / "notes.txt").write_text("not an image, and not read")
    assert run(folder, inside, "--json") == 0
    assert [image["image"] for image in json.loads(capsys.readouterr().out)] == [
        str(inside / "a.JPG"), str(inside / "b.png")]


def test_an_image_is_read_from_standard_input(rows, folder, capsys, monkeypatch):
    paste(rows[0], 2.0).save(folder / "one.png")
    assert run(folder, folder / "one.png", "--json") == 0
    expected, = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((folder / "one.png").read_bytes())))
    assert run(folder, "-", "--json") == 0
    piped, = json.loads(capsys.readouterr().out)
    assert piped == {**expected, "image": "-"}


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
@pytest.mark.parametrize("name", [b"a $price$ {of_x^2.png", b"latin\xe9.png"])
def test_files_with_unusual_names_are_read_and_drawn(name, rows, folder, capsys):
    path = os.path.join(os.fsencode(folder), name)
    with open(path, "wb") as file:
        paste(rows[0], 2.0).save(file, "PNG")
    assert run(folder, os.fsdecode(path), "--figure", folder / "pictures") == 0
    assert "wrote" in capsys.readouterr().out
    assert len(list((folder / "pictures").iterdir())) == 1


# ---- unreadable files and wrong options -----------------------------------------------------

def bad_file(kind, path):
    if kind == "that are not one":
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
    elif kind == "expected a row of digits, found no ink":
        hairline = np.full((9, 60_000), 255, np.uint8)
        hairline[3, 5:-5] = 0
        Image.fromarray(hairline).save(path, "PNG")


@pytest.mark.parametrize("kind", [
    "no such file", "that are not one", "a damaged one", "found no ink",
    "found nothing that stands out", "at most 5000 pixels, found more",
    "expected finite grey values, found some that are infinite or NaN",
    pytest.param("expected a row of digits, found no ink", marks=pytest.mark.slow),
])
def test_a_bad_file_gives_one_line_and_status_2_and_the_others_are_read(
        kind, rows, folder, monkeypatch, capsys):
    path, good = folder / "row.png", folder / "good.png"
    paste(rows[0]).save(good)
    bad_file(kind, path)
    if kind.startswith("at most"):
        paste(rows[0], 2.0).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    pictures = ["--figure", folder / "pictures"] if kind == "no such file" else []      # a second each
    assert run(folder, path, good, *pictures) == 2
    captured = capsys.readouterr()
    error, = [line for line in captured.err.splitlines() if line.startswith("ctc-scratch")]
    assert kind in error and str(path) in error
    assert "good.png" in captured.out
    assert not pictures or os.listdir(folder / "pictures") == ["good.png.read.png"]


@pytest.mark.parametrize("options, message", [
    (["--top", "0"], "--top must be at least 1, not 0"),
    (["--top", "2", "--decoder", "map"], "--top 2 needs --decoder beam; map gives a single reading"),
    (["--figure", "PICTURES"], "to the same file"),
])
def test_options_that_cannot_be_used_are_refused(options, message, rows, folder, capsys):
    paste(rows[0]).save(folder / "row.png")
    row = str(folder / "row.png")
    options = [option.replace("PICTURES", str(folder / "pictures")) for option in options]
    assert run(folder, row, row, *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.splitlines()) == 1 and not captured.out
    assert not (folder / "pictures").exists()


def test_a_folder_without_images_is_refused(folder, capsys):
    (folder / "empty").mkdir()
    assert run(folder, folder / "empty") == 2
    assert "expected a folder with images in it" in capsys.readouterr().err


def test_no_figure_overwrites_an_image_to_read(rows, tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("row.png", "row.png.read.png")]
    for name in names:
        paste(rows[0]).save(name)
    before = (tmp_path / "row.png.read.png").read_bytes()
    assert main(["read", *names, "--figure", str(tmp_path)]) == 2
    assert f"--figure would draw {names[0]} over {names[1]}, an image to read" in capsys.readouterr().err
    assert (tmp_path / "row.png.read.png").read_bytes() == before
