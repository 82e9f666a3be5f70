"""The trainer keeps the weights that validation rows choose, and ends when patience or time runs out."""

from collections import Counter

import pytest

from ctc_scratch.digits.model.evaluate import Evaluation
from ctc_scratch.digits.model.model_file import digest, load_model
from ctc_scratch.digits.training import trainer as trainer_module
from ctc_scratch.digits.training.train import Settings, train
from ctc_scratch.plots import learning_figure
from tests.tools.small_runs import SMALL, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_runs")]


@pytest.fixture
def rates(monkeypatch):
    """A list for the test to fill: the label error rates of the evaluations to come."""
    planned = []

    def planned_evaluation(model, images, labels, digits, gap):
        assert gap is None
        rate = planned.pop(0)
        return Evaluation(digits, 1, rate, 1 - rate, Counter())

    monkeypatch.setattr(trainer_module, "evaluate", planned_evaluation)
    return planned


def test_the_best_weights_by_validation_rows_are_kept(tmp_path, rates, monkeypatch, capsys):
    rates += [0.5, 0.2, 0.3, 0.4]
    saved = {}
    validate = trainer_module.Trainer.validate

    def remember(trainer):
        result = validate(trainer)
        saved[trainer.schedule.step] = digest(trainer.model.params)
        return result

    monkeypatch.setattr(trainer_module.Trainer, "validate", remember)
    train(Settings(**{**SMALL, "evaluations": 4}, out=str(tmp_path / "run")))
    assert list(saved) == [5, 10, 15, 20]
    assert digest(load_model(tmp_path / "run" / "model.npz").params) == saved[10]
    assert f"kept: the weights of step 10, the best by validation rows: SHA-256 {saved[10]}" in (
        capsys.readouterr().out)


def test_averaged_weights_are_kept_where_they_read_better(tmp_path, rates, capsys):
    rates += [0.5, 0.4, 0.3, 0.35]      # last, average; last, average
    train(Settings(**{**SMALL, "evaluations": 2, "average": 0.9}, out=str(tmp_path / "run")))
    best = [line for line in capsys.readouterr().out.splitlines() if line.endswith("best")]
    assert len(best) == 2, "each evaluation found something better"
    assert [line.split()[-4:-1] for line in best] == [["50.00%", "40.00%", "60.0%"],
                                                      ["30.00%", "35.00%", "65.0%"]]
    last = records(tmp_path / "run")[-1]
    assert last["sha256"] == last["model_sha256"]
    lines = [line for line in records(tmp_path / "run") if "average_label_error_rate" in line]
    assert [line["average_label_error_rate"] for line in lines] == [0.4, 0.35]
    _, rates = learning_figure(lines).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in rates.lines}
    assert drawn["label errors, validation, averaged weights"] == [40, 35]
    assert len({line.get_linestyle() for line in rates.lines}) == len(rates.lines), "not by colour alone"


def test_patience_ends_a_run_that_no_longer_improves(tmp_path, rates, monkeypatch, capsys):
    rates += [0.5, 0.2, 0.3, 0.2]
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (0.5, 0.8))
    train(Settings(**{**SMALL, "evaluations": 10, "patience": 2}, out=str(tmp_path / "run")))
    assert "ended after step 8: 2 evaluations without a better one" in capsys.readouterr().out
    assert records(tmp_path / "run")[-1]["step"] == 8


def test_patience_waits_for_the_end_of_the_plateau(tmp_path, rates, monkeypatch, capsys):
    rates += [1.0] * 6 + [0.5, 0.5]
    blanks = iter([1.0] * 7 + [0.9] * 2)    # the first step loads the kernels
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (1.0, next(blanks)))
    train(Settings(**{**SMALL, "evaluations": 20, "patience": 1}, out=str(tmp_path / "run")))
    assert "ended after step 8: an evaluation without a better one" in capsys.readouterr().out


def test_a_limit_of_minutes_ends_the_run_at_the_end_of_its_schedule(tmp_path):
    train(Settings(**{**SMALL, "steps": 10**6, "minutes": 0.02}, out=str(tmp_path / "run")))
    lines = records(tmp_path / "run")
    trained = [line for line in lines if "rate" in line]
    assert trained[-1]["seconds"] < 4
    assert trained[-1]["rate"] < 0.02 * max(line["rate"] for line in trained), "the rate has come down"


def test_with_close_rows_validation_digits_are_read_touching_and_overlapping_too(
        monkeypatch, tmp_path, capsys):
    planned = {None: 0.1, 0: 0.2, -2: 0.6}
    monkeypatch.setattr(trainer_module, "evaluate", lambda model, images, labels, digits, gap: Evaluation(
        digits, 1, planned[gap], 1 - planned[gap], Counter()))
    settings = Settings(**{**SMALL, "out": str(tmp_path / "run"), "close": 0.5, "window": 4})
    train(settings)
    best = [record for record in records(tmp_path / "run") if "validation_label_error_rate" in record][0]
    assert best["validation_label_error_rate"] == pytest.approx(0.3, rel=1e-12)
    assert "the same digits, touching: label error rate" in capsys.readouterr().out
