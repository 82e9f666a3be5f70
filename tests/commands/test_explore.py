"""`ctc-scratch explore`: the page that it writes, and what it refuses."""

import io
import json
import re
import webbrowser
from pathlib import Path

import numpy as np
import pytest

from ctc_scratch.commands import explore
from ctc_scratch.commands.main import main
from tests.tools.command_line import error_line, refusals_of_damage


def data_of(path):
    """The data in a page."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def test_the_page_of_the_readme(tmp_path, capsys):
    assert main(["explore", "--no-open", "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'a.html'}\n"
    data = data_of(tmp_path / "a.html")
    assert data["labels"] == [1, 2]
    np.testing.assert_array_equal(data["logits"], np.random.default_rng(0).standard_normal((4, 3)))


def test_target_and_frames(tmp_path):
    out = str(tmp_path / "a.html")
    assert main(["explore", "--no-open", "--target", "3,3", "--frames", "2", "--out", out]) == 0
    data = data_of(out)     # a target that does not fit is what the page explains
    assert data["labels"] == [3, 3] and np.shape(data["logits"]) == (2, 4)


def test_given_logits_also_if_some_are_minus_infinity(tmp_path, rng):
    logits = rng.standard_normal((6, 5)).astype(np.float32)
    logits[2, 3] = -np.inf
    np.save(tmp_path / "x.npy", logits)
    out = str(tmp_path / "a.html")
    assert main(["explore", "--no-open", "--logits", str(tmp_path / "x.npy"), "--out", out]) == 0
    shown = np.array(data_of(out)["logits"], float)
    assert np.isnan(shown[2, 3])
    shown[2, 3] = -np.inf
    np.testing.assert_array_equal(shown, logits)


@pytest.mark.parametrize("arguments, message", [
    (["--frames", "0"], "--frames must be from 1 to 40"),
    (["--frames", "41"], "--frames must be from 1 to 40"),
    (["--target", "1,0"], "--target: label 1 is 0, the blank"),
    (["--target", "12"], "--target may hold labels up to 11, not 12"),
    (["--target", "1,2,1,2,1,2,1,2,1,2,1"], "--target has 11 labels, and the page has room for 10"),
    (["--logits", "nowhere.npy"], "nowhere.npy: expected logits (T, C)"),
    (["--logits", "x.npy", "--frames", "4"], "--frames is for random logits"),
    (["--logits", "x.npy", "--target", "3"], "label 0 is 3, but the logits have classes 0..2"),
    (["--logits", "wide.npy"], "the page has room for 1 to 40 frames and 2 to 12 classes, found 4 and 13"),
    (["--logits", "nan.npy"], "logits[t=1, c=2] is nan"),
    (["--logits", "closed.npy"], "logits[t=3] is -inf in every class"),
    (["--logits", "cube.npy"], "expected one array of numbers of shape (T, C)"),
    (["--out", "old.html"], "--out old.html exists, and is not overwritten"),
    (["--out", "none/new.html"], "--out none/new.html cannot be written"),
    (["--run", "nowhere"], "nowhere: expected the folder of a run"),
    (["--run", "."], "checkpoint.npz: expected a checkpoint file"),
])
def test_explore_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nan, closed = np.zeros((4, 3)), np.zeros((4, 3))
    nan[1, 2], closed[3] = np.nan, -np.inf
    for name, array in dict(x=np.zeros((4, 3)), wide=np.zeros((4, 13)), nan=nan, closed=closed,
                            cube=np.zeros((2, 2, 2))).items():
        np.save(f"{name}.npy", array)
    Path("old.html").write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert main(["explore", "--no-open", *arguments]) == 2
    assert message in error_line(capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == before and Path("old.html").read_text() == "mine"


def test_damaged_logits_are_refused_in_one_line(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explore, "page_html", lambda data: "")
    monkeypatch.setattr(explore, "_write", lambda path, text: None)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((6, 3)))
    arguments = ["explore", "--no-open", "--logits", "d.npy"]
    assert refusals_of_damage("d.npy", buffer.getvalue(), arguments, capsys, rng) > 50


@pytest.mark.parametrize("display, opens", [(":0", True), ("", False)])
def test_the_page_is_opened_where_there_are_windows(tmp_path, monkeypatch, capsys, display, opens):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(explore.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert main(["explore", "--out", str(tmp_path / "a.html")]) == 0
    assert opened == ([(tmp_path / "a.html").as_uri()] if opens else [])
    assert ("open the file in one" in capsys.readouterr().out) != opens
