"""The trainer on small runs: it learns, it is repeatable, it writes what it says, it stops cleanly."""

import json

import numpy as np
import pytest

from ctc_scratch.ctc import get_num_threads, set_num_threads
from ctc_scratch.digits import train as training
from ctc_scratch.digits.checkpoint import load_model
from ctc_scratch.digits.data import RowSampler, load_mnist, training_split
from ctc_scratch.digits.evaluate import evaluate, read_rows
from ctc_scratch.digits.model import RowReader
from ctc_scratch.digits.shards import DivergedError, batch_gradients, cut, gradients
from ctc_scratch.digits.train import Settings, SettingsError, train

pytestmark = pytest.mark.slow  # as plain Python

SMALL = dict(digits=(1, 3), test_digits=2, hidden=16, window=7, batch=8, steps=20, evaluations=1)


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(autouse=True)
def few_evaluation_rows(monkeypatch, mnist):
    """Short evaluations: the first 400 validation and test digits."""
    few = mnist._replace(test_images=mnist.test_images[:400], test_labels=mnist.test_labels[:400])
    train_part, (images, labels) = training_split(mnist)
    monkeypatch.setattr(training, "load_mnist", lambda folder: few)
    monkeypatch.setattr(training, "training_split", lambda mnist: (train_part, (images[:400], labels[:400])))


def test_a_run_writes_its_folder(tmp_path, capsys, mnist):
    evaluation = train(Settings(**SMALL, out=str(tmp_path / "run")))
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "learning_curve.png", "metrics.jsonl", "model.npz", "reading.png", "settings.json"]
    assert json.loads((folder / "settings.json").read_text())["hidden"] == 16
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "loss" in r] == [10, 20]
    assert records[-1]["test_label_error_rate"] == evaluation.label_error_rate
    again = evaluate(load_model(folder / "model.npz"), mnist.test_images[:400], mnist.test_labels[:400], 2)
    assert again == evaluation, "the saved model is the one that was tested"
    assert "test rows of 2 digits: label error rate" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="never overwritten"):
        train(Settings(**SMALL, out=str(folder)))


def test_the_same_seed_gives_the_same_numbers_on_any_number_of_threads(tmp_path):
    before, models = get_num_threads(), []
    try:
        for k, (threads, seed) in enumerate([(1, 3), (2, 3), (2, 4)]):
            set_num_threads(threads)
            train(Settings(**SMALL, seed=seed, out=str(tmp_path / str(k))))
            models.append(load_model(tmp_path / str(k) / "model.npz").params)
    finally:
        set_num_threads(before)
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])
    assert not all(np.array_equal(models[1][name], models[2][name]) for name in models[0])


def test_ctrl_c_saves_what_was_learnt(tmp_path, monkeypatch, capsys):
    steps = []

    def interrupt(*arguments):
        steps.append(1)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return batch_gradients(*arguments)

    monkeypatch.setattr(training, "batch_gradients", interrupt)
    assert train(Settings(**SMALL, out=str(tmp_path / "run"))) is None
    assert "ctc-scratch evaluate" in capsys.readouterr().out
    load_model(tmp_path / "run" / "model.npz")
    records = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in records] == [10]


@pytest.mark.parametrize("spoil, message", [
    (lambda model, grads: grads["output.bias"].fill(np.nan), "the gradient's norm is nan"),
    (lambda model, grads: model.params["output.bias"].fill(np.inf), "outputs are not finite"),
], ids=["gradient", "weights"])
def test_a_diverging_run_says_so_and_keeps_its_weights(tmp_path, monkeypatch, spoil, message):
    steps = []

    def spoilt(model, batch):
        loss, grads, shards = batch_gradients(model, batch)
        steps.append(1)
        if len(steps) == 7:
            spoil(model, grads)
        return loss, grads, shards

    monkeypatch.setattr(training, "batch_gradients", spoilt)
    with pytest.raises(DivergedError, match=rf"step \d: .*{message}: training diverged.*--rate"):
        train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert load_model(tmp_path / "run" / "model.npz").params


def test_the_plateau_is_explained_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "_watch", lambda *arguments: (1.0, 1.0))
    train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert capsys.readouterr().out.count("That is the normal beginning") == 1


def test_it_learns_to_read_single_digits(tmp_path):
    """A minute-long claim in ten seconds: 200 small steps get most lone digits right."""
    evaluation = train(Settings(digits=(1, 2), test_digits=1, hidden=48, window=7, batch=32, steps=250,
                                evaluations=1, rate=1e-2, out=str(tmp_path / "run")))
    assert evaluation.label_error_rate < 0.3, f"label error rate {evaluation.label_error_rate:.1%}"


def test_shards_add_up_to_the_gradient_of_the_whole_batch(rng, mnist):
    model = RowReader(hidden=6, window=7, rng=rng, dtype=np.float64)
    batch = RowSampler(mnist.train_images[:50], mnist.train_labels[:50], (1, 4), rng).batch(7)
    whole = gradients(model, batch)
    loss, grads, shards = batch_gradients(model, batch)
    assert len(shards) > 1
    assert loss == pytest.approx(whole.loss / 7, rel=1e-13)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, whole.grads[name] / 7, atol=1e-13, err_msg=name)
    assert [len(part.labels) for part in cut(batch, 3)] == [2, 2, 3]
    assert len(cut(batch, 20)) == 7, "no shard is empty"


def test_reading_in_chunks_and_at_once_agree(rng, mnist, monkeypatch):
    model = RowReader(hidden=6, window=7, rng=rng)
    rows = rng.random((9, 28, 56), dtype=np.float32)
    at_once = read_rows(model, rows)
    monkeypatch.setattr("ctc_scratch.digits.evaluate.FRAMES_AT_ONCE", 16)
    assert read_rows(model, rows) == at_once


def test_evaluation_counts_what_is_confused(mnist, monkeypatch):
    images, labels = mnist.test_images[:6], np.array([1, 2, 3, 4, 5, 6], np.uint8)
    monkeypatch.setattr("ctc_scratch.digits.evaluate.read_rows", lambda *_: [[1, 2, 7], [4, 6]])
    evaluation = evaluate(None, images, labels, 3)
    assert evaluation.label_error_rate == 2 / 6 and evaluation.row_accuracy == 0
    assert evaluation.confusions == {(7, 3): 1, (None, 5): 1}


@pytest.mark.parametrize("wrong, message", [
    (dict(digits=(3, 2)), "--digits must be at least 1, and LOW-HIGH in order, not"),
    (dict(digits=(0, 2)), "--digits"), (dict(test_digits=0), "--test-digits must be at least 1, not 0"),
    (dict(test_digits=401), "--test-digits must be at most 400, the images there are, not 401"),
    (dict(hidden=0), "--hidden"), (dict(layers=0), "--layers"), (dict(direction="back"), "--direction"),
    (dict(window=15), "--window must be from 1 to 14, not 15"), (dict(batch=0), "--batch"),
    (dict(steps=0), "--steps"), (dict(rate=float("nan")), "--rate"), (dict(clip=0), "--clip"),
    (dict(evaluations=-1), "--evaluations"), (dict(seed=-1), "--seed"),
])
def test_bad_settings_are_refused_before_a_folder_is_made(tmp_path, wrong, message):
    with pytest.raises(SettingsError, match=message):
        train(Settings(**{**SMALL, "out": str(tmp_path / "run"), **wrong}))
    assert not (tmp_path / "run").exists()


def test_an_impossible_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made"):
        train(Settings(**SMALL, out=str(tmp_path / "file" / "run")))
