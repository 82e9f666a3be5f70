"""ctc-scratch show: what it says happens does happen, and it writes the files it names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctc_scratch import plots
from ctc_scratch.commands.main import main
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.ctc.reference import log_softmax
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.lessons import memorise, plateau
from ctc_scratch.digits.model.reader import BLANK, C, RowReader, digits_to_labels
from ctc_scratch.digits.training.gradients import batch_gradients
from tests.conftest import assert_close
from tests.plots.conftest import all_texts, render


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def row(mnist):
    return memorise.first_row(mnist)


def sampler_of(mnist, rng):
    return RowSampler(mnist.train_images, mnist.train_labels, (5, 5), rng)


# ---- one row


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 0])
def test_over_all_frames_the_cost_falls_from_near_301_to_near_1(row, seed):
    image, digits = row
    moments = memorise.memorise(image, digits, 140, memorise.CLIP, 0.1, np.random.default_rng(seed))
    costs = [moment.cost for moment in moments]
    assert 285 < costs[0] < 315 and 0.1 < costs[99] < 3, costs[::10]


@pytest.mark.slow
def test_the_mistakes_costs_are_those_of_the_original_in_kind(row):
    image, digits = row
    moments = memorise.memorise(image, digits, 5, memorise.NO_CLIP, 1.0, np.random.default_rng(7))
    for iteration, original in ((1, 12.728), (50, 0.398), (100, 0.118)):
        cost = moments[iteration - 1].cost
        assert original / 3 < cost < 3 * original, f"{cost} at {iteration}, originally {original}"


@pytest.mark.slow
def test_with_the_mistake_nothing_behind_the_fifth_column_matters(row):
    image, digits = row
    blotted = image.copy()
    blotted[:, 5:] = 0.5

    def costs(x, frames):
        moments = memorise.memorise(x, digits, frames, 5.0, 0.5, np.random.default_rng(0), iterations=8)
        return [moment.cost for moment in moments]

    assert costs(image, 5) == costs(blotted, 5)
    assert costs(image, 140) != costs(blotted, 140)


@pytest.mark.slow
def test_with_the_mistake_batches_stay_at_the_entropy_of_the_digits(mnist):
    rng = np.random.default_rng(0)
    record = memorise.train_batches(sampler_of(mnist, rng), 5, 1, memorise.NO_CLIP, 1.0, memorise.RATE, 60,
                                    rng)
    assert abs(np.mean(record.costs[20:]) - 5 * np.log(10)) < 0.4, record.costs
    assert abs(np.mean(record.no_path) - (1 - 0.9**4)) < 0.05
    rng = np.random.default_rng(0)
    mended = memorise.train_batches(sampler_of(mnist, rng), None, 1, memorise.CLIP, 0.1, memorise.RATE, 15,
                                    rng)
    assert mended.costs[0] > 250 and mended.costs[-1] < 30 and not any(mended.no_path)


# ---- the plateau


def test_the_best_blind_output_is_best():
    blind = plateau.best_blind()
    for share in (blind.blank - 0.005, blind.blank, blind.blank + 0.005):
        probs = np.full(C, (1 - share) / (C - 1))
        probs[BLANK] = share
        cost = -lattice(np.tile(np.log(probs), (plateau.T, 1)), range(1, plateau.U + 1)).log_likelihood
        assert cost > blind.cost if share != blind.blank else abs(cost - blind.cost) < 1e-6


def test_without_a_prior_the_gradient_is_that_of_the_loss(mnist, rng):
    model, batch = RowReader(hidden=8, rng=rng), sampler_of(mnist, rng).batch(6)
    cost, grads, means, _ = plateau._gradients(model, batch, np.zeros(C, np.float32))
    expected_cost, expected, shards = batch_gradients(model, batch)
    assert_close(cost, expected_cost, 1e-3, "cost")
    for name in model.params:
        assert_close(grads[name], expected[name], 1e-4, "gradient")
    probs = np.exp(log_softmax(np.concatenate([shard.logits for shard in shards], axis=1)))
    assert_close(means, probs.mean(axis=(0, 1)), 1e-6, "mean probabilities")


def test_with_a_prior_gamma_is_that_of_the_scores_without_it(mnist, rng, monkeypatch):
    model, batch = RowReader(hidden=8, rng=rng), sampler_of(mnist, rng).batch(2)
    prior = np.linspace(-1, 1, C).astype(np.float32)
    given = []
    monkeypatch.setattr(model, "backward", lambda grad, cache: given.append(grad) or {
        name: np.zeros_like(param) for name, param in model.params.items()})
    plateau._gradients(model, batch, prior)
    given = np.concatenate(sorted(given, key=lambda grad: grad[0, 0, 0]), axis=1)
    x, lengths = model.frames(batch.images, batch.widths)
    logits, _ = model.forward(x, lengths)
    expected = np.stack([np.exp(log_softmax(logits[:, n])) - lattice(logits[:, n] - prior,
                         digits_to_labels(batch.labels[n])).occupancy for n in range(2)], axis=1)
    expected = expected[:, np.argsort(expected[0, :, 0])]
    assert_close(given, expected, 1e-5, "probs - occupancy")


# ---- the commands


@pytest.mark.slow
@pytest.mark.parametrize("run, files", [
    (lambda out: memorise.show(out, 0, iterations=4),
     ["explanation.txt", "gamma_evolution.png", "iteration_001.png", "iteration_004.png", "training.gif"]),
    (lambda out: memorise.show_original_mistake(out, 0, iterations=2, steps=2),
     ["batch_runs.png", "explanation.txt", "iteration_001.png", "iteration_002.png", "mended.png",
      "sum_not_columns.png", "training.gif"]),
    (lambda out: plateau.plateau(out, 0, steps=12),
     ["explanation.txt", "gamma_evolution.png", "plateau.png", "uniform_gamma.png"]),
], ids=["show", "original mistake", "plateau"])
def test_the_files_that_are_named_are_written(run, files, tmp_path, capsys):
    written = run(str(tmp_path / "out"))
    assert sorted(map(Path, written)) == sorted((tmp_path / "out").iterdir())
    assert sorted(Path(path).name for path in written) == files
    text = (tmp_path / "out" / "explanation.txt").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out and max(map(len, text.splitlines())) <= 79
    for path in map(Path, written):
        if path.suffix in (".png", ".gif"):
            with Image.open(path) as picture:
                picture.load()
                assert getattr(picture, "n_frames", 1) == (2 if path.suffix == ".gif" else 1)


@pytest.mark.parametrize("arguments, message", [
    (["--out", "file"], "--out file cannot be made"),
    (["--data", "nowhere"], "nowhere"),
    (["--plateau", "--data", "nowhere"], "nowhere"),
    (["--original-mistake", "--data", "nowhere"], "nowhere"),
])
def test_what_the_user_got_wrong(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert main(["show", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ---- figures


def figures(row, rng):
    image, digits = row
    moments = [memorise.Moment(i, 301 / i, rng.standard_normal((140, C))) for i in range(1, 101)]
    names = ["blank", *"0123456789"]
    costs = np.geomspace(300, 1, 50)
    runs = [plots.TrainingCurves(costs * f, np.full(50, 0.34 * f), label)
            for f, label in ((0.2, "mistake: 5 frames"), (1.0, "mended"), (0.5, "and four columns a frame"))]
    curve = {"blank": np.linspace(0.1, 0.8, 50), "cost": costs}
    curves = {label: curve for label in ("as usual", "prior", "bias")}
    gamma = plateau.enumeration.uniform_gamma(range(1, 6), 35)
    for used in (140, 5):
        stage = memorise._stage(moments[49], moments, digits, used)
        yield plots.stage_figure(image, stage, names, BLANK, used, 100)
    yield plots.runs_figure(runs, 11.5, 0.34)
    yield memorise._sum_not_columns()
    yield plots.uniform_gamma_figure(gamma, memorise.state_names(range(1, 6)), C)
    yield plots.plateau_figure(curves, 0.47, 0.855, 13.1)


def test_no_label_covers_another(row, rng):
    for figure in figures(row, rng):
        render(figure)
        texts = [text for text in all_texts(figure)]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        assert len(boxes) > 8
        for n, (text, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, f"{text!r} is cut off"
            for other, other_box in boxes[n + 1:]:
                assert not box.overlaps(other_box), f"{text!r} covers {other!r}"


def test_a_stage_shows_probabilities_gamma_and_the_best_alignment(row, rng):
    image, digits = row
    moments = [memorise.Moment(1, 300.0, 3 * rng.standard_normal((140, C)))]
    stage = memorise._stage(moments[0], moments, digits, 140)
    figure = plots.stage_figure(image, stage, ["blank", *"0123456789"], BLANK, 140, 100)
    top, middle, foot, bottom = figure.axes
    np.testing.assert_array_equal(middle.images[0].get_array(), stage.probs[:, 1:].T)
    discs, = middle.collections
    shown = {(int(t), int(line)) for t, line in discs.get_offsets()}
    assert shown == {(t, c - 1) for t, c in zip(*np.nonzero(stage.occupancy > 0.02)) if c != BLANK}
    boxes = [(box.get_x(), box.get_x() + box.get_width() - 1, box.get_y() + 0.5) for box in middle.patches]
    assert boxes == [(span.first, span.last, span.label - 1) for span in stage.spans]
    probability, gamma = foot.lines
    np.testing.assert_array_equal(probability.get_ydata(), stage.probs[:, BLANK])
    np.testing.assert_array_equal(gamma.get_ydata(), stage.occupancy[:, BLANK])


def test_frames_that_never_enter_the_loss_are_hatched_and_have_no_gamma(row, rng):
    image, digits = row
    moments = [memorise.Moment(1, 12.0, rng.standard_normal((140, C)))]
    stage = memorise._stage(moments[0], moments, digits, 5)
    assert not stage.occupancy[5:].any() and stage.occupancy[:5].any()
    figure = plots.stage_figure(image, stage, ["blank", *"0123456789"], BLANK, 5, 100)
    hatched = [patch for patch in figure.axes[1].patches if patch.get_hatch()]
    assert [(patch.get_x(), patch.get_width()) for patch in hatched] == [(5, 135)]
    assert "these frames never entered the loss" in [text.get_text() for text in figure.axes[1].texts]
