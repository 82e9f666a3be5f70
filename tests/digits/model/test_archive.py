"""Archives are written whole or not at all, and errors for damaged or foreign files say what was found."""

import io
import json
import zipfile

import numpy as np
import pytest

from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model import archive
from ctc_scratch.digits.model.archive import read_header
from ctc_scratch.digits.model.model_file import load_model, save_model
from tests.digits.model.conftest import assert_same_weights, make_model
from tests.tools.archives import npy

# ---- writing -----------------------------------------------------------------------------


def test_a_model_file_can_be_read_without_pickle_and_without_this_package(path):
    model = make_model()
    save_model(path, model)
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(str(archive["header"]))
        assert header["config"] == model.config
        assert set(archive.files) == {"header"} | {f"params/{name}" for name in model.params}


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in "ab":
        save_model(tmp_path / name, make_model())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, fails):
    old = make_model(seed=1)
    save_model(path, old)

    def full_disk(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.os, fails, full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_model(path, make_model(seed=2))
    assert_same_weights(load_model(path), old)
    assert list(path.parent.iterdir()) == [path]


def test_a_new_save_takes_the_place_of_the_old(path):
    save_model(path, make_model(seed=1))
    save_model(path, make_model(seed=2, hidden=3))
    assert_same_weights(load_model(path), make_model(seed=2, hidden=3))
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_is_kept_under_the_name_previous(tmp_path):
    path, previous = tmp_path / "x.npz", tmp_path / "before.npz"
    for number in range(3):
        header = dict(format="a", version=1, number=number)
        archive.write_archive(path, header, {}, previous)
        assert previous.exists() == (number > 0)
    assert [read_header(file, "a", 1)[0]["number"] for file in (path, previous)] == [2, 1]


# ---- damage ------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused(path):
    save_model(path, make_model(hidden=1))
    whole = path.read_bytes()
    for size in range(0, len(whole), 41):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchiveError, match=f"found {size} bytes that are not a whole archive"):
            load_model(path)


def test_no_flipped_bit_ever_changes_a_weight(path, rng):
    """Each flipped bit raises an error that names the file, or is in a place that holds no data."""
    model = make_model(hidden=1)
    save_model(path, model)
    whole = path.read_bytes()
    noticed = 0
    places = range(0, len(whole), 13)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load_model(path)
        except ArchiveError as error:
            assert str(path) in str(error)
            noticed += 1
        else:
            assert loaded.config == model.config
            assert_same_weights(loaded, model)
    assert noticed > 0.7 * len(places), f"{noticed} of {len(places)} noticed"


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zip_of(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def header(**changes):
    return np.array(json.dumps(dict(format="ctc_scratch model", version=1, config={}) | changes))


FOREIGN = {
    "missing": (None, "found no such file"),
    "empty": (b"", "found 0 bytes that are not a whole archive"),
    "text": (b"hello", "found 5 bytes that are not a whole archive"),
    "npy": (npy(np.zeros(3)), "not a whole archive"),
    "zip_of_text": (zip_of("readme.txt", "hello"), "damaged or of another kind"),
    "other_npz": (npz(weights=np.zeros(3)), "another kind: it has no header"),
    "pickled": (npz(header=header(), x=np.array([{}], object)),
                "x.npy holds object in place of numbers, which may need a pickle"),
    "header_no_json": (npz(header=np.array("{")), "another kind: Expecting property name"),
    "header_no_dict": (npz(header=np.array("[1]")), "damaged or of another kind"),
    "other_format": (npz(header=header(format="their model")),
                     "expected 'ctc_scratch model' version 1, found 'their model' version 1"),
    "later_version": (npz(header=header(version=2)), "version 1, found .* version 2"),
    "no_weights": (npz(header=header()), "expected weights all float16, .* found none"),
}


@pytest.mark.parametrize("content, message", FOREIGN.values(), ids=FOREIGN.keys())
def test_the_error_for_a_foreign_file_says_what_was_found(path, content, message):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArchiveError, match=f"{path}: .*{message}"):
        load_model(path)
