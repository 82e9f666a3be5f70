"""Small training runs: they learn, they are repeatable, they stop cleanly, they say what went wrong."""

import re
import signal

import numpy as np
import pytest

from ctc_scratch.ctc import get_num_threads, set_num_threads
from ctc_scratch.digits.model.model_file import load_model
from ctc_scratch.digits.training import trainer as trainer_module
from ctc_scratch.digits.training.gradients import batch_gradients
from ctc_scratch.digits.training.run_folder import RunFolder
from ctc_scratch.digits.training.train import DivergedError, Settings, StoppedError, train
from tests.tools.small_runs import SMALL, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_runs")]  # slow in plain Python


def weights(folder, threads, **changes):
    before = get_num_threads()
    try:
        set_num_threads(threads)
        train(Settings(**{**SMALL, **changes}, out=str(folder)))
    finally:
        set_num_threads(before)
    return records(folder)[-1]["sha256"]


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_threads_do_not_change_a_bit_of_the_weights(tmp_path, optimiser):
    changes = dict(shards=4, average=0.9, rotate=10, shift=2, gap=2, layers=2, hidden=24, vertical=2,
                   optimiser=optimiser)
    found = {threads: weights(tmp_path / str(threads), threads, **changes) for threads in (1, 2, 3)}
    assert len(set(found.values())) == 1, found
    assert found[1] != weights(tmp_path / "seed", 1, seed=1, **changes)


def test_the_same_settings_give_the_same_metrics(tmp_path):
    runs = []
    for name in "ab":
        weights(tmp_path / name, 2)
        runs.append([{k: v for k, v in line.items() if k != "seconds"} for line in records(tmp_path / name)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_a_signal_ends_a_run_between_two_steps(tmp_path, monkeypatch, capsys, number):
    steps = []

    def interrupt(*arguments):
        steps.append(1)
        if len(steps) == 12:
            signal.raise_signal(number)
        return batch_gradients(*arguments)

    before = signal.getsignal(number)
    monkeypatch.setattr(trainer_module, "batch_gradients", interrupt)
    with pytest.raises(StoppedError) as stopped:
        train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert stopped.value.signal == number and signal.getsignal(number) == before
    out = capsys.readouterr().out
    assert f"after step {len(steps) - 1}" in out, "one step loaded the kernels"
    assert f"--resume {tmp_path / 'run'}" in out and "ctc-scratch evaluate" in out
    load_model(tmp_path / "run" / "model.npz")
    assert [line["step"] for line in records(tmp_path / "run") if "loss" in line] == [10]


SPOIL = pytest.mark.parametrize("spoil, message", [
    (lambda model, grads: grads["output.bias"].fill(np.nan), "the gradient's norm is nan"),
    (lambda model, grads: model.params["output.bias"].fill(np.inf), "outputs are not finite"),
], ids=["gradient", "weights"])


def diverge(folder, monkeypatch, spoil, **changes):
    """Spoil a run in its 7th step; returns its error message and its last record when the curve was drawn."""
    steps, drawn = [], []

    def spoilt(model, *arguments):
        loss, grads, shards = batch_gradients(model, *arguments)
        steps.append(1)
        if len(steps) == 8:     # the first step loads the kernels
            spoil(model, grads)
        return loss, grads, shards

    monkeypatch.setattr(trainer_module, "batch_gradients", spoilt)
    monkeypatch.setattr(RunFolder, "draw", lambda run: drawn.append(run.records[-1]))
    with pytest.raises(DivergedError) as raised:
        train(Settings(**{**SMALL, **changes}, out=str(folder)))
    last, = drawn
    assert last == records(folder)[-1]
    return str(raised.value), last


@SPOIL
def test_a_diverging_run_says_so_and_keeps_the_weights_chosen_before(tmp_path, monkeypatch, spoil, message):
    said, last = diverge(tmp_path / "run", monkeypatch, spoil, evaluations=5)
    assert re.fullmatch(rf"step [78]: .*{message}: training diverged, try a smaller --rate than 0.015; the "
                        rf"weights of step 4, the best by validation rows, are in {tmp_path / 'run'}/", said)
    assert last["said"] == said
    params = load_model(tmp_path / "run" / "model.npz").params
    assert all(np.isfinite(param).all() for param in params.values())


@SPOIL
def test_a_run_that_diverges_before_an_evaluation_has_none_to_keep(tmp_path, monkeypatch, spoil, message):
    said, last = diverge(tmp_path / "run", monkeypatch, spoil)
    expected = rf"step [78]: .*{message}: .*; there was no evaluation before, so no weights are kept"
    assert re.fullmatch(expected, said)
    assert last["said"] == said
    assert not (tmp_path / "run" / "model.npz").exists()


def test_gradients_that_explode_end_the_run(tmp_path):
    """No gradient is replaced here: the rate is ten thousand times too high."""
    with pytest.raises(DivergedError, match="the gradients explode: for 20 steps the loss .*smaller --rate"):
        train(Settings(**{**SMALL, "steps": 200, "rate": 300.0}, out=str(tmp_path / "run")))


def test_the_plateau_is_explained_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (1.0, 1.0))
    train(Settings(**SMALL, out=str(tmp_path / "run")))
    out = capsys.readouterr().out
    assert out.count("That is the normal beginning") == 1
    assert out.count("The run has ended while the network still answers blank") == 1
    assert "seen 160 rows" in out
    assert [line["step"] for line in records(tmp_path / "run") if "said" in line] == [10, 20]


def test_it_learns_to_read_single_digits(tmp_path):
    """250 small steps, about ten seconds, are enough to read most single digits."""
    evaluation = train(Settings(digits=(1, 2), test_digits=1, hidden=48, window=7, batch=32, steps=250,
                                evaluations=1, rate=1e-2, out=str(tmp_path / "run")))
    assert evaluation.label_error_rate < 0.3, f"label error rate {evaluation.label_error_rate:.1%}"
