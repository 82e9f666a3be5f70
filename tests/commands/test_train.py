"""`ctc-scratch train`: its options become the settings of a new run, or name a run to resume."""

from dataclasses import fields

import pytest

from ctc_scratch.commands import train as verb
from ctc_scratch.commands.main import main
from ctc_scratch.digits.training.settings import Settings, with_preset
from tests.tools.command_line import error_line


@pytest.fixture
def calls(monkeypatch):
    """The calls that the command makes, recorded in place of training."""
    calls = []
    monkeypatch.setattr(verb, "train", lambda *given: calls.append(("train", *given)))
    monkeypatch.setattr(verb, "resume", lambda *given: calls.append(("resume", *given)))
    monkeypatch.setattr(verb, "set_num_threads", lambda number: calls.append(("threads", number)))
    return calls


@pytest.mark.parametrize("arguments, settings", [
    ([], Settings()),
    (["--digits", "3"], Settings(digits=(3, 3))),
    (["--digits", "3-7", "--save-every", "5"], Settings(digits=(3, 7), save_every=5.0)),
    (["--transpose"], Settings(transpose=True)),
    (["--preset", "best"], with_preset("best")),
    (["--preset", "best", "--hidden", "64"], with_preset("best", hidden=64)),
], ids=["default", "number", "range", "flag", "preset", "preset_changed"])
def test_options_become_settings(arguments, settings, calls):
    assert main(["train", *arguments]) == 0
    assert calls == [("train", settings, False)]


def test_every_setting_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = capsys.readouterr().out.split()
    assert all(f"--{setting.name.replace('_', '-')}" in words for setting in fields(Settings))


def test_threads_and_profile(calls):
    assert main(["train", "--threads", "3", "--profile"]) == 0
    assert calls == [("threads", 3), ("train", Settings(), True)]


def test_resuming_takes_the_run_and_the_folder_of_its_data(calls):
    assert main(["train", "--resume", "runs/one", "--data", "there"]) == 0
    assert calls == [("resume", "runs/one", False, "there")]


@pytest.mark.parametrize("arguments, message", [
    (["--rate", "1"], "which --rate cannot change"),
    (["--preset", "best"], "which --preset cannot change"),
    (["--transpose"], "which --transpose cannot change"),
    (["--save-every", "1"], "which --save-every cannot change"),
])
def test_resuming_changes_no_setting(arguments, message, calls, capsys):
    assert main(["train", "--resume", "runs/one", *arguments]) == 2
    line = error_line(capsys.readouterr().err)
    assert f"--resume goes on with the settings of runs/one, {message}" in line and not calls
