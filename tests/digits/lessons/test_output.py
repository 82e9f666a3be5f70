"""Each lesson writes the files that it names; a wrong option gives an error of one line."""

from pathlib import Path

import pytest
from PIL import Image

from ctc_scratch import plots
from ctc_scratch.commands.main import main
from ctc_scratch.digits.lessons.memorise import show_memorising
from ctc_scratch.digits.lessons.mistake import show_mistake
from ctc_scratch.digits.lessons.objectives import show_objectives
from ctc_scratch.digits.lessons.output import FigureFolder, Output
from ctc_scratch.digits.lessons.plateau import show_plateau
from ctc_scratch.digits.lessons.reading import show_reading


@pytest.mark.slow
@pytest.mark.parametrize("run, files", [
    (lambda out: show_memorising(out, 0, iterations=4),
     ["explanation.txt", "gamma_evolution.png", "iteration_001.png", "iteration_004.png", "training.gif"]),
    (lambda out: show_mistake(out, 0, iterations=2, steps=2),
     ["batch_runs.png", "explanation.txt", "iteration_001.png", "iteration_002.png", "mended.png",
      "sum_not_columns.png", "training.gif"]),
    (lambda out: show_plateau(out, 0, steps=12),
     ["explanation.txt", "gamma_evolution.png", "plateau.png", "uniform_gamma.png"]),
    (lambda out: show_objectives(out, 0, steps=2), ["explanation.txt", "objectives.png"]),
    (lambda out: show_reading(out, 0, steps=2), ["explanation.txt", "reading.gif", "reading_stages.png"]),
], ids=["show", "original mistake", "plateau", "objectives", "reading"])
def test_a_lesson_writes_the_files_that_it_names(run, files, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")      # without ffmpeg
    written = run(Output(str(tmp_path / "out")))
    assert sorted(map(Path, written)) == sorted((tmp_path / "out").iterdir())
    assert sorted(Path(path).name for path in written) == files
    text = (tmp_path / "out" / "explanation.txt").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out and max(map(len, text.splitlines())) <= 79
    for path in map(Path, written):
        if path.suffix in (".png", ".gif"):
            with Image.open(path) as picture:
                picture.load()
                pictures = {"training.gif": 2, "reading.gif": 3}.get(path.name, 1)
                assert getattr(picture, "n_frames", 1) == pictures


class Figure:
    """A figure that is quick to draw."""

    def savefig(self, path, dpi):
        path.write_text(f"{path.suffix} with {dpi} dots per inch")


def test_the_files_of_an_earlier_lesson_do_not_stay_beside_those_of_the_next(tmp_path, capsys):
    """Which iterations have a figure depends on the seed; lessons and `lattice` have figures of their own."""
    earlier = ["explanation.txt", "iteration_007.png", "iteration_120.svg", "mended.pdf", "training.gif",
               "reading.mp4", "reading_stages.svg", "trellis.png", "gradient.pdf"]
    theirs = ["notes.txt", "iteration_one.png", "my_mended.png", "mended.png.old", "iteration_007.txt"]
    for name in earlier + theirs:
        (tmp_path / name).write_text("old")
    folder = FigureFolder(Output(str(tmp_path), "svg", 70))
    assert len(list(tmp_path.iterdir())) == 14, "nothing is removed before there is something new"
    folder.save("iteration_008", Figure())
    folder.save("plateau", Figure())
    folder.explain("New.")
    new = ["explanation.txt", "iteration_008.svg", "plateau.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(new + theirs)
    assert sorted(Path(path).name for path in folder.files) == new
    assert all((tmp_path / name).read_text() == "old" for name in theirs)
    assert (tmp_path / "plateau.svg").read_text() == ".svg with 70 dots per inch"


@pytest.mark.parametrize("reason", ["", "ffmpeg failed: no such codec"])
def test_a_film_is_listed_only_if_there_is_one(reason, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "pictures_of", list)
    monkeypatch.setattr(plots, "save_gif", lambda pictures, path: path.write_text("gif"))
    monkeypatch.setattr(plots, "save_mp4", lambda pictures, path: reason)
    folder = FigureFolder(Output(str(tmp_path)))
    folder.animate("reading", [Figure()])
    assert [Path(path).name for path in folder.files] == ["reading.gif"] + ["reading.mp4"] * (reason == "")
    assert capsys.readouterr().out == (f"no {tmp_path / 'reading.mp4'}: {reason}\n" if reason else "")


@pytest.mark.parametrize("arguments, message", [
    (["--out", "file"], "--out file cannot be made"),
    (["--data", "nowhere"], "nowhere"),
    (["--plateau", "--data", "nowhere"], "nowhere"),
    (["--original-mistake", "--data", "nowhere"], "nowhere"),
    (["--objectives", "--data", "nowhere"], "nowhere"),
    (["--reading", "--data", "nowhere"], "nowhere"),
    (["--reading", "--image", "nowhere.png"], "nowhere.png: expected an image file, found no such file"),
    (["--image", "file"], "file: expected an image (PNG, JPEG...), found 10 bytes that are not one"),
    (["--original-mistake", "--digits", "1"], "--digits chooses the row to show, but --original-mistake"),
    (["--reading", "--plateau"], "--reading and --plateau are two lessons: leave out one of them"),
    (["--objectives", "--image", "x.png"], "--image chooses the row to show, but --objectives needs rows"),
])
def test_a_wrong_option_ends_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["show", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
