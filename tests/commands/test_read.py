"""`ctc-scratch read`: its options are passed on to `read_files`."""

import pytest

from ctc_scratch.commands import read as verb
from ctc_scratch.commands.main import main


@pytest.mark.parametrize("arguments, expected", [
    (["a.png"], (["a.png"], "the model of ''", "beam", 1, "", "table")),
    (["a.png", "b.jpg", "--model", "m", "--decoder", "map", "--figure", "f"],
     (["a.png", "b.jpg"], "the model of 'm'", "map", 1, "f", "table")),
    (["a.png", "--top", "3", "--json"], (["a.png"], "the model of ''", "beam", 3, "", "json")),
    (["-", "--csv"], (["-"], "the model of ''", "beam", 1, "", "csv")),
], ids=["default", "all", "top", "csv"])
def test_options_reach_the_reader(arguments, expected, monkeypatch):
    calls = []
    monkeypatch.setattr(verb, "find_model", repr)
    monkeypatch.setattr(verb, "load_model", lambda path: f"the model of {path}")
    monkeypatch.setattr(verb, "read_files", lambda *given: calls.append(given) or [])
    assert main(["read", *arguments]) == 0
    assert calls == [expected]
