"""The recordings of room 5: what ships with the package, and one of a run of `ctc-scratch train`."""

import base64
import json

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.ctc import reference
from ctc_scratch.digits.model.evaluate import model_logits
from ctc_scratch.digits.model.model_file import load_model
from ctc_scratch.page import recording
from tests.tools.small_runs import SMALL, draw_nothing, use_few_digits


def array_of(text, rows):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(rows, -1) / 255


def test_the_packaged_recording_is_consistent():
    """Frames of posteriors and of gamma sum to 1, up to rounding; in the end all digits are read."""
    packaged = recording.packaged_recording()
    (row,) = packaged["rows"]
    T, S = row["width"] // packaged["window"], 2 * len(row["labels"]) + 1
    for moment in row["moments"]:
        posterior, gamma = array_of(moment["posterior"], T), array_of(moment["gamma"], T)
        assert posterior.shape == (T, len(packaged["classes"])) and gamma.shape == (T, S)
        for array in posterior, gamma:
            np.testing.assert_allclose(array.sum(axis=1), 1, atol=array.shape[1] / 2 / 255)
    assert row["moments"][-1]["reading"] == row["labels"]
    assert [] in [moment["reading"] for moment in row["moments"]]
    assert len({len(values) for values in packaged["curve"].values()}) == 1


def test_a_moment_of_a_row(rng):
    logits = rng.standard_normal((7, 4))
    moment = recording.moment(3, logits, [1, 2])
    log_probs = reference.log_softmax(logits)
    for name, array in ("gamma", reference.gamma(log_probs, [1, 2])), ("posterior", np.exp(log_probs)):
        np.testing.assert_allclose(array_of(moment[name], 7), array, atol=0.5 / 255)
    assert moment["loss"] == round(reference.loss_and_grad(logits, [1, 2])[0], 4)


def test_a_moment_of_a_row_that_does_not_fit():
    moment = recording.moment(0, np.zeros((2, 4)), [1, 1])
    assert moment["loss"] is None and not array_of(moment["gamma"], 2).any()


@pytest.mark.parametrize("count", [0, 1, 400, 401, 5000])
def test_long_curves_are_thinned(count):
    thinned = recording.curve(*[range(count)] * 4)
    assert len(thinned["step"]) <= recording.MOST_POINTS and thinned["step"][:1] == [0][:count]


@pytest.mark.slow
def test_a_recording_of_a_run(tmp_path, monkeypatch, capsys):
    """The fresh network, the last checkpoint and the best model, on three test rows, are in the page."""
    from ctc_scratch.digits.data.mnist_files import load_mnist

    use_few_digits(monkeypatch, load_mnist())
    draw_nothing(monkeypatch)
    run = tmp_path / "run"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**SMALL, "digits": "1-3"}.items()]
    assert main(["train", *options, "--out", str(run)]) == 0
    made = recording.run_recording(str(run))
    assert len(made["rows"]) == recording.ROWS and made["curve"]["step"][-1] == SMALL["steps"]
    for row in made["rows"]:
        steps = [moment["step"] for moment in row["moments"]]
        assert steps[0] == 0 and steps[-1] == SMALL["steps"]
        image = array_of(row["image"], row["height"])
        logits = model_logits(load_model(run / "model.npz"), image[None].astype(np.float32))[0][:, 0]
        expected = np.exp(reference.log_softmax(logits))
        posterior = array_of(row["moments"][-1]["posterior"], len(logits))
        np.testing.assert_allclose(posterior, expected, atol=3 / 255)
    out = tmp_path / "a.html"
    assert main(["explore", "--no-open", "--run", str(run), "--out", str(out)]) == 0
    assert out.stat().st_size < 1_500_000
    assert json.dumps(made, separators=(",", ":")) in out.read_text(encoding="utf-8")
