"""Files made to do harm are refused in one line before they take memory; their content is never executed."""

import ast
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.commands.main import main
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model.model_file import load_model, save_model
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.training.checkpoint import read_checkpoint, write_checkpoint
from tests.tools.archives import MEGABYTE, members, npy, npy_header, refused, rewrite, write_members
from tests.tools.small_runs import small_trainer

TRILLION = 10**12


# ---- models ------------------------------------------------------------------------------


def small_model(path):
    save_model(path, RowReader(hidden=2, window=2, rng=np.random.default_rng(0)))


def with_member(name, content, compression=zipfile.ZIP_STORED):
    """A sound model in which one member is replaced; the name "first" stands for its first array."""
    def make(path):
        small_model(path)
        contents = members(path)
        contents[sorted(contents)[1] if name == "first" else name] = content
        write_members(path, contents.items(), compression)
    return make


def with_config(**changes):
    def make(path):
        small_model(path)
        rewrite(path, lambda header, arrays: header["config"].update(changes))
    return make


def with_header(text):
    return with_member("header.npy", npy(np.array(text)))


def bomb(path):
    """64 MB of zeros in 64 kB."""
    with_member("params/more.npy", npy(np.zeros(64 * MEGABYTE, np.uint8)), zipfile.ZIP_DEFLATED)(path)
    assert path.stat().st_size < MEGABYTE


def sizes_in_the_directory_lie(path):
    """The central directory of the zip file claims 4 GB for an array."""
    small_model(path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")       # the last one
    content[entry + 20:entry + 28] = struct.pack("<2I", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)


def overlapping(path):
    """A thousand names for the same megabyte."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", npy(np.zeros(MEGABYTE, np.uint8)))
        for k in range(1000):
            again = zipfile.ZipInfo(f"params/{k}.npy")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, field, getattr(archive.filelist[0], field))
            archive.filelist.append(again)


def twice(path):
    small_model(path)
    contents = members(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_members(path, [*contents.items(), *list(contents.items())[1:2]])


def sparse(path):
    """A sound model in a file that continues for a terabyte without occupying disk space."""
    small_model(path)
    with open(path, "r+b") as file:
        file.truncate(TRILLION)


MODELS = {
    "a_trillion_weights": (with_member("first", npy_header((TRILLION,))),
                           "said to have shape .1000000000000,. of float32, but has 0 bytes"),
    "a_negative_shape": (with_member("first", npy_header((-2, -3)) + bytes(24)), "to have shape .-2, -3."),
    "no_rows_of_a_trillion": (with_member("first", npy_header((0, TRILLION))),
                              "expected lstm1.forward.bias of shape .8,., found .0, 1000000000000."),
    "bomb": (bomb, "its arrays are compressed"),
    "sizes_that_lie": (sizes_in_the_directory_lie, "its arrays are said to have 429497.* bytes, the file"),
    "overlapping": (overlapping, "its arrays are said to have 1049.* bytes, the file has 1"),
    "twice": (twice, "two arrays of one name"),
    "sparse": (sparse, "found 1000000000000 bytes that are not a whole archive"),
    "absolute_name": (with_member("/tmp/evil.npy", npy(np.zeros(3))), "an array named /tmp/evil.npy"),
    "name_that_climbs": (with_member("a/../../evil.npy", npy(np.zeros(3))), "an array named a/../../evil"),
    "name_of_windows": (with_member("..\\evil.npy", npy(np.zeros(3))), "an array named "),
    "name_of_two_lines": (with_member("params/a\nb.npy", npy(np.zeros(3, np.float32))), "expected no a.b"),
    "structured": (with_member("first", npy_header((2,), [("a", "<f4", (TRILLION,))])), "a model file, fou"),
    "hidden": (with_config(hidden=10**6), "of shape .4000000, 56., found .8, 56."),
    "layers": (with_config(layers=TRILLION), "expected lstm2.forward.weight_ih, found no"),
    "window": (with_config(window=TRILLION), "of shape .8, 28000000000000., found .8, 56."),
    "vertical": (with_config(vertical=TRILLION), "expected vertical.forward.weight_ih, found no"),
    "hidden_of_9000_digits": (with_config(hidden=10**4000), "expected lstm1.forward.weight_ih of shape"),
    "config_no_dict": (with_header(json.dumps(dict(format="ctc_scratch model", version=1, config=[2]))),
                       "expected the settings of a model, found .2."),
    "endless_header": (with_header("[" * 2 * MEGABYTE), "a header of 8388736 bytes"),
    "deep_header": (with_header("[" * 100_000), "damaged or of another kind: maximum recursion"),
    "number_of_10000_digits": (with_header("1" * 10_000), "damaged or of another kind: Exceeds the limit"),
    "format_of_many_lines": (with_header(json.dumps(dict(format="a\n" * 9999, version=1))),
                             "found 'a.na.na"),
}


@pytest.mark.parametrize("make, message", MODELS.values(), ids=MODELS.keys())
def test_a_hostile_model_takes_no_memory(tmp_path, make, message):
    make(tmp_path / "model.npz")
    with refused(ArchiveError, f"model.npz: .*{message}"):
        load_model(tmp_path / "model.npz")


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_the_content_of_a_file_is_never_executed(tmp_path, capsys):
    made = tmp_path / "made"
    call = f"{{'descr': __import__('os').mkdir({str(made)!r}), 'fortran_order': False, 'shape': (), }}"
    contents = {
        "pickled array": npy(np.array([Harmful(made)], object)),
        "pickle": pickle.dumps(Harmful(made)),
        "expression": b"\x93NUMPY\x01\x00" + struct.pack("<H", 256) + f"{call.ljust(255)}\n".encode(),
    }
    for name, content in contents.items():
        for member in ("header.npy", "first", "params/more.npy"):
            with_member(member, content)(tmp_path / "model.npz")
            with refused(ArchiveError, "damaged or of another kind"):
                load_model(tmp_path / "model.npz")
            assert main(["evaluate", str(tmp_path)]) == 2, name
            assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"], "something was executed"
    pickle.loads(contents["pickle"])
    assert made.is_dir(), "the pickle must be harmful, or this test proves nothing"


PACKAGE = Path(ctc_scratch.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
TRUSTED = {
    "compiled/cache.py": {"pickle"},  # like Numba itself, it keeps kernels in the user's own folders
    "digits/training/ranks/mpi.py": {"pickle"},  # messages between the processes of one run
    "check/twins.py": {"exec", "compile"},  # wrong variants of this package's own source
}
"""What a file may do, because the bytes come from this package or its user."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_source_unpickles_or_evaluates(path):
    """NumPy's loaders are called with allow_pickle=False; only trusted bytes are unpickled or evaluated."""
    trusted = TRUSTED.get(path.relative_to(PACKAGE).as_posix(), set())
    unpicklers = {"marshal", "shelve", "dill", "joblib", "pickle"} - trusted
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        for name in [*names, called]:
            assert not unpicklers & set(name.split(".")), name
        evaluators = {"eval", "exec", "compile", "__import__", "os.system"} - trusted
        assert called not in evaluators, f"{called} is called"
        if called in ("np.load", "numpy.load", "np.lib.format.read_array"):
            assert "allow_pickle=False" in ast.unparse(node)
        assert called.split(".")[-1] not in ("extract", "extractall"), f"{called} writes what a file names"


# ---- checkpoints -------------------------------------------------------------------------


@pytest.mark.parametrize("change, message", [
    (dict(hidden=10_000), "of shape .40000, 392., found"),
    (dict(hidden=10**9), "--hidden must be from 1 to 10000"),
    (dict(layers=100), "expected lstm2.forward.weight_ih, found no"),
    (dict(batch=10**9), "--batch must be from 1 to"),
    (dict(digits=[1, 10**9]), "--digits must be 10000 at most"),
    (dict(gap=10**9), "--gap must be"),
])
def test_hostile_settings_of_a_run_take_no_memory(tmp_path, change, message):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(small_trainer(), path, tmp_path / "previous.npz", metrics=0)
    rewrite(path, lambda header, arrays: header["settings"].update(change))
    with refused(ArchiveError, f"checkpoint.npz: .*{message}"):
        read_checkpoint(path)
