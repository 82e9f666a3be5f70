"""A run resumes to the same bits however it ended; the error for a file that cannot be resumed names it."""

import os
import resource
import shutil
import signal
import sys
import time

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model.model_file import load_model, save_model
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.training import checkpoint, run_folder
from ctc_scratch.digits.training import train as training
from ctc_scratch.digits.training import trainer as trainer_module
from ctc_scratch.digits.training.gradients import batch_gradients
from ctc_scratch.digits.training.train import DiskError, OptionError, Settings, StoppedError, resume, train
from tests.kill_at_random import killed_runs, undisturbed_run
from tests.tools.archives import rewrite
from tests.tools.small_runs import SMALL, draw_nothing, records, use_few_digits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_runs")]  # slow in plain Python

LONG = {**SMALL, "steps": 30, "evaluations": 3, "average": 0.9, "rotate": 8.0, "wave": 0.3, "plain": 0.2,
        "gap": 2, "overlap": 2, "layers": 2, "save_every": 0.0, "vertical": 2, "optimiser": "muon"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, mnist):
    """The metrics, without times, of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        use_few_digits(patch, mnist)
        draw_nothing(patch)
        train(Settings(**LONG, out=str(folder)))
    return timeless(folder)


def timeless(folder):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in records(folder)]


class PowerCut(BaseException):
    """An exception that no code of a run expects: the run ends as if it were killed."""


def run_until(folder, monkeypatch, step, what, **changes):
    """Train, and call `what()` before the gradients of this step are computed."""
    count = [-1]    # one step loads the kernels

    def fails(*arguments):
        count[0] += 1
        if count[0] == step:
            what()
        return batch_gradients(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "batch_gradients", fails)
        train(Settings(**{**LONG, **changes}, out=str(folder)))


def cut_power():
    raise PowerCut


# ---- the same bits ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 10, 11, 15, 29, 30])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, monkeypatch, undisturbed, step):
    with pytest.raises(PowerCut):
        run_until(tmp_path / "run", monkeypatch, step, cut_power)
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("step", [9, 10, 21])
def test_a_run_with_few_checkpoints_resumes_to_the_same_bits(tmp_path, monkeypatch, undisturbed, step):
    """Steps after the last checkpoint are taken again, and their lines of metrics written again."""
    with pytest.raises(PowerCut):
        run_until(tmp_path / "run", monkeypatch, step, cut_power, save_every=1e9)
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 99, "lo')      # the run ended while it wrote this line
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == undisturbed


def test_a_run_that_is_stopped_twice_resumes_to_the_same_bits(tmp_path, monkeypatch, undisturbed):
    with pytest.raises(StoppedError):
        run_until(tmp_path / "run", monkeypatch, 7, lambda: signal.raise_signal(signal.SIGTERM))
    count = []

    def interrupt(*arguments):
        count.append(1)
        if len(count) == 9:
            signal.raise_signal(signal.SIGINT)
        return batch_gradients(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "batch_gradients", interrupt)
        with pytest.raises(StoppedError):
            resume(tmp_path / "run")
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == undisturbed


def test_resuming_a_finished_run_repeats_its_end(tmp_path, undisturbed):
    train(Settings(**LONG, out=str(tmp_path / "run")))
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == undisturbed


def test_kill_9_at_random_moments(tmp_path, rng):
    """Processes are killed twice; `python -m tests.kill_at_random` kills twenty times."""
    options = ("--steps 60 --hidden 16 --batch 16 --shards 3 --window 14 --evaluations 3 --average 0.9 "
               "--save-every 0").split()
    expected, longest = undisturbed_run(tmp_path / "undisturbed", options)
    hashes, resumable = killed_runs(tmp_path, options, 2, longest, rng)
    assert hashes == {expected}
    assert resumable, "no kill left a folder to resume"


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint(tmp_path, monkeypatch, undisturbed):
    """From step 12 on no file may grow beyond 100 kB, and a checkpoint is larger than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(DiskError, match="ended after step 12, the last checkpoint is whole; make room"):
            run_until(tmp_path / "run", monkeypatch, 12,
                      lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1])))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "run").glob("*.unfinished"))
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == undisturbed


# ---- what cannot be resumed ---------------------------------------------------------------


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    with pytest.raises(PowerCut):
        run_until(tmp_path / "run", monkeypatch, 12, cut_power)
    return tmp_path / "run"


def write_model(path):
    save_model(path, RowReader(hidden=2, rng=np.random.default_rng(0)))


def rewritten(change):
    return lambda path: rewrite(path, change)


DAMAGED = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "bytes that are not a whole archive"),
    "empty": (lambda path: path.write_bytes(b""), "found 0 bytes that are not a whole archive"),
    "flipped": (lambda path: path.write_bytes(flipped(path.read_bytes())), "damaged or of another kind"),
    "model": (write_model, "expected 'ctc_scratch checkpoint' version 6, found 'ctc_scratch model'"),
    "settings": (rewritten(lambda header, arrays: header["settings"].pop("rate")),
                 "expected the settings of a run, found no rate"),
    "bad_setting": (rewritten(lambda header, arrays: header["settings"].update(window=0)),
                    "--window must be from 1 to 14, not 0"),
    "kind_of_setting": (rewritten(lambda header, arrays: header["settings"].update(hidden=2.5)),
                        "expected the settings of a run, found hidden = 2.5"),
    "array": (rewritten(lambda header, arrays: arrays.pop("optimiser/mean.output.bias")),
              "expected optimiser/mean.output.bias, found no optimiser/mean.output.bias"),
    "dtype": (rewritten(lambda header, arrays: arrays.update(
        {"params/output.bias": arrays["params/output.bias"].astype(float)})),
        "expected params/output.bias of float32, found float64"),
    "shape": (rewritten(lambda header, arrays: header["settings"].update(hidden=15)), "of shape"),
    "generator": (rewritten(lambda header, arrays: header["generator"].update(bit_generator="MT19937")),
                  "expected the state of a generator"),
    "step": (rewritten(lambda header, arrays: header.pop("step")),
             "expected the position of a run, found step = None"),
    "other_step": (rewritten(lambda header, arrays: header.update(step=3)),
                   "expected optimiser/step = 3, the steps of the run, found 11"),
    "best": (rewritten(lambda header, arrays: header["best"].append(1)), "expected the best evaluation"),
}


def flipped(content):
    content = bytearray(content)
    content[len(content) // 2] ^= 4
    return content


@pytest.mark.parametrize("damage, message", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_checkpoint_is_named_and_the_previous_one_resumes(
        interrupted, undisturbed, damage, message):
    damage(interrupted / run_folder.CHECKPOINT)
    files = {path: path.read_bytes() for path in interrupted.iterdir()}
    with pytest.raises(ArchiveError, match=f"{run_folder.CHECKPOINT}: .*{message}.*"
                                           f"--resume {interrupted / run_folder.PREVIOUS}"):
        resume(interrupted)
    with pytest.raises(ArchiveError, match=f"--resume {interrupted / run_folder.PREVIOUS}"):
        resume(interrupted / run_folder.CHECKPOINT)
    assert files == {path: path.read_bytes() for path in interrupted.iterdir()}, "nothing was changed"
    resume(interrupted / run_folder.PREVIOUS)
    assert timeless(interrupted) == undisturbed


def test_a_checkpoint_from_before_transpose_resumes(interrupted, undisturbed):
    rewrite(interrupted / run_folder.CHECKPOINT, lambda header, arrays: header["settings"].pop("transpose"))
    resume(interrupted)
    assert timeless(interrupted) == undisturbed


@pytest.mark.parametrize("change, message", [
    (dict(data=1), "the run learnt from other digits than those of this package; put them back to go on$"),
    (dict(version=1), "expected 'ctc_scratch checkpoint' version 6, found 'ctc_scratch checkpoint' .* 1$"),
], ids=["data", "version"])
def test_the_previous_checkpoint_is_not_suggested_where_it_would_fail_too(interrupted, change, message):
    rewrite(interrupted / run_folder.CHECKPOINT, lambda header, arrays: header.update(change))
    with pytest.raises(ArchiveError, match=f"{run_folder.CHECKPOINT}: {message}"):
        resume(interrupted)


def test_a_run_killed_between_two_renames_resumes_from_the_previous(interrupted, undisturbed, capsys):
    (interrupted / run_folder.CHECKPOINT).unlink()
    resume(interrupted)
    assert timeless(interrupted) == undisturbed
    assert "is replaced" not in capsys.readouterr().out


def test_a_file_that_is_resumed_stays_and_leaves_no_unfinished_copy(interrupted, undisturbed, capsys):
    mine = interrupted / "mine.npz"
    shutil.copyfile(interrupted / run_folder.PREVIOUS, mine)
    before = mine.read_bytes()
    resume(mine)
    assert mine.read_bytes() == before and not list(interrupted.glob("*.unfinished"))
    assert timeless(interrupted) == undisturbed
    assert (f"{interrupted / run_folder.CHECKPOINT}, after step 11, is replaced by {mine}, after step 10\n"
            in capsys.readouterr().out)


def test_the_metrics_count_the_seconds_of_training_only(interrupted, monkeypatch):
    """Loading kernels and reading test rows do not count."""
    hours = [0.0]
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600 * hours[0])
    load, show = training.load_kernels, run_folder.RunFolder.show_readings

    def later(function):
        def wrapped(*arguments):
            hours[0] += 1
            return function(*arguments)
        return wrapped

    monkeypatch.setattr(training, "load_kernels", later(load))
    monkeypatch.setattr(run_folder.RunFolder, "show_readings", later(show))
    resume(interrupted)
    seconds = [line["seconds"] for line in records(interrupted)]
    assert hours == [2.0] and seconds == sorted(seconds) and seconds[-1] < 1800


def test_a_new_folder_of_digits_is_remembered(interrupted):
    resume(interrupted, data="gone")     # `quick_runs` finds digits in any folder
    settings = checkpoint.read_checkpoint(interrupted / run_folder.CHECKPOINT).settings
    assert settings.data == os.path.abspath("gone")


def test_a_folder_may_be_named_like_a_file(interrupted, undisturbed):
    folder = interrupted.rename(interrupted.with_name("run.npz"))
    resume(folder)
    assert timeless(folder) == undisturbed


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "run: expected the folder of a run, found no such folder"),
    (lambda path: path.mkdir(), "checkpoint.npz: expected a checkpoint file, found no such file"),
], ids=["missing", "empty"])
def test_a_folder_that_is_no_run_is_named(tmp_path, make, message):
    make(tmp_path / "run")
    with pytest.raises(ArchiveError, match=message):
        resume(tmp_path / "run")


def test_changed_versions_are_reported(interrupted, monkeypatch, capsys):
    change = dict(numpy="1.0", cpu="z80")
    rewrite(interrupted / run_folder.CHECKPOINT, lambda header, arrays: header["versions"].update(change))
    resume(interrupted)
    assert f"it began with numpy 1.0, now {np.__version__}; cpu z80, now " in capsys.readouterr().out


def test_two_processes_do_not_train_in_one_folder(interrupted):
    with run_folder.locked(interrupted), \
            pytest.raises(OptionError, match="being trained by another process"):
        resume(interrupted)


def test_a_checkpoint_is_refused_as_a_model(interrupted):
    with pytest.raises(ArchiveError, match="expected 'ctc_scratch model' version 1, found 'ctc_s"):
        load_model(interrupted / run_folder.CHECKPOINT)


def test_a_new_run_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_archive", full)
    with pytest.raises(OptionError, match="cannot be made: No space left on device"):
        train(Settings(**SMALL, out=str(tmp_path / "run")))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name, value", [
    ("params/output.bias", np.nan), ("optimiser/square.output.bias", -1.0), ("best/output.bias", np.inf)])
@pytest.mark.slow
def test_weights_that_are_not_finite_end_the_run_in_one_line(tmp_path, digits, name, value, capsys):
    """The checksum is right, so only the values themselves show that something is wrong."""
    folder = tmp_path / "run"
    settings = {**SMALL, "evaluations": 0, "steps": 4, "data": str(digits), "out": str(folder)}
    train(Settings(**settings))
    rewrite(folder / run_folder.CHECKPOINT, lambda header, arrays: (
        arrays[name].fill(value), header.update(step=2, progress=0.5),
        [array.fill(2) for array in arrays.values() if array.shape == ()]))
    capsys.readouterr()
    assert main(["train", "--resume", str(folder)]) == (0 if name.startswith("best") else 1)
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert not errors if name.startswith("best") else "training diverged" in errors[0]
