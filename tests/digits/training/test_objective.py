"""Training with an objective: its gradient, the same bits always, the prior in a checkpoint."""

import numpy as np
import pytest

from ctc_scratch import ctc
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model.reader import BLANK, digits_to_labels
from ctc_scratch.digits.training import run_folder
from ctc_scratch.digits.training import trainer as trainer_module
from ctc_scratch.digits.training.gradients import batch_gradients, shard_gradients
from ctc_scratch.digits.training.objective import OBJECTIVES, PRIOR_DECAY, Objective
from ctc_scratch.digits.training.train import Settings, resume, train
from tests.digits.training.test_train import weights
from tests.tools.archives import rewrite
from tests.tools.small_runs import SMALL, records, small_trainer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_runs")]  # slow in plain Python

WEIGHTS = {"entropy": 0.1, "prior": 0.5, "focal": 1.0, "delay": -0.05, "bayes-risk": 1.5}
PRIOR = np.append(0.5, np.full(10, 0.05))
CALLS = {
    "entropy": lambda *given: ctc.entropy_ctc_loss(*given, weight=0.1),
    "prior": lambda *given: ctc.prior_ctc_loss(*given, weight=0.5, prior=PRIOR),
    "focal": lambda *given: ctc.focal_ctc_loss(*given, power=1.0, per_label=True),
    "delay": lambda *given: ctc.delay_ctc_loss(*given, weight=-0.05),
    "bayes-risk": lambda *given: ctc.bayes_risk_ctc_loss(*given, weight=1.5),
}


def test_each_objective_but_plain_ctc_is_tested():
    assert set(OBJECTIVES) - {"ctc"} == set(WEIGHTS) == set(CALLS)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_gradient_is_that_of_the_objective_and_the_losses_are_plain(name, monkeypatch):
    trainer = small_trainer()
    model, batch = trainer.model, trainer.sampler.batch(5)
    objective = Objective(name, WEIGHTS[name], 11)
    if name == "prior":
        objective.running_prior.prior = PRIOR
    passed = []
    monkeypatch.setattr(model, "backward", lambda grad, cache: passed.append(grad) or {})
    shard = shard_gradients(model, batch, objective=objective)
    targets = [digits_to_labels(row) for row in batch.labels]
    expected = CALLS[name](shard.logits, targets, shard.lengths)
    np.testing.assert_array_equal(passed[0], expected.grad)
    assert shard.objective == pytest.approx(expected.loss.sum(), rel=1e-12)
    plain = ctc.ctc_loss(shard.logits, targets, shard.lengths, blank=BLANK)
    np.testing.assert_array_equal(shard.losses, plain.loss)
    assert shard.loss == pytest.approx(plain.loss.sum()) != pytest.approx(shard.objective)
    assert not np.array_equal(expected.grad, plain.grad)


def test_without_an_objective_plain_ctc_is_minimised():
    trainer = small_trainer()
    shard = shard_gradients(trainer.model, trainer.sampler.batch(3))
    assert shard.objective == shard.loss


def test_the_prior_is_updated_once_per_step_from_the_whole_batch(monkeypatch):
    trainer = small_trainer(objective="prior", weight=0.5, shards=3)
    expected = ctc.RunningPrior(11, PRIOR_DECAY)
    given = []

    def observed(*arguments):
        given.append(arguments[-1].running_prior.prior.copy())
        result = batch_gradients(*arguments)
        expected.update(np.concatenate(
            [shard.logits[:T, n] for shard in result.shards for n, T in enumerate(shard.lengths)]))
        return result

    monkeypatch.setattr(trainer_module, "batch_gradients", observed)
    for _ in range(3):
        before = expected.prior
        trainer.step()
        np.testing.assert_array_equal(given[-1], before)
        np.testing.assert_array_equal(trainer.objective.running_prior.prior, expected.prior)
    assert abs(given[1] - given[0]).max() > 1e-4


def test_a_running_prior_ignores_padding():
    objective = Objective("prior", 1.0, 3)
    logits = np.zeros((4, 2, 3))
    logits[2:, 0] = 50.0, 0.0, 0.0  # after the end of row 0
    objective.update([(logits, np.array([2, 4]))])
    np.testing.assert_allclose(objective.running_prior.prior, 1 / 3, rtol=1e-15)


@pytest.mark.parametrize("name, weight", WEIGHTS.items())
def test_threads_do_not_change_a_bit_and_a_resumed_run_has_the_same(tmp_path, name, weight, monkeypatch):
    changes = dict(objective=name, weight=weight, shards=3, gap=2, save_every=0.0)
    found = {weights(tmp_path / str(threads), threads, **changes) for threads in (1, 2)}
    assert len(found) == 1
    count = []

    def fails(*arguments):
        count.append(1)
        if len(count) == 10:
            raise KeyboardInterrupt  # as if the run were killed
        return batch_gradients(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer_module, "batch_gradients", fails)
        train(Settings(**{**SMALL, **changes}, out=str(tmp_path / "killed")))
    resume(tmp_path / "killed")
    runs = [[{key: value for key, value in line.items() if key != "seconds"} for line in records(folder)]
            for folder in (tmp_path / "1", tmp_path / "killed")]
    assert runs[0] == runs[1]
    reports = [line for line in runs[0] if "loss" in line]
    assert all(line["objective"] != line["loss"] for line in reports) and len(reports) == 2


def test_metrics_of_plain_ctc_name_no_objective(tmp_path):
    weights(tmp_path / "run", 1, steps=10)
    assert not any("objective" in line for line in records(tmp_path / "run"))


@pytest.mark.parametrize("value", [np.nan, 0.0, 0.5], ids=str)
def test_a_prior_in_a_checkpoint_that_is_no_distribution_is_refused(tmp_path, value):
    settings = Settings(**{**SMALL, "steps": 2}, objective="prior", weight=0.5, out=str(tmp_path / "run"))
    train(settings)
    path = tmp_path / "run" / run_folder.CHECKPOINT
    rewrite(path, lambda header, arrays: arrays["objective/prior"].fill(value))
    with pytest.raises(ArchiveError, match=r"expected a prior, .* that sum to 1, found array\("):
        resume(path)


def test_an_objective_prints_in_one_line():
    assert repr(Objective("delay", 0.1, 11)) == "Objective('delay', 0.1)"
