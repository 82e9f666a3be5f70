"""`ctc-scratch show`: each option starts its own lesson, which writes into a folder of its own."""

import pytest

from ctc_scratch.commands import show as verb
from ctc_scratch.commands.main import main
from tests.tools.command_line import error_line


@pytest.mark.parametrize("arguments, lesson, expected", [
    ([], "show_memorising", ("runs/show", 7, "")),
    (["--original-mistake"], "show_mistake", ("runs/mistake", 7, "")),
    (["--objectives"], "show_objectives", ("runs/objectives", 7, "")),
    (["--plateau", "--seed", "3", "--out", "x", "--data", "d"], "show_plateau", ("x", 3, "d")),
], ids=["one_row", "mistake", "objectives", "plateau"])
def test_each_option_starts_its_lesson(arguments, lesson, expected, monkeypatch, capsys):
    calls = []
    for name in ("show_memorising", "show_mistake", "show_objectives", "show_plateau"):
        monkeypatch.setattr(
            verb, name, lambda *given, name=name: calls.append((name, given)) or ["a.png", "b"])
    assert main(["show", *arguments]) == 0
    assert calls == [(lesson, expected)]
    assert capsys.readouterr().out == "\nwrote a.png\n      b\n"


def test_two_lessons_at_once_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["show", "--plateau", "--original-mistake"])
    assert ended.value.code == 2
    assert "not allowed with argument" in error_line(capsys.readouterr().err)
