"""The options that `show` and `lattice` share: what each accepts, and what both refuse in one line."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ctc_scratch.commands import lattice as verb
from ctc_scratch.commands.figures import MOST_DIGITS
from ctc_scratch.commands.main import main
from ctc_scratch.ctc import ctc_loss
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.lessons.example import Wanted, unseen_row
from ctc_scratch.digits.model.evaluate import model_logits
from ctc_scratch.digits.model.model_file import find_model, load_model
from tests.tools.command_line import error_line


@pytest.mark.parametrize("name", ["show", "lattice"])
@pytest.mark.parametrize("arguments, message", [
    (["--format", "jpg"], "invalid choice: 'jpg'"),
    (["--dpi", "0"], "expected a number from 20 to 1200, not '0'"),
    (["--dpi", "1e3"], "expected a number from 20 to 1200, not '1e3'"),
    (["--digits", "7,x"], "expected 1 to 20 digits, like 7,2,1, not '7,x'"),
    (["--digits", "12"], "expected 1 to 20 digits, like 7,2,1, not '12'"),
    (["--digits", ""], "expected 1 to 20 digits, like 7,2,1, not ''"),
    (["--digits", ",".join("1" * (MOST_DIGITS + 1))], "expected 1 to 20 digits"),
], ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "")
def test_bad_values_are_refused_before_anything_is_written(name, arguments, message, tmp_path, monkeypatch,
                                                           capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([name, *arguments])
    assert ended.value.code == 2 and message in error_line(capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def one_small_figure(monkeypatch):
    """Let `lattice` draw a single figure of 2 x 1 inches, which takes little time."""
    monkeypatch.setattr(verb, "_draw", lambda result, best, samples, folder: folder.save(
        "gradient", Figure(figsize=(2, 1))))


@pytest.mark.parametrize("format, begins", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_have_the_format_asked_for(format, begins, one_small_figure, tmp_path, capsys):
    (tmp_path / "gradient.png").write_text("of an earlier run in another format")
    assert main(["lattice", "--format", format, "--out", str(tmp_path)]) == 0
    figure, = tmp_path.iterdir()
    assert figure.name == f"gradient.{format}" and figure.read_bytes().startswith(begins)
    assert f"wrote {figure}\n" in capsys.readouterr().out


def test_dots_per_inch_set_the_pixels_of_a_figure(one_small_figure, tmp_path, capsys):
    for dpi in 50, 300:
        assert main(["lattice", "--dpi", str(dpi), "--out", str(tmp_path)]) == 0
        with Image.open(tmp_path / "gradient.png") as picture:
            assert picture.size == (2 * dpi, dpi)


def loss_of(image, digits):
    """The loss of a row of digits by the model of the package."""
    logits, lengths = model_logits(load_model(find_model("")), image[None])
    return float(ctc_loss(logits, [[digit + 1 for digit in digits]], lengths).loss[0])


def test_the_lattice_of_given_digits_is_of_a_row_that_the_model_reads(one_small_figure, tmp_path, capsys):
    assert main(["lattice", "--digits", "7,2,1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    loss = loss_of(*unseen_row(load_mnist(), Wanted((7, 2, 1))))
    likelihood = float(next(line for line in out.splitlines() if line.startswith("log-lik")).split()[1])
    assert likelihood == pytest.approx(-loss, abs=1e-5)
    best = next(line for line in out.splitlines() if line.startswith("  1  ")).split()[2:]
    assert [symbol for symbol in best if symbol != "-"] == ["7", "2", "1"]


def test_the_lattice_of_an_image_is_of_what_is_read_or_given(one_small_figure, tmp_path, capsys):
    row, _ = unseen_row(load_mnist(), Wanted((3, 1)))
    picture = np.pad(255 - 255 * row, 10, constant_values=255).astype(np.uint8)
    Image.fromarray(picture).resize(np.array(picture.shape[::-1]) * 4).save(tmp_path / "row.png")
    likelihoods = []
    for digits in [], ["--digits", "9,9"]:
        assert main(["lattice", "--image", str(tmp_path / "row.png"), *digits, "--out", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        likelihoods.append(float(next(line for line in lines if line.startswith("log-lik")).split()[1]))
    assert likelihoods[0] > -0.5 and likelihoods[0] > likelihoods[1] + 5
    assert (tmp_path / "row.png").exists()
