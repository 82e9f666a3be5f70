"""`ctc-scratch check`: functions, libraries and programs; exit statuses; JSON."""

import json
import shlex
import sys
import textwrap

import numpy as np
import pytest

from ctc_scratch.check.peers.program import Program
from ctc_scratch.commands.main import main

REFERENCE = "ctc_scratch.ctc.reference:loss_and_grad"

PROGRAM = """
import json, sys
import numpy as np
from ctc_scratch.ctc.reference import loss_and_grad
for line in sys.stdin:
    case = json.loads(line)
    logits = np.array(case["logits"], dtype=float).reshape(case["shape"])
    loss, grad = loss_and_grad(logits, case["target"], case["blank"])
    {change}
    print(json.dumps({{"loss": str(loss), "gradient": grad.tolist()}}), flush=True)
"""


@pytest.fixture
def program(tmp_path):
    """program(change): the command of a program that computes the reference, with one line in its loop."""

    def write(change="pass"):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(change=change), encoding="utf-8")
        return f"'{sys.executable}' '{path}'"

    return write


@pytest.mark.slow
def test_a_right_function_gives_0(capsys):
    assert main(["check", REFERENCE]) == 0
    assert "No fault was found." in capsys.readouterr().out


def test_a_wrong_function_gives_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_ctc.py").write_text(textwrap.dedent("""
        from ctc_scratch import Adapter
        from ctc_scratch.ctc.reference import loss_and_grad

        def wrong(logits, target):
            loss, grad = loss_and_grad(logits, target)
            return loss, -grad

        adapter = Adapter(wrong, skip=("long", "published test vectors"))
        number = 5
        """), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "my_ctc:adapter"]) == 1
    out = capsys.readouterr().out
    assert "sign of the gradient" in out and "done right in ctc_scratch/ctc/reference.py:" in out
    assert max(map(len, out.splitlines())) <= 80
    assert main(["check", "my_ctc:adapter", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["findings"][0]["probably"][0]["mistake"] == "sign of the gradient"
    assert main(["check", "my_ctc:number"]) == 2
    assert "must be a function or an Adapter, got 5" in capsys.readouterr().err


@pytest.mark.slow
def test_torch_is_listed(capsys):
    """What torch 2.13 does otherwise: T = 0, infeasible samples, logits of -inf."""
    pytest.importorskip("torch")
    assert main(["check", "--torch", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {finding["kind"]: [twin["mistake"] for twin in finding["probably"]]
            for finding in report["findings"]} == {
        "logits of -inf": ["NaN at logits of -inf"],
        "logits of -inf, no path": ["NaN in an infeasible sample"],
        "infeasible targets": ["NaN in an infeasible sample"],
        "no frames": ["no frames refused"]}
    wrong = {row["law"] for row in report["laws"] if row["wrong"]}
    assert wrong == {"infeasible targets", "no frames", "logits of -inf", "an infeasible sample",
                     "published test vectors"}


@pytest.mark.slow
def test_optax_is_listed(capsys):
    """In optax 0.2.8, what is impossible has the weight e^-1e5, and logits of -inf give NaN."""
    pytest.importorskip("optax")
    assert main(["check", "--optax", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {finding["kind"]: [twin["mistake"] for twin in finding["probably"]]
            for finding in report["findings"]} == {
        "logits of -inf": ["NaN at logits of -inf"],
        "logits of -inf, no path": ["NaN at logits of -inf"],
        "infeasible targets": ["-1e5 for -inf"],
        "no frames": ["-1e5 for -inf"]}


# ---- programs


@pytest.mark.slow
def test_a_right_program_gives_0(program, capsys):
    assert main(["check", "--program", program()]) == 0
    assert "No fault was found." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("change, mistake", [
    ("loss = -loss", "sign of the loss"),
    ("if not case['target']: loss = 0", "blank skipped at U = 0"),
])
def test_a_wrong_program_gives_1(program, change, mistake, capsys):
    skipped = [] if "target" in change else ["--skip", "long"]
    assert main(["check", "--program", program(change), *skipped]) == 1
    assert mistake in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("change, message", [
    ("sys.exit(3)", "the program ended without an answer"),
    ("print('{}', flush=True)", 'expected a line like {"loss": 1.5'),
    ("print('not JSON', flush=True)", 'expected a line like {"loss": 1.5'),
    ("print(json.dumps({'error': 'too hard'}), flush=True)", "the program refuses: too hard"),
])
def test_a_program_that_does_not_answer(program, change, message):
    asked = Program(shlex.split(program(change)))
    try:
        with pytest.raises((RuntimeError, ValueError)) as raised:
            asked(np.zeros((2, 2)), np.array([1]), 0)
        assert message in str(raised.value)
    finally:
        asked.close()


def test_a_program_that_keeps_silent_is_stopped(program):
    asked = Program(shlex.split(program("continue")), seconds=0.5)
    with pytest.raises(RuntimeError, match="no answer within 0.5 s; does the program flush its output"):
        asked(np.zeros((2, 2)), np.array([1]), 0)


# ---- usage


@pytest.mark.parametrize("arguments, message", [
    ([], "expected one of MODULE:FUNCTION, --torch, --optax and --program, got none"),
    ([REFERENCE, "--torch"], "got function and torch"),
    (["reference"], "expected MODULE:FUNCTION, got 'reference'"),
    (["no_such_module:f"], "no_such_module cannot be imported"),
    (["ctc_scratch.ctc.reference:nothing"], "ctc_scratch.ctc.reference has no 'nothing'"),
    (["--program", "no-such-program"], "expected a program that can be run, got 'no-such-program'"),
    (["--program", "ls", "--layout", "TNC"], "leave out --layout"),
    (["--torch", "--blank", "1"], "leave out --blank"),
])
def test_wrong_usage_gives_2(arguments, message, capsys):
    assert main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    ([REFERENCE, "--blank", "first"], "expected a class or 'last', not 'first'"),
    ([REFERENCE, "--skip", "gravity"], "got 'gravity'"),
    ([REFERENCE, "--precision", "float16"], "invalid choice: 'float16'"),
])
def test_a_wrong_option_gives_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    assert ended.value.code == 2 and message in capsys.readouterr().err
