"""A checkpoint restores the trainer that was written; damage to the file is noticed, or does no harm."""

import json

import pytest

from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.training.checkpoint import (
    changed_versions,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from ctc_scratch.digits.training.gradients import DivergedError
from ctc_scratch.digits.training.trainer import Trainer
from tests.tools.archives import members, rewrite
from tests.tools.small_runs import small_trainer


def state(trainer):
    """Everything that decides what a trainer does next."""
    arrays = {name: array.tobytes() for name, array in trainer.arrays().items()}
    return arrays, trainer.position(), trainer.best


def restored(path):
    checkpoint, trainer = read_checkpoint(path), small_trainer()
    assert checkpoint.settings == trainer.settings
    restore(trainer, checkpoint)
    return trainer


@pytest.fixture
def saved(tmp_path):
    """The path of a checkpoint, and the trainer that was written to it."""
    trainer = small_trainer()
    trainer.rng.random(7)
    write_checkpoint(trainer, tmp_path / "checkpoint.npz", tmp_path / "before.npz", metrics=0)
    return tmp_path / "checkpoint.npz", trainer


def test_a_restored_trainer_is_the_saved_one(saved):
    path, trainer = saved
    assert state(restored(path)) == state(trainer) != state(small_trainer())


def test_trainer_and_checkpoint_print_in_one_line(saved):
    path, trainer = saved
    assert repr(trainer) == "Trainer(after step 0 of 20)"
    assert repr(read_checkpoint(path)) == f"Checkpoint({str(path)!r}, after step 0)"


def offsets_to_damage(path, rng):
    """Offsets in the header, in an array, in the zip file's own tables, and 100 random ones."""
    whole, (first, array) = path.read_bytes(), list(members(path))[:2]
    starts = [whole.index(b"PK\x03\x04"), whole.index(first.encode()), whole.index(b"\x93NUMPY"),
              whole.index(b'{\0\0\0"\0\0\0f\0\0\0'), whole.index(array.encode()) - 30,
              whole.index(b"\x93NUMPY", whole.index(array.encode())), whole.index(b"PK\x01\x02"),
              whole.rindex(array.encode()) - 46, whole.rindex(b"PK\x05\x06")]
    near = [start + k for start in starts for k in range(64) if start + k < len(whole)]
    return [*near, *rng.integers(len(whole), size=100).tolist()]


@pytest.mark.slow
def test_no_flipped_bit_of_a_checkpoint_goes_unnoticed(saved, rng):
    """Each flipped bit raises an error that names the file, or is in a place that holds no data."""
    path, trainer = saved
    whole, expected, noticed = path.read_bytes(), state(trainer), 0
    offsets = offsets_to_damage(path, rng)
    for offset in offsets:
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert state(restored(path)) == expected, f"byte {offset}"
        except ArchiveError as error:
            assert str(path) in str(error)
            noticed += 1
    assert noticed > 0.6 * len(offsets), f"{noticed} of {len(offsets)}"


def test_every_cut_of_a_checkpoint_is_noticed(saved, rng):
    path, _ = saved
    whole = path.read_bytes()
    random_sizes = rng.integers(len(whole), size=40).tolist()
    for size in [*range(40), *random_sizes, *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=f"found {size} bytes that are not a whole archive"):
            restored(path)


NASTY = [None, True, -1, 0.5, 10**30, 10**400, 1e308, float("nan"), float("inf"), "x", "9" * 999, [], [1, 2],
         {}, {"a": 1}]


def leaves(value, path=()):
    """The keys that lead to each value in a header, including its dicts and lists."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from leaves(value[key], (*path, key))


@pytest.mark.slow
def test_no_value_in_a_header_is_trusted(saved):
    """A wrong value with a right checksum raises ArchiveError, or gives a run that can take a step."""
    path, trainer = saved
    whole = path.read_bytes()
    refused, paths = 0, [keys for keys in leaves(json.loads(json.dumps(header_of(path)))) if keys]
    assert len(paths) > 50
    for keys in paths:
        for nasty in NASTY:
            path.write_bytes(whole)
            rewrite(path, lambda header, arrays: put(header, keys, nasty))
            try:
                checkpoint = read_checkpoint(path)
                settings = checkpoint.settings
                if settings.batch * settings.digits[1] > 1000:
                    continue    # allowed, but too slow for a test
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
                raise AssertionError(f"{keys} = {nasty!r:.40}") from error
    assert refused > 0.7 * len(paths) * len(NASTY), f"{refused} of {len(paths) * len(NASTY)}"


def header_of(path):
    return read_checkpoint(path).header


def put(header, keys, value):
    *before, last = keys
    for key in before:
        header = header[key]
    header[last] = value
