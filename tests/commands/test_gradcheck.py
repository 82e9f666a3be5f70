"""`ctc-scratch gradcheck`: the table that it prints, and its report of a wrong gradient."""

import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.lessons import gradchecks


@pytest.mark.slow
def test_gradcheck_passes_and_names_every_subject(capsys):
    assert main(["gradcheck"]) == 0
    out = capsys.readouterr().out
    for subject in ("CTC, repeats", "CTC, tight fit", "CTC, -inf entries", "Linear", "LSTM", "BiLSTM",
                    "stack of 2 BiLSTM", "reader + CTC"):
        assert subject in out
    assert "not that the loss is right" in out and "ctc-scratch check" in out
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
