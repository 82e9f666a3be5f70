"""The trainer on small runs: it learns, it is repeatable, it writes what it says, it stops cleanly."""

import json
import re
import signal

import numpy as np
import pytest

from ctc_scratch.ctc import get_num_threads, label_error_rate, sequence_accuracy, set_num_threads
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.model import evaluate as evaluation_module
from ctc_scratch.digits.model.evaluate import Evaluation, evaluate, read_rows
from ctc_scratch.digits.model.model_file import digest, load_model
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.training import trainer as trainer_module
from ctc_scratch.digits.training.gradients import batch_gradients
from ctc_scratch.digits.training.run_folder import RunFolder
from ctc_scratch.digits.training.settings import PRESETS, with_preset
from ctc_scratch.digits.training.train import (
    DivergedError,
    OptionError,
    Settings,
    StoppedError,
    resume,
    train,
)
from ctc_scratch.plots import learning_figure
from tests.tools.small_runs import SMALL, draw_nothing, records, use_few_digits

pytestmark = pytest.mark.slow  # as plain Python


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(autouse=True)
def quick_runs(request, monkeypatch, mnist):
    use_few_digits(monkeypatch, mnist)
    if request.function is not test_a_run_writes_its_folder:
        draw_nothing(monkeypatch)


def test_a_run_writes_its_folder(tmp_path, capsys, mnist):
    evaluation = train(Settings(**SMALL, out=str(tmp_path / "run")))
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.npz", "checkpoint.previous.npz", "learning_curve.png", "metrics.jsonl", "model.npz",
        "reading.png", "settings.json"]
    assert json.loads((folder / "settings.json").read_text())["hidden"] == 16
    lines = records(folder)
    assert [line["step"] for line in lines if "loss" in line] == [10, 20]
    assert lines[-1]["test_label_error_rate"] == evaluation.label_error_rate
    model = load_model(folder / "model.npz")
    again = evaluate(model, mnist.test_images[:400], mnist.test_labels[:400], 2)
    assert again == evaluation, "the saved model is the one that was tested"
    out, err = capsys.readouterr()
    assert f"training in {folder}/\n" in out and err == "", "no bar where there is no terminal"
    assert "test rows of 2 digits: label error rate" in out
    assert f"weights after step 20: SHA-256 {lines[-1]['sha256']}\n" in out
    assert lines[-1]["model_sha256"] == digest(model.params)


def test_a_folder_is_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="never overwritten.*--resume"):
        train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "notes.txt"]


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
    assert f"after step {len(steps) - 1}" in out, "one step compiled kernels"
    assert f"--resume {tmp_path / 'run'}" in out and "ctc-scratch evaluate" in out
    load_model(tmp_path / "run" / "model.npz")
    assert [line["step"] for line in records(tmp_path / "run") if "loss" in line] == [10]


SPOIL = pytest.mark.parametrize("spoil, message", [
    (lambda model, grads: grads["output.bias"].fill(np.nan), "the gradient's norm is nan"),
    (lambda model, grads: model.params["output.bias"].fill(np.inf), "outputs are not finite"),
], ids=["gradient", "weights"])


def diverge(folder, monkeypatch, spoil, **changes):
    """A run that is spoilt in its 7th step: the message, and the last line of metrics as it was drawn."""
    steps, drawn = [], []

    def spoilt(model, *arguments):
        loss, grads, shards = batch_gradients(model, *arguments)
        steps.append(1)
        if len(steps) == 8:     # the first one loads kernels
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
def test_a_diverging_run_says_so_and_keeps_what_validation_rows_chose(tmp_path, monkeypatch, spoil, message):
    said, last = diverge(tmp_path / "run", monkeypatch, spoil, evaluations=5)
    assert re.fullmatch(rf"step [78]: .*{message}: training diverged, try a smaller --rate than 0.015; the "
                        rf"weights of step 4, the best by validation rows, are in {tmp_path / 'run'}/", said)
    assert last["said"] == said
    params = load_model(tmp_path / "run" / "model.npz").params
    assert all(np.isfinite(param).all() for param in params.values())


@SPOIL
def test_a_run_that_diverges_before_an_evaluation_has_none_to_keep(tmp_path, monkeypatch, spoil, message):
    said, last = diverge(tmp_path / "run", monkeypatch, spoil)
    assert re.fullmatch(rf"step [78]: .*{message}: .*; no evaluation had chosen weights before", said)
    assert last["said"] == said
    assert not (tmp_path / "run" / "model.npz").exists()


def test_gradients_that_explode_end_the_run(tmp_path):
    """A real one: the rate is ten thousand times too high."""
    with pytest.raises(DivergedError, match="the gradients explode: for 20 steps the loss .*smaller --rate"):
        train(Settings(**{**SMALL, "steps": 200, "rate": 300.0}, out=str(tmp_path / "run")))


def test_the_plateau_is_explained_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (1.0, 1.0))
    train(Settings(**SMALL, out=str(tmp_path / "run")))
    out = capsys.readouterr().out
    assert out.count("That is the normal beginning") == 1
    assert out.count("The run has ended while the network answers blank") == 1 and "seen 160 rows" in out
    assert [line["step"] for line in records(tmp_path / "run") if "said" in line] == [10, 20]


# ---- validation ---------------------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch):
    """Label error rates that evaluations are to find, one after the other."""
    planned = []

    def planned_evaluation(model, images, labels, digits):
        rate = planned.pop(0)
        return Evaluation(digits, 1, rate, 1 - rate, {})

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


def test_patience_ends_a_run_that_becomes_no_better(tmp_path, rates, monkeypatch, capsys):
    rates += [0.5, 0.2, 0.3, 0.2]
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (0.5, 0.8))
    train(Settings(**{**SMALL, "evaluations": 10, "patience": 2}, out=str(tmp_path / "run")))
    assert "ended after step 8: 2 evaluations without a better one" in capsys.readouterr().out
    assert records(tmp_path / "run")[-1]["step"] == 8


def test_patience_waits_for_the_end_of_the_plateau(tmp_path, rates, monkeypatch, capsys):
    rates += [1.0] * 6 + [0.5, 0.5]
    blanks = iter([1.0] * 7 + [0.9] * 2)    # the first one is that of loading the kernels
    monkeypatch.setattr(trainer_module, "batch_rates", lambda *arguments: (1.0, next(blanks)))
    train(Settings(**{**SMALL, "evaluations": 20, "patience": 1}, out=str(tmp_path / "run")))
    assert "ended after step 8: an evaluation without a better one" in capsys.readouterr().out


def test_a_budget_of_time_ends_the_whole_schedule(tmp_path):
    train(Settings(**{**SMALL, "steps": 10**6, "minutes": 0.02}, out=str(tmp_path / "run")))
    lines = records(tmp_path / "run")
    trained = [line for line in lines if "rate" in line]
    assert trained[-1]["seconds"] < 4
    assert trained[-1]["rate"] < 0.02 * max(line["rate"] for line in trained), "the rate has come down"


def test_a_profile_has_all_parts_of_a_step(tmp_path, capsys):
    train(Settings(**SMALL, out=str(tmp_path / "run")), show_profile=True)
    lines = capsys.readouterr().out.split("a training step, mean of 20\n")[1].splitlines()[:6]
    assert [line.split()[0] for line in lines] == ["data", "forward", "CTC", "backward", "optimiser", "all"]
    assert sum(float(line.split()[3].rstrip("%")) for line in lines[:5]) == pytest.approx(100, abs=0.3)
    resume(tmp_path / "run", show_profile=True)
    assert "no training step was made" in capsys.readouterr().out


def test_lines_of_the_table_fit_a_terminal(tmp_path, capsys):
    train(Settings(**{**SMALL, "evaluations": 2, "average": 0.5}, out=str(tmp_path / "run")))
    out = capsys.readouterr().out
    lines = out[out.index("  step "):].splitlines()[:3]
    assert all(line.endswith(("right", "%", " best")) and len(line) <= 80 for line in lines)
    assert len(lines[1].removesuffix(" best")) == len(lines[0]), "figures stand under their names"


def test_it_learns_to_read_single_digits(tmp_path):
    """A minute-long claim in ten seconds: 200 small steps get most lone digits right."""
    evaluation = train(Settings(digits=(1, 2), test_digits=1, hidden=48, window=7, batch=32, steps=250,
                                evaluations=1, rate=1e-2, out=str(tmp_path / "run")))
    assert evaluation.label_error_rate < 0.3, f"label error rate {evaluation.label_error_rate:.1%}"


def test_reading_in_chunks_and_at_once_agree(rng, mnist, monkeypatch):
    model = RowReader(hidden=6, window=7, rng=rng)
    rows = rng.random((9, 28, 56), dtype=np.float32)
    at_once = read_rows(model, rows)
    monkeypatch.setattr(evaluation_module, "FRAMES_AT_ONCE", 16)
    assert read_rows(model, rows) == at_once


def test_the_rate_of_an_evaluation_is_that_of_the_readings(rng, mnist):
    model = RowReader(hidden=6, window=7, rng=rng)
    images, labels = mnist.test_images[:90], mnist.test_labels[:90]
    rows, truth = consecutive_rows(images, labels, 3)
    read = read_rows(model, rows)
    found = evaluate(model, images, labels, 3)
    assert found.label_error_rate == label_error_rate(read, truth) > 0
    assert found.row_accuracy == sequence_accuracy(read, truth) and found.rows == 30


def test_evaluation_counts_what_is_confused(mnist, monkeypatch):
    images, labels = mnist.test_images[:6], np.array([1, 2, 3, 4, 5, 6], np.uint8)
    monkeypatch.setattr(evaluation_module, "read_rows", lambda *_: [[1, 2, 7], [4, 6]])
    evaluation = evaluate(None, images, labels, 3)
    assert evaluation.label_error_rate == 2 / 6 and evaluation.row_accuracy == 0
    assert evaluation.confusions == {(7, 3): 1, (None, 5): 1}


@pytest.mark.parametrize("wrong, message", [
    (dict(digits=(3, 2)), "--digits must be at least 1, and LOW-HIGH in order, not"),
    (dict(digits=(0, 2)), "--digits"), (dict(digits=(1, 10**9)), "--digits must be 10000 at most, not"),
    (dict(batch=10**6), "--batch must be from 1 to 333333 for rows of up to 3 digits, not 1000000"),
    (dict(hidden=10**5), "--hidden must be from 1 to 10000, not 100000"), (dict(gap=10**9), "--gap must be"),
    (dict(rotate=1e30), "--rotate must be a number from 0 to 180, not 1e"), (dict(rate=1e9), "--rate"),
    (dict(test_digits=0), "--test-digits must be at least 1, not 0"),
    (dict(test_digits=401), "--test-digits must be at most 400, the images there are, not 401"),
    (dict(optimiser="sgd"), "--optimiser must be 'adam' or 'muon', not sgd"),
    (dict(hidden=0), "--hidden"), (dict(layers=0), "--layers"), (dict(direction="back"), "--direction"),
    (dict(window=15), "--window must be from 1 to 14, not 15"), (dict(batch=0), "--batch"),
    (dict(steps=0), "--steps"), (dict(rate=float("nan")), "--rate"), (dict(clip=0), "--clip"),
    (dict(evaluations=-1), "--evaluations"), (dict(shards=0), "--shards"),
    (dict(seed=-1), "--seed"), (dict(seed=2**64), "--seed must be from 0 to 18446744073709551615, not 18"),
    (dict(steps=10**10), "--steps must be from 1 to 1000000000, not 10000000000"),
    (dict(shards=10**400), "--shards"), (dict(evaluations=10**400), "--evaluations"),
    (dict(digits=(6, 4)), "--digits must be at least 1, and LOW-HIGH in order, not 6-4"),
    (dict(scale=1.0), "--scale must be from 0 to below 1, not 1.0"), (dict(rotate=-1), "--rotate"),
    (dict(wave=float("inf")), "--wave"), (dict(plain=1.1), "--plain must be from 0 to 1, not 1.1"),
    (dict(gap=-1), "--gap"), (dict(average=1.0), "--average"),
    (dict(overlap=15), "--overlap must be from 0 to 14, which leaves two frames of 7 columns, not 15"),
    (dict(minutes=-1), "--minutes"), (dict(patience=-1), "--patience"), (dict(save_every=-1), "--save-every"),
    (dict(evaluations=5, patience=5), "--patience must be from 0 to 4, fewer than --evaluations, not 5"),
    (dict(evaluations=0, patience=1), "--patience must be from 0 to 0, fewer than --evaluations, not 1"),
])
def test_bad_settings_are_refused_before_a_folder_is_made(tmp_path, wrong, message):
    with pytest.raises(OptionError, match=message):
        train(Settings(**{**SMALL, "out": str(tmp_path / "run"), **wrong}))
    assert not (tmp_path / "run").exists()


def test_an_impossible_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be made"):
        train(Settings(**SMALL, out=str(tmp_path / "file" / "run")))


def test_presets_are_settings_that_can_be_used_and_changed():
    for name in PRESETS:
        with_preset(name).check()
    assert with_preset("best", layers=3) == Settings(**{**PRESETS["best"], "layers": 3})
    assert with_preset("") == Settings()
    with pytest.raises(OptionError, match="--preset must be one of best, not worst"):
        with_preset("worst")
