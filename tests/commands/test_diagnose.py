"""`ctc-scratch diagnose`: what it prints for a target, a batch and a data set, and what it refuses."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from tests.tools.command_line import error_line, refusals_of_damage


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
    assert main(["diagnose", str(tmp_path / "batch.npz"), "--layout", "NTC"]) == 0, "it is no error"
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
    (["good.npz", "--classes", "3"], "--classes is for targets without logits, but good.npz has logits"),
    (["good.csv", "--layout", "NTC"], "--layout is for the logits of an .npz, but good.csv has none"),
    (["--target", "1", "--frames", "3", "--layout", "TNC"], "--layout is for the logits of an .npz, but --t"),
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
    Path("good.csv").write_text("frames,target\n3,1\n")
    np.savez("good.npz", logits=np.zeros((3, 2)), targets=np.ones(1, int))
    Path("bad.csv").write_text("140,3 1 4\n")
    Path("bad2.csv").write_text("frames,target\n3,1\n5,a\n")
    Path("bad.jsonl").write_text('{"frames": 4.5}\n')
    Path("bad.npz").write_text("no archive")
    np.savez("other.npz", targets=np.zeros(3))
    np.savez("more.npz", logits=np.zeros((3, 2)), targets=np.zeros(0), masks=np.zeros(3))
    assert main(["diagnose", *arguments]) == 2
    assert message in error_line(capsys.readouterr().err)


def npz_bytes():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, logits=np.zeros((6, 3)), targets=np.array([1, 2]))
    return buffer.getvalue()


@pytest.mark.parametrize("name, whole", [
    ("d.npz", npz_bytes()),
    ("d.csv", b"frames,target\n140,3 1 4\n5,1 2\n"),
    ("d.jsonl", b'{"frames": 140, "target": [3, 1, 4]}\n'),
], ids=["npz", "csv", "jsonl"])
def test_a_damaged_file_is_refused_in_one_line(name, whole, tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    assert refusals_of_damage(name, whole, ["diagnose", name], capsys, rng) > 50


def test_many_findings_fit_80_columns(tmp_path, capsys, rng):
    targets = [rng.integers(1, 12, size=rng.integers(0, 40)).tolist() for _ in range(60)]
    frames = rng.integers(0, 30, 60).tolist()
    rows = [json.dumps({"frames": T, "target": target}) for T, target in zip(frames, targets)]
    (tmp_path / "d.jsonl").write_text("\n".join(rows))
    assert main(["diagnose", str(tmp_path / "d.jsonl"), "--classes", "9"]) == 1
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80, out


@pytest.mark.parametrize("arguments, words", [
    (["--target", "9" * 20 + ",1", "--frames", "4"], "targets[0] holds objects, or integers beyond 64 bits"),
    (["--target", "1", "--frames", "9" * 20], "The frames of 1 target are 99999999999999999999."),
    (["--target", "1", "--frames", "3", "--blank", "-1"], "blank is -1, but classes are numbered from 0."),
    (["--target", "1", "--frames", "3", "--classes", "0"], "classes must be at least 1, got 0."),
])
def test_absurd_numbers_are_findings(arguments, words, capsys):
    assert main(["diagnose", *arguments]) == 1
    out = capsys.readouterr().out
    assert words in " ".join(out.split()) and out.count("ERROR") == 1 and out.startswith("labels ")
