"""The types of arguments that verbs share."""

from argparse import ArgumentTypeError

import pytest

from ctc_scratch.commands import arguments


def test_labels():
    for text, labels in {"1,1,2": [1, 1, 2], "": [], "7": [7], "1, 2": [1, 2]}.items():
        assert arguments.labels(text) == labels
    for text in ("1,", "a", "-1", "1.5", "1;2"):
        with pytest.raises(ArgumentTypeError, match=f"expected labels like 1,1,2, not '{text}'"):
            arguments.labels(text)


def test_seed():
    assert arguments.seed("0") == 0 and arguments.seed("12") == 12
    for text in ("-1", "1.5", "", "x"):
        with pytest.raises(ArgumentTypeError, match=f"expected a whole number, at least 0, not '{text}'"):
            arguments.seed(text)
