"""The command line as a user meets it: exit statuses, one-line errors, help with examples."""

import os
import subprocess
import sys

import pytest

import ctc_scratch
from ctc_scratch.commands import main as cli
from ctc_scratch.commands.main import VERBS, main

COMMAND = sys.executable, "-m", "ctc_scratch"


def run(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)


@pytest.fixture
def width_80(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verbs_help_has_an_example(verb, width_80, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"example: ctc-scratch {verb}" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_verb_there_is_a_line_for_each(width_80, capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for verb, what in VERBS.items():
        lines = [line.split() for line in out.splitlines() if line.split()[:1] == [verb]]
        assert lines == [[verb, *what.split()]]
    assert max(map(len, out.splitlines())) <= 80
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and capsys.readouterr().out == out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main([option])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ctc-scratch {ctc_scratch.__version__}\n"


FIGURES = {"matplotlib", "PIL"}   # loaded only to draw, and to open images
DIGITS = {"tqdm", "threadpoolctl", "ctc_scratch.digits", "ctc_scratch.nn", "ctc_scratch.plots"}


@pytest.mark.parametrize("arguments, unneeded", [
    ([], FIGURES | DIGITS),
    (["--version"], FIGURES | DIGITS),
    (["--help"], FIGURES | DIGITS),
    (["lattice", "--help"], FIGURES | DIGITS),
    (["diagnose", "--target", "1,1,2", "--frames", "3"], FIGURES | DIGITS),
    (["check", "--help"], FIGURES | DIGITS | {"torch", "jax"}),
    (["train", "--help"], FIGURES),
    (["evaluate", "--help"], FIGURES),
    (["gradcheck", "--help"], FIGURES),
    (["read", "--help"], {"matplotlib"}),
    (["show", "--help"], FIGURES),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_verb_loads_only_what_it_needs(arguments, unneeded):
    """The verb runs in a new process, which lists its modules on stderr when it ends."""
    code = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from ctc_scratch.commands.main import main
sys.exit(main(sys.argv[1:]))"""
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    loaded = set(ended.stderr.splitlines()[-1].split())
    assert "ctc_scratch.commands.main" in loaded, ended.stderr
    assert not loaded & unneeded


@pytest.mark.parametrize("arguments, message", [
    (["learn"], "invalid choice: 'learn'"),
    (["train", "--digits", "5-"], "expected a number or LOW-HIGH, not '5-'"),
    (["gradcheck", "--seed", "-1"], "expected a whole number, at least 0, not '-1'"),
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
    (["evaluate", "nowhere", "--decoder", "best"], "expected one or more of greedy, beam, map, like greedy,"),
    (["evaluate", "nowhere", "--digits", "0"], "expected positive numbers, like 1,5,8, not '0'"),
])
def test_a_wrong_call_gives_one_line_and_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert not any(tmp_path.iterdir()), "something was written"


@pytest.mark.slow
@pytest.mark.parametrize("closed", [1, 2], ids=["stdout", "stderr"])
def test_a_closed_stream_does_no_harm(closed, tmp_path):
    ended = subprocess.run([*COMMAND, "lattice", "--out", str(tmp_path)], capture_output=True, text=True,
                           preexec_fn=lambda: os.close(closed))
    assert ended.returncode == 0 and "rror" not in ended.stderr
    assert bool(ended.stdout) == (closed == 2) and any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_name_that_the_terminal_cannot_show_is_no_error(tmp_path):
    ended = subprocess.run([*COMMAND, "lattice", "--out", str(tmp_path / "z\u00fcrich")], capture_output=True,
                           text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0 and "z\\xfcrich" in ended.stdout, ended.stderr


def test_ctrl_c_while_modules_are_imported_is_one_line(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_parser", interrupt)
    assert main(["gradcheck"]) == 130
    assert capsys.readouterr().err == "ctc-scratch: stopped by SIGINT\n"
