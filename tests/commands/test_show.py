"""`ctc-scratch show`: each option starts its own lesson, which writes into a folder of its own."""

import pytest

from ctc_scratch.commands import show as verb
from ctc_scratch.commands.main import main
from ctc_scratch.digits.lessons.example import Wanted
from ctc_scratch.digits.lessons.output import Output
from tests.tools.command_line import error_line

ROW = Wanted()


@pytest.mark.parametrize("arguments, lesson, expected", [
    ([], "show_memorising", (Output("runs/show"), 7, "", ROW)),
    (["--reading"], "show_reading", (Output("runs/reading"), 7, "", ROW)),
    (["--original-mistake"], "show_mistake", (Output("runs/mistake"), 7, "")),
    (["--objectives"], "show_objectives", (Output("runs/objectives"), 7, "")),
    (["--plateau", "--seed", "3", "--out", "x", "--data", "d"], "show_plateau", (Output("x"), 3, "d", ROW)),
    (["--digits", "7,2,1", "--image", "row.png"], "show_memorising",
     (Output("runs/show"), 7, "", Wanted((7, 2, 1), "row.png"))),
    (["--reading", "--format", "svg", "--dpi", "90"], "show_reading",
     (Output("runs/reading", "svg", 90), 7, "", ROW)),
    (["--objectives", "--format", "pdf"], "show_objectives", (Output("runs/objectives", "pdf"), 7, "")),
], ids=["one_row", "reading", "mistake", "objectives", "plateau", "digits and image", "svg", "pdf"])
def test_each_option_starts_its_lesson(arguments, lesson, expected, monkeypatch, capsys):
    calls = []
    for name in ("show_memorising", "show_reading", "show_mistake", "show_objectives", "show_plateau"):
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
