"""Figures of a row learnt by heart, or being read after training steps; and the animations made of them."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ctc_scratch import plots
from ctc_scratch.digits.lessons.memorise import Moment, stage_of
from ctc_scratch.digits.model.reader import BLANK, C
from tests.plots.conftest import NAMES, WINDOW, assert_no_label_covers_another, make_reading


@pytest.mark.parametrize("used", [140, 5])
def test_no_label_of_a_stage_covers_another(used, row, rng):
    image, digits = row
    moments = [Moment(i, 301 / i, rng.standard_normal((140, C))) for i in range(1, 101)]
    stage = stage_of(moments[49], moments, digits, used)
    assert_no_label_covers_another(plots.stage_figure(image, stage, NAMES, BLANK, used, 100))


def test_a_stage_shows_probabilities_gamma_and_the_best_alignment(row, rng):
    image, digits = row
    moments = [Moment(1, 300.0, 3 * rng.standard_normal((140, C)))]
    stage = stage_of(moments[0], moments, digits, 140)
    figure = plots.stage_figure(image, stage, NAMES, BLANK, 140, 100)
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
    moments = [Moment(1, 12.0, rng.standard_normal((140, C)))]
    stage = stage_of(moments[0], moments, digits, 5)
    assert not stage.occupancy[5:].any() and stage.occupancy[:5].any()
    figure = plots.stage_figure(image, stage, NAMES, BLANK, 5, 100)
    hatched = [patch for patch in figure.axes[1].patches if patch.get_hatch()]
    assert [(patch.get_x(), patch.get_width()) for patch in hatched] == [(5, 135)]
    assert "these frames never entered the loss" in [text.get_text() for text in figure.axes[1].texts]


# ---- learning to read -----------------------------------------------------------------------------


def reading_stage(rng, step=20, **changes):
    row = make_reading(rng)._replace(**changes)
    return plots.ReadingStage(step, row, 12.3)


def test_a_reading_stage_shows_the_row_its_spikes_and_the_loss_so_far(rng):
    stage = reading_stage(rng)
    losses = np.geomspace(60, 1, 50).tolist()
    figure = plots.reading_stage_figure(stage, losses, WINDOW, NAMES, 0)
    assert_no_label_covers_another(figure)
    top, middle, right = figure.axes
    np.testing.assert_array_equal(top.images[0].get_array(), stage.row.image)
    np.testing.assert_array_equal(middle.patches[-1].get_data().values, stage.row.probs[:, 0])
    curve, point = right.lines
    assert curve.get_xydata().tolist() == [[n + 1, losses[n]] for n in range(20)]
    assert point.get_xydata().tolist() == [[20, losses[19]]]
    assert right.get_xlim()[1] >= 50 and right.get_ylim()[0] < 1 < 60 < right.get_ylim()[1]


def test_before_training_there_is_no_loss_yet(rng):
    figure = plots.reading_stage_figure(reading_stage(rng, 0), [60.0, 1.0], WINDOW, NAMES, 0)
    assert len(figure.axes[2].lines) == 1 and not len(figure.axes[2].lines[0].get_xdata())


@pytest.mark.slow
def test_reading_stages_have_a_panel_each(rng):
    stages = [reading_stage(rng, 0, decoded=()), reading_stage(rng, 40),
              reading_stage(rng, 300, decoded=[5] * 30)]
    figure = plots.reading_stages_figure(stages, WINDOW, NAMES, 0)
    assert_no_label_covers_another(figure)
    titles = [ax.get_title(loc="left") for ax in figure.axes[1:]]
    assert titles == ["step 0: loss 12.3, read: nothing", "step 40: loss 12.3, read: 2 0",
                      "step 300: loss 12.3, read: " + 13 * "4 " + "4..."]
    for ax, stage in zip(figure.axes[1:], stages):
        np.testing.assert_array_equal(ax.patches[-1].get_data().values, stage.row.probs[:, 0])


# ---- animations -----------------------------------------------------------------------------------


@pytest.fixture
def pictures():
    return [Image.new("RGB", (5, 3), (10 * n, 0, 255)) for n in range(3)]


def test_figures_become_pictures_of_one_size():
    first, second = plots.pictures_of([Figure(figsize=(2, 1)), Figure(figsize=(2, 1))])
    assert first.size == second.size == (260, 130) and first.mode == "RGB"


def test_a_gif_repeats_and_rests_on_its_last_picture(pictures, tmp_path):
    plots.save_gif(pictures, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        durations = [(gif.seek(n), gif.info["duration"])[1] for n in range(3)]
    assert durations == [120, 120, 2000]


def fake_ffmpeg(tmp_path, monkeypatch, lines):
    """Put a program of this name into the PATH: Python lines that see the arguments and the input."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("\n".join([f"#!{sys.executable}", "import sys", "data = sys.stdin.buffer.read()",
                                  *lines]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.skipif(sys.platform == "win32", reason="the program of this test is a script with a #! line")
def test_a_film_is_made_of_the_pictures_cut_to_even_sides(pictures, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch, ["open(sys.argv[-1], 'wb').write(data)",
                                        "open(sys.argv[-1] + '.txt', 'w').write(' '.join(sys.argv))"])
    assert plots.save_mp4(pictures, tmp_path / "a.mp4") == ""
    assert "-s 4x2" in (tmp_path / "a.mp4.txt").read_text()
    shown = [0, 1, *[2] * 17]       # the last one for two seconds more
    assert (tmp_path / "a.mp4").read_bytes() == b"".join(bytes([10 * n, 0, 255]) * 8 for n in shown)


@pytest.mark.skipif(sys.platform == "win32", reason="the program of this test is a script with a #! line")
def test_a_film_that_fails_leaves_no_file_and_says_why(pictures, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch, ["open(sys.argv[-1], 'w')", "sys.exit('no such codec')"])
    assert plots.save_mp4(pictures, tmp_path / "a.mp4") == "ffmpeg failed: no such codec"
    assert not (tmp_path / "a.mp4").exists()


def test_without_ffmpeg_there_is_no_film(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plots.save_mp4(pictures, tmp_path / "a.mp4") == "ffmpeg is not installed"
    assert list(tmp_path.iterdir()) == []
