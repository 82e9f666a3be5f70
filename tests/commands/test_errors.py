"""The table of errors in tests/README.md holds all cases, and each case gives the message in the table."""

import importlib.util
import re

import pytest

from ctc_scratch.commands.main import main
from tests import errors

CALLS = [case for cases in errors.LIBRARY.values() for case in cases]
NEED_TORCH = [] if importlib.util.find_spec("torch") else errors.LIBRARY["In torch"]
COMMANDS = [case for cases in errors.COMMANDS.values() for case in cases]


def assert_says(message, says):
    pattern = ".*".join(map(re.escape, says.split("...")))
    assert re.fullmatch(pattern, message), f"{message}\nis not\n{says}"


@pytest.mark.parametrize("case", [case for case in CALLS if case not in NEED_TORCH],
                         ids=lambda case: case.wrong)
def test_a_call_says_what_the_table_says(case):
    with pytest.raises(case.error) as raised:
        case.call()
    assert raised.type is case.error
    assert_says(str(raised.value), case.says)


@pytest.mark.slow
@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.wrong)
def test_a_command_says_what_the_table_says(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if case.prepare:
        case.prepare(monkeypatch)
    capsys.readouterr()
    try:
        status = main(case.line.split())
    except SystemExit as ended:     # of argparse
        status = ended.code
    said = capsys.readouterr().err.splitlines()[-1]
    assert status == case.status, said
    assert_says(re.sub(r"^ctc-scratch( \w+)?: (error: )?", "", said), case.says)


def test_the_page_holds_the_table_of_the_cases():
    _, table, after = errors.parts(errors.README.read_text(encoding="utf-8"))
    assert after, f"tests/README.md has lost {errors.BEGIN} or {errors.END}"
    assert table == errors.page(), "the table is stale: python -m tests.errors"


def test_cases_are_sentences_and_no_case_or_message_stands_twice():
    """What went wrong and what to do are whole sentences."""
    cases = [*CALLS, *COMMANDS]
    assert len(cases) >= 40
    assert len({case.says for case in cases}) == len(cases) == len({case.wrong for case in cases})
    assert all(case.wrong.endswith(".") and case.mend.endswith((".", "?")) for case in cases)
