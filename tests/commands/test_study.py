"""The commands lattice and diagnose: what they print, which files they write, what they refuse."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from ctc_scratch.commands import study
from ctc_scratch.commands.main import main
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.ctc.paths.trellis import gamma_text, trellis_text


def written(out):
    """The files that a command says it wrote."""
    return [Path(line.split()[-1]) for line in out.splitlines() if line.endswith((".png", ".gif", ".txt"))]


@pytest.mark.parametrize("verb", ["lattice", "diagnose", "show"])
def test_each_verbs_help_has_an_example(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"example: ctc-scratch {verb}" in " ".join(capsys.readouterr().out.split())


# ---- lattice


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
    its = lattice(np.load(tmp_path / "x.npy"), [1, 2, 2], blank=4)
    assert f"alignments      {its.num_alignments}" in out and f"{its.log_likelihood:.6f}" in out
    shares = [float(line.split()[1]) for line in out.splitlines() if line[:3].strip().isdecimal()]
    expected = [np.exp(path.log_prob - its.log_likelihood) for path in its.k_best(5)]
    np.testing.assert_allclose(shares, expected, rtol=1e-3)


@pytest.mark.parametrize("arguments, message", [
    (["--target", "1,1", "--frames", "2"], "target 0 needs 3 frames (2 labels + 1 repeat) but has 2"),
    (["--target", "5", "--classes", "3"], "targets[0] is 5, but the logits have classes 0..2"),
    (["--target", "0"], "targets[0] is 0, the blank"),
    (["--frames", "0"], "--frames must be at least 1, not 0"),
    (["--k", "0"], "--k and --samples must be at least 1, not 0 and 8"),
    (["--logits", "nowhere.npy"], "nowhere.npy: expected logits"),
    (["--out", "file"], "--out file cannot be written"),
])
def test_lattice_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["lattice", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_of_a_trellis_has_a_mark_for_each_move(rng):
    its = lattice(rng.standard_normal((5, 4)), [1, 2, 2])
    lines = trellis_text(its).splitlines()
    assert len(lines) == 1 + 2 * 7 - 1 and max(map(len, lines)) <= 80
    stay, step, skip = (its.xi > 0).sum(axis=(1, 2))
    assert sum(line.count("╲") for line in lines) == step + 3 * skip
    values = [cell for line in lines[1:] for cell in line[6:].replace("─", " ").split() if cell[0] in ".1"]
    assert len(values) == (its.gamma > 0).sum()


def test_text_of_gamma_fits_any_width(rng):
    its = lattice(rng.standard_normal((500, 4)), [1, 2, 2])
    for width in (30, 80):
        lines = gamma_text(its, width).splitlines()
        assert len(lines) == 8 and max(map(len, lines[:7])) <= width
    sharp = lattice(4 * its.logits[:40], [1, 2, 2])
    for s, line in enumerate(gamma_text(sharp).splitlines()[:7]):
        for p, shade in zip(sharp.gamma[:, s], line[6:].ljust(40)):
            assert (shade == " ") == (p == 0) and abs(" .:-=+*#%@".index(shade) / 9 - p) < 0.12


# ---- diagnose


def test_diagnose_a_target(capsys):
    assert main(["diagnose", "--target", "1,1,2", "--frames", "4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "labels      3: 1 1 2",
        "repeats     1: label 1 (a 1 after a 1)",
        "frames      4, of which 4 are needed",
        "alignments  1",
        "",
        "It fits; nothing strange found.",
    ]
    assert main(["diagnose", "--target", "1,1,2", "--frames", "3"]) == 1
    assert "ERROR too-few-frames" in capsys.readouterr().out
    assert main(["diagnose", "--target", "", "--frames", "0"]) == 0


def test_diagnose_a_batch(tmp_path, capsys, rng):
    batch = dict(logits=rng.standard_normal((20, 3, 5)), targets=np.array([[1, 2], [3, 3], [4, 1]]),
                 logit_lengths=np.array([2, 2, 2]))
    np.savez(tmp_path / "batch.npz", **batch)
    assert main(["diagnose", str(tmp_path / "batch.npz")]) == 1
    assert "ERROR lengths-in-labels" in capsys.readouterr().out
    batch["logits"] = batch["logits"].swapaxes(0, 1)
    np.savez(tmp_path / "batch.npz", **batch)
    assert main(["diagnose", str(tmp_path / "batch.npz"), "--layout", "NTC"]) == 1
    assert "ERROR lengths-in-labels" in capsys.readouterr().out
    batch["logits"] = np.full((3, 20, 5), 0.2)
    del batch["logit_lengths"]
    np.savez(tmp_path / "batch.npz", **batch)
    assert main(["diagnose", str(tmp_path / "batch.npz"), "--layout", "NTC"]) == 0, "a suspicion is no error"
    assert "SUSPICION probabilities" in capsys.readouterr().out


def test_diagnose_a_data_set(tmp_path, capsys):
    rows = [(140, [3, 1, 4]), (3, [1, 1, 2]), (5, [])]
    lines = [f"{T},{' '.join(map(str, target))}\n" for T, target in rows]
    (tmp_path / "d.csv").write_text("frames,target\n" + "".join(lines))
    lines = [json.dumps({"frames": T, "target": target}) + "\n" for T, target in rows]
    (tmp_path / "d.jsonl").write_text("".join(lines))
    texts = []
    for name in ("d.csv", "d.jsonl"):
        assert main(["diagnose", str(tmp_path / name)]) == 1
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "Target 1 needs 4 frames (3 labels + 1 repeat, at label 1)" in texts[0]
    assert main(["diagnose", str(tmp_path / "d.csv"), "--classes", "4"]) == 1
    assert "no-room-for-blank" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    ([], "expected a FILE, or --target and --frames"),
    (["--target", "1"], "expected a FILE, or --target and --frames"),
    (["x.npz", "--target", "1", "--frames", "3"], "expected a FILE, or --target and --frames"),
    (["x.txt"], "x.txt: expected a file named .npz, .jsonl or .csv"),
    (["x.csv"], "x.csv: expected a file, found none"),
    (["bad.csv"], "bad.csv: expected a first line 'frames,target'"),
    (["bad2.csv"], "bad2.csv, line 3: expected frames and labels like '140,3 1 4', found '5,a'"),
    (["bad.jsonl"], 'bad.jsonl, line 1: expected {"frames": T, "target": [labels]}, found {"frames": 4.5}'),
    (["bad.npz"], "bad.npz: expected arrays as numpy.savez writes them"),
    (["other.npz"], "other.npz: expected an array 'logits', found targets"),
    (["more.npz"], "more.npz: expected arrays logits, targets, logit_lengths, target_lengths, found 'masks'"),
])
def test_diagnose_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("140,3 1 4\n")
    Path("bad2.csv").write_text("frames,target\n3,1\n5,a\n")
    Path("bad.jsonl").write_text('{"frames": 4.5}\n')
    Path("bad.npz").write_text("no archive")
    np.savez("other.npz", targets=np.zeros(3))
    np.savez("more.npz", logits=np.zeros((3, 2)), targets=np.zeros(0), masks=np.zeros(3))
    assert main(["diagnose", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def npz_bytes():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, logits=np.zeros((6, 3)), targets=np.array([1, 2]))
    return buffer.getvalue()


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((6, 3)))
    return buffer.getvalue()


@pytest.mark.parametrize("name, whole, arguments", [
    ("d.npz", npz_bytes(), ["diagnose", "d.npz"]),
    ("d.npy", npy_bytes(), ["lattice", "--logits", "d.npy", "--target", "1,2"]),
    ("d.csv", b"frames,target\n140,3 1 4\n5,1 2\n", ["diagnose", "d.csv"]),
    ("d.jsonl", b'{"frames": 140, "target": [3, 1, 4]}\n', ["diagnose", "d.jsonl"]),
], ids=["npz", "npy", "csv", "jsonl"])
def test_a_damaged_file_is_one_line(name, whole, arguments, tmp_path, monkeypatch, capsys, rng):
    """Bytes changed and files cut at random: a line that names the file, or what can still be read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "_draw", lambda *_: [])
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole[:rng.integers(len(whole) // 2, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        Path(name).write_bytes(damaged)
        status = main(arguments)
        error = capsys.readouterr().err
        assert (status == 2) == (len(error.splitlines()) == 1), error
        refused += status == 2
    assert refused > 50
