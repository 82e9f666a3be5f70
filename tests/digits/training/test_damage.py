"""Damage to the files of a run is noticed, or it does no harm; and it ends in one line."""

import json
import shutil

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.training import run_folder as run_module
from ctc_scratch.digits.training import train as training
from ctc_scratch.digits.training.checkpoint import (
    changed_versions,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from ctc_scratch.digits.training.gradients import DivergedError
from ctc_scratch.digits.training.train import resume, train
from ctc_scratch.digits.training.trainer import Trainer
from tests.tools.archives import members, rewrite
from tests.tools.small_runs import SMALL, draw_nothing, small_trainer, write_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("digits"))


# ---- damage to a checkpoint ---------------------------------------------------------------


def state(trainer):
    """All that decides what a trainer does next."""
    arrays = {name: array.tobytes() for name, array in trainer.arrays().items()}
    return arrays, trainer.position(), trainer.best


def restored(path):
    checkpoint, trainer = read_checkpoint(path), small_trainer()
    assert checkpoint.settings == trainer.settings
    restore(trainer, checkpoint)
    return trainer


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, and the trainer that it holds."""
    trainer = small_trainer()
    trainer.rng.random(7)
    write_checkpoint(trainer, tmp_path / "checkpoint.npz", tmp_path / "before.npz", metrics=0)
    return tmp_path / "checkpoint.npz", trainer


def test_a_restored_trainer_is_the_saved_one(saved):
    path, trainer = saved
    assert state(restored(path)) == state(trainer) != state(small_trainer())


def places(path, rng):
    """Bytes of every kind: of the header, an array, the zip file's own tables; and some more."""
    whole, (first, array) = path.read_bytes(), list(members(path))[:2]
    starts = [whole.index(b"PK\x03\x04"), whole.index(first.encode()), whole.index(b"\x93NUMPY"),
              whole.index(b'{\0\0\0"\0\0\0f\0\0\0'), whole.index(array.encode()) - 30,
              whole.index(b"\x93NUMPY", whole.index(array.encode())), whole.index(b"PK\x01\x02"),
              whole.rindex(array.encode()) - 46, whole.rindex(b"PK\x05\x06")]
    near = [start + k for start in starts for k in range(64) if start + k < len(whole)]
    return [*near, *rng.integers(len(whole), size=100).tolist()]


def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(saved, rng):
    """Each is an error that names the file, or falls where nothing of ours is stored."""
    path, trainer = saved
    whole, expected, noticed, tried = path.read_bytes(), state(trainer), 0, places(path, rng)
    for place in tried:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert state(restored(path)) == expected, f"byte {place}"
        except ArchiveError as error:
            assert str(path) in str(error)
            noticed += 1
    assert noticed > 0.6 * len(tried), f"{noticed} of {len(tried)}"


def test_every_cut_of_a_checkpoint_is_noticed(saved, rng):
    path, _ = saved
    whole = path.read_bytes()
    some = rng.integers(len(whole), size=40).tolist()
    for size in [*range(40), *some, *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=f"found {size} bytes that are no whole archive"):
            restored(path)


NASTY = [None, True, -1, 0.5, 10**30, 10**400, 1e308, float("nan"), float("inf"), "x", "9" * 999, [], [1, 2],
         {}, {"a": 1}]


def leaves(value, path=()):
    """The way to each value in a header, those of dicts and lists too."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from leaves(value[key], (*path, key))


@pytest.mark.slow
def test_no_value_in_a_header_is_trusted(saved):
    """Whatever stands there with a right checksum: ArchiveError, or a run that can take a step."""
    path, trainer = saved
    whole = path.read_bytes()
    refused, ways = 0, [way for way in leaves(json.loads(json.dumps(header_of(path)))) if way]
    assert len(ways) > 50
    for way in ways:
        for nasty in NASTY:
            path.write_bytes(whole)
            rewrite(path, lambda header, arrays: put(header, way, nasty))
            try:
                checkpoint = read_checkpoint(path)
                settings = checkpoint.settings
                if settings.batch * settings.digits[1] > 1000:
                    continue    # allowed, but more than a test should do
                digits = trainer.validation_part
                other = Trainer(settings, digits, digits)
                restore(other, checkpoint)
                changed_versions(checkpoint.header)
                other.step()
            except ArchiveError as error:
                refused += 1
                assert len(str(error)) < 1000 and "\n" not in str(error)
            except DivergedError:
                pass
            except Exception as error:
                raise AssertionError(f"{way} = {nasty!r:.40}") from error
    assert refused > 0.7 * len(ways) * len(NASTY), f"{refused} of {len(ways) * len(NASTY)}"


def header_of(path):
    return read_checkpoint(path).header


def put(header, way, value):
    *before, last = way
    for key in before:
        header = header[key]
    header[last] = value


@pytest.mark.parametrize("name, value", [
    ("params/output.bias", np.nan), ("optimiser/square.output.bias", -1.0), ("best/output.bias", np.inf)])
@pytest.mark.slow
def test_weights_that_are_no_numbers_end_in_one_line(tmp_path, digits, name, value, capsys):
    """A checksum does not say that weights make sense."""
    folder = tmp_path / "run"
    settings = {**SMALL, "evaluations": 0, "steps": 4, "data": str(digits), "out": str(folder)}
    train(training.Settings(**settings))
    rewrite(folder / run_module.CHECKPOINT, lambda header, arrays: (
        arrays[name].fill(value), header.update(step=2, progress=0.5),
        [array.fill(2) for array in arrays.values() if array.shape == ()]))
    capsys.readouterr()
    assert main(["train", "--resume", str(folder)]) == (0 if name.startswith("best") else 1)
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert not errors if name.startswith("best") else "training diverged" in errors[0]


# ---- damage to other files ----------------------------------------------------------------


@pytest.mark.slow
def test_a_damaged_line_of_metrics_is_a_gap_in_a_figure(tmp_path, digits):
    folder = tmp_path / "run"
    train(training.Settings(**{**SMALL, "data": str(digits), "out": str(folder)}))
    metrics = folder / "metrics.jsonl"
    before = metrics.read_bytes()
    for old, new in ((b'"loss"', b'"lozs"'), (b'{"step"', b'{"stop"'), (b"{", b"z"), (before[:20], b""),
                     (b'"loss"', b'"lo\xffs"'), (b'"rate": ', b'"rate": x')):
        metrics.write_bytes(before.replace(old, new, 1))
        resume(folder)


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_digits(tmp_path, digits):
    """A plain IDX file has no checksum that a flipped bit of a pixel would break; the run has one."""
    folder, data = tmp_path / "run", tmp_path / "digits"
    shutil.copytree(digits, data)
    train(training.Settings(**{**SMALL, "data": str(data), "out": str(folder)}))
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
def test_digits_are_found_from_another_folder_and_where_they_have_gone(tmp_path, digits, monkeypatch, capsys):
    draw_nothing(monkeypatch)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copytree(digits, tmp_path / "here" / "digits")
    monkeypatch.chdir(tmp_path / "here")
    train(training.Settings(**{**SMALL, "data": "digits", "out": "run"}))
    monkeypatch.chdir(tmp_path / "there")
    resume(tmp_path / "here" / "run")
    (tmp_path / "here" / "digits").rename("digits")
    command = ["train", "--resume", str(tmp_path / "here" / "run")]
    assert main(command) == 2
    assert "here/digits/train-images-idx3-ubyte: expected this file" in capsys.readouterr().err
    assert main([*command, "--data", "digits"]) == 0
