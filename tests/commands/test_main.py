"""The command line as a user meets it: exit statuses, one-line errors, help with examples."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ctc_scratch.commands import main as cli
from ctc_scratch.commands.main import main
from ctc_scratch.digits.lessons import gradchecks
from ctc_scratch.digits.model.model_file import save_model
from ctc_scratch.digits.model.reader import RowReader

COMMAND = sys.executable, "-m", "ctc_scratch"


def run(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("verb", ["train", "evaluate", "gradcheck"])
def test_each_verbs_help_has_an_example(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"example: ctc-scratch {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    ([], "the following arguments are required: VERB"),
    (["learn"], "invalid choice: 'learn'"),
    (["train", "--digits", "5-"], "expected a number or LOW-HIGH, not '5-'"),
    (["gradcheck", "--seed", "-1"], "expected a number from 0 on, not '-1'"),
    (["train", "--digits", "three"], "expected a number or LOW-HIGH, not 'three'"),
    (["train", "--window", "20"], "--window must be from 1 to 14, not 20"),
    (["train", "--data", "nowhere"], "nowhere"),
    (["train", "--threads", "0"], "expected a number from 1 to 1024, not '0'"),
    (["train", "--threads", "100000"], "expected a number from 1 to 1024, not '100000'"),
    (["train", "--preset", "worst"], "invalid choice: 'worst'"),
    (["train", "--resume", "nowhere"], "nowhere: expected the folder of a run, found no such folder"),
    (["train", "--resume", "nowhere", "--rate", "1"], "settings of nowhere, which --rate cannot change"),
    (["train", "--resume", ""], "--resume must name the folder of a run, not ''"),
    (["evaluate", "nowhere"], "nowhere/model.npz: expected a model file, found no such file"),
    (["evaluate", "nowhere", "--decoder", "best"], "expected some of greedy, beam, map, like greedy,beam"),
    (["evaluate", "nowhere", "--digits", "0"], "expected positive numbers, like 1,5,8, not '0'"),
])
def test_what_the_user_got_wrong_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert not any(tmp_path.iterdir()), "nothing is written"


@pytest.mark.slow
@pytest.mark.parametrize("closed", [1, 2], ids=["stdout", "stderr"])
def test_a_stream_that_is_closed_is_only_not_written_to(closed, tmp_path):
    ended = subprocess.run([*COMMAND, "lattice", "--out", str(tmp_path)], capture_output=True, text=True,
                           preexec_fn=lambda: os.close(closed))
    assert ended.returncode == 0 and not ended.stderr
    assert bool(ended.stdout) == (closed == 2) and any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_name_that_the_terminal_cannot_show_is_no_error(tmp_path):
    ended = subprocess.run([*COMMAND, "lattice", "--out", str(tmp_path / "z\u00fcrich")], capture_output=True,
                           text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0 and "z\\xfcrich" in ended.stdout, ended.stderr


def test_ctrl_c_while_modules_are_loaded_is_one_line(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_parser", interrupt)
    assert main(["gradcheck"]) == 130
    assert capsys.readouterr().err == "ctc-scratch: stopped by SIGINT\n"


def test_evaluate_prints_a_table(tmp_path, capsys):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    assert main(["evaluate", str(tmp_path), "--digits", "5,50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "digits rows decoder label error rate rows right".split()
    assert lines[1].split()[:3] == ["5", "2000", "greedy"] and lines[2].split()[:3] == ["50", "200", "greedy"]
    assert lines[3].startswith("most frequent, greedy: ")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path), "--digits", ""])
    assert main(["evaluate", str(tmp_path), "--digits", "10001"]) == 2


@pytest.mark.slow
def test_evaluate_compares_decoders(tmp_path, capsys):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    assert main(["evaluate", str(tmp_path), "--digits", "1", "--decoder", "greedy,beam,map"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows[1:4]] == [["1", "10000", name] for name in ("greedy", "beam", "map")]
    errors = [float(row[3]) for row in rows[1:4]]
    assert errors[1] == errors[2] != errors[0], "a beam of 16 holds all that matters in 2 frames"
    assert [row[2] for row in rows[4:] if row[0] == "most"] == ["greedy:", "beam:", "map:"]


@pytest.mark.slow
def test_gradcheck_passes_and_names_every_subject(capsys):
    assert main(["gradcheck"]) == 0
    out = capsys.readouterr().out
    for subject in ("CTC, repeats", "CTC, tight fit", "CTC, -inf entries", "Linear", "LSTM", "BiLSTM",
                    "stack of 2 BiLSTM", "reader + CTC"):
        assert subject in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.slow
def test_gradcheck_fails_a_wrong_ctc_gradient(capsys, monkeypatch):
    right = gradchecks.ctc_loss

    def wrong(*arguments, **options):
        result = right(*arguments, **options)
        result.grad[2] *= -1
        return result

    monkeypatch.setattr(gradchecks, "ctc_loss", wrong)
    assert main(["gradcheck"]) == 1
    out = capsys.readouterr().out
    assert "FAILED CTC, random: logits at (2, " in out and "analytic" in out
