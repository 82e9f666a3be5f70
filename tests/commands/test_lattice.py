"""`ctc-scratch lattice`: what it prints, which files it writes, and what it refuses."""

import io
from pathlib import Path

import numpy as np
import pytest

from ctc_scratch.commands import lattice as verb
from ctc_scratch.commands.main import main
from ctc_scratch.ctc.paths.lattice import lattice
from tests.tools.command_line import error_line, refusals_of_damage


def written(out):
    """The files that a command says it wrote."""
    return [Path(line.split()[-1]) for line in out.splitlines() if line.endswith((".png", ".gif", ".txt"))]


def test_lattice_of_the_toy(tmp_path, capsys):
    assert main(["lattice", "--out", str(tmp_path / "toy")]) == 0
    out = capsys.readouterr().out
    assert "alignments      15\n" in out and "entropy         2.708050 nats" in out
    files = written(out)
    assert sorted(path.stem for path in files) == ["alpha_beta_gamma", "gradient", "paths", "trellis"]
    assert sorted(files) == sorted((tmp_path / "toy").iterdir())
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files)
    assert max(map(len, out.splitlines())) <= max(80, max(len(str(path)) + 6 for path in files))


def test_lattice_of_given_logits(tmp_path, capsys, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((30, 5)).astype(np.float32))
    arguments = ["--logits", str(tmp_path / "x.npy"), "--target", "1,2,2", "--blank", "4", "--k", "5"]
    assert main(["lattice", *arguments, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    result = lattice(np.load(tmp_path / "x.npy"), [1, 2, 2], blank=4)
    assert f"alignments      {result.num_alignments}" in out and f"{result.log_likelihood:.6f}" in out
    shares = [float(line.split()[1]) for line in out.splitlines() if line[:3].strip().isdecimal()]
    expected = [np.exp(path.log_prob - result.log_likelihood) for path in result.k_best(5)]
    np.testing.assert_allclose(shares, expected, rtol=1e-3)


@pytest.mark.parametrize("arguments, message", [
    (["--target", "1,1", "--frames", "2"], "target 0 needs 3 frames (2 labels + 1 repeat) but has 2"),
    (["--target", "5", "--classes", "3"], "targets[0] is 5, but the logits have classes 0..2"),
    (["--target", "0"], "targets[0] is 0, the blank"),
    (["--frames", "0"], "--frames must be at least 1, not 0"),
    (["--k", "0"], "--k and --samples must be at least 1, not 0 and 8"),
    (["--classes", "0"], "--classes must be at least 1, not 0"),
    (["--classes", "-3"], "--classes must be at least 1, not -3"),
    (["--logits", "nowhere.npy"], "nowhere.npy: expected logits"),
    (["--logits", ""], ": expected logits"),
    (["--logits", "x.npy", "--frames", "4"], "--frames is for a toy problem, but --logits x.npy has fram"),
    (["--classes", "3", "--logits", "x.npy"], "--classes is for a toy problem, but --logits x.npy has clas"),
    (["--out", "file"], "--out file cannot be made"),
    (["--digits", "7", "--frames", "4"], "--frames is not for a row of digits, which the model of this"),
    (["--digits", "7", "--logits", "x.npy"], "--logits is not for a row of digits"),
    (["--image", "x.png", "--target", "1"], "leave out --target or --image"),
    (["--digits", "7", "--blank", "0"], "leave out --blank or --digits"),
    (["--image", "nowhere.png"], "nowhere.png: expected an image file, found no such file"),
    (["--image", "file"], "file: expected an image (PNG, JPEG...), found 10 bytes that are not one"),
])
def test_lattice_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["lattice", *arguments]) == 2
    assert message in error_line(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_damaged_logits_are_refused_in_one_line(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "_draw", lambda *_: None)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((6, 3)))
    arguments = ["lattice", "--logits", "d.npy", "--target", "1,2"]
    assert refusals_of_damage("d.npy", buffer.getvalue(), arguments, capsys, rng) > 50


def test_the_text_is_printed_before_the_figures_are_drawn(tmp_path, monkeypatch, capsys):
    """Drawing takes a while; meanwhile the text can be read, and stderr says what is going on."""
    printed = []
    monkeypatch.setattr(verb, "_draw", lambda *_: printed.append(capsys.readouterr()))
    assert main(["lattice", "--out", str(tmp_path)]) == 0
    assert "alignments      15\n" in printed[0].out
    assert printed[0].err.splitlines()[-1] == "drawing figures ..."


def test_a_long_target_fits_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verb, "_draw", lambda *_: None)
    for U, T in (5, 200), (40, 300):
        target = ",".join(str(u) for u in range(1, U + 1))
        assert main(["lattice", "--target", target, "--frames", str(T), "--out", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80, out


def test_figures_of_an_earlier_run_are_replaced_or_removed(tmp_path, capsys):
    """The second lattice has too many paths for the figure of the trellis, which the first one has."""
    (tmp_path / "notes.png").write_text("mine")
    (tmp_path / "plateau.svg").write_text("of another command")
    assert main(["lattice", "--out", str(tmp_path)]) == 0
    first = {path: path.read_bytes() for path in written(capsys.readouterr().out)}
    assert tmp_path / "trellis.png" in first
    assert main(["lattice", "--out", str(tmp_path), "--frames", "20"]) == 0
    second = written(capsys.readouterr().out)
    assert sorted(tmp_path.iterdir()) == sorted([*second, tmp_path / "notes.png"])
    assert all(path.read_bytes() != first[path] for path in second)
    assert (tmp_path / "notes.png").read_text() == "mine"
