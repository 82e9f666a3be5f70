"""The folder of a run: never overwritten, used by one process, and readable with damaged metrics."""

import json
import shutil

import pytest

from ctc_scratch import plots
from ctc_scratch.commands.main import main
from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model.evaluate import evaluate
from ctc_scratch.digits.model.model_file import digest, load_model
from ctc_scratch.digits.training import train as training
from ctc_scratch.digits.training.run_folder import RunFolder
from ctc_scratch.digits.training.train import OptionError, Settings, resume, train
from tests.tools.idx_files import idx_bytes
from tests.tools.small_runs import SMALL, draw_nothing, records


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
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
    assert f"training in {folder}/\n" in out and err == "", "a progress bar needs a terminal"
    assert "test rows of 2 digits: label error rate" in out
    assert f"weights after step 20: SHA-256 {lines[-1]['sha256']}\n" in out
    assert lines[-1]["model_sha256"] == digest(model.params)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_runs")
def test_a_folder_is_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="never overwritten.*--resume"):
        train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "notes.txt"]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_runs")
def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be made"):
        train(Settings(**SMALL, out=str(tmp_path / "file" / "run")))


@pytest.mark.slow
def test_of_two_runs_that_make_the_same_folder_the_later_one_is_refused(small, tmp_path, monkeypatch):
    """The other one makes the folder while this one loads its kernels."""
    load = training.load_kernels

    def other_run_makes_the_folder(*arguments):
        load(*arguments)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes.txt").write_text("theirs")

    monkeypatch.setattr(training, "load_kernels", other_run_makes_the_folder)
    with pytest.raises(OptionError, match="exists: a run is never overwritten"):
        train(small)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["notes.txt", "run"]


@pytest.mark.slow
def test_a_damaged_line_of_metrics_does_not_keep_a_run_from_resuming(tmp_path, digits):
    folder = tmp_path / "run"
    train(Settings(**{**SMALL, "data": str(digits), "out": str(folder)}))
    metrics = folder / "metrics.jsonl"
    before = metrics.read_bytes()
    for old, new in ((b'"loss"', b'"lozs"'), (b'{"step"', b'{"stop"'), (b"{", b"z"), (before[:20], b""),
                     (b'"loss"', b'"lo\xffs"'), (b'"rate": ', b'"rate": x')):
        metrics.write_bytes(before.replace(old, new, 1))
        resume(folder)


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_digits(tmp_path, digits):
    """A plain IDX file has no checksum that would reveal a flipped bit; the run keeps one."""
    folder, data = tmp_path / "run", tmp_path / "digits"
    shutil.copytree(digits, data)
    train(Settings(**{**SMALL, "data": str(data), "out": str(folder)}))
    images = data / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    files = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ArchiveError, match="other digits than those of .*; put them back to go on$"):
        resume(folder)
    assert files == {path: path.read_bytes() for path in folder.iterdir()}
    images.write_bytes(whole)
    resume(folder)


@pytest.mark.slow
def test_transposed_files_train_and_evaluate_like_upright_ones(tmp_path, digits, monkeypatch, capsys):
    draw_nothing(monkeypatch)
    sideways = tmp_path / "sideways"
    shutil.copytree(digits, sideways)
    for path in sideways.glob("*-images-*"):
        path.write_bytes(idx_bytes(read_idx(path).transpose(0, 2, 1)))
    runs = {"upright": dict(data=str(digits)), "sideways": dict(data=str(sideways), transpose=True),
            "mistaken": dict(data=str(sideways))}
    for name, changes in runs.items():
        train(Settings(**{**SMALL, **changes, "out": str(tmp_path / f"{name}_run")}))
    upright, transposed, mistaken = (records(tmp_path / f"{name}_run")[-1]["sha256"] for name in runs)
    assert upright == transposed != mistaken
    assert json.loads((tmp_path / "sideways_run" / "settings.json").read_text())["transpose"] is True
    resume(tmp_path / "sideways_run")
    tables = []
    for data in ([str(digits)], [str(sideways), "--transpose"], [str(sideways)]):
        capsys.readouterr()
        assert main(["evaluate", "--data", *data]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.slow
def test_digits_are_found_from_another_working_folder_and_after_a_move(tmp_path, digits, monkeypatch, capsys):
    draw_nothing(monkeypatch)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copytree(digits, tmp_path / "here" / "digits")
    monkeypatch.chdir(tmp_path / "here")
    train(Settings(**{**SMALL, "data": "digits", "out": "run"}))
    monkeypatch.chdir(tmp_path / "there")
    resume(tmp_path / "here" / "run")
    (tmp_path / "here" / "digits").rename("digits")
    command = ["train", "--resume", str(tmp_path / "here" / "run")]
    assert main(command) == 2
    assert "here/digits/train-images-idx3-ubyte: expected this file" in capsys.readouterr().err
    assert main([*command, "--data", "digits"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("quick_runs")
def test_a_profile_lists_all_parts_of_a_step(tmp_path, capsys):
    train(Settings(**SMALL, out=str(tmp_path / "run")), show_profile=True)
    lines = capsys.readouterr().out.split("a training step, mean of 20\n")[1].splitlines()[:6]
    assert [line.split()[0] for line in lines] == ["data", "forward", "CTC", "backward", "optimiser", "all"]
    assert sum(float(line.split()[3].rstrip("%")) for line in lines[:5]) == pytest.approx(100, abs=0.3)
    resume(tmp_path / "run", show_profile=True)
    assert "no training step was taken" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("quick_runs")
def test_lines_of_the_table_fit_a_terminal(tmp_path, capsys):
    train(Settings(**{**SMALL, "evaluations": 2, "average": 0.5}, out=str(tmp_path / "run")))
    out = capsys.readouterr().out
    lines = out[out.index("  step "):].splitlines()[:3]
    assert all(line.endswith(("right", "%", " best")) and len(line) <= 80 for line in lines)
    assert len(lines[1].removesuffix(" best")) == len(lines[0]), "figures stand under their names"


def test_readings_of_an_earlier_model_do_not_stay_beside_a_new_learning_curve(tmp_path, monkeypatch):
    """A finished run that goes on from an earlier checkpoint and is stopped would keep them."""
    class Figure:
        def savefig(self, path, dpi):
            path.write_text("new")

    monkeypatch.setattr(plots, "learning_figure", lambda records: Figure())
    (tmp_path / "reading.png").write_text("old")
    (tmp_path / "notes.png").write_text("mine")
    RunFolder(tmp_path, Settings()).draw()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_curve.png", "notes.png"]
