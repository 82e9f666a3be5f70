"""The cache finds kernels again, compiles them again when a file changes, and never stops a call.

The tests run on a small package, `house`, which has a copy of `compiled/` in it. Each test has its own copy
of this package, whose kernels are compiled already, beside their sources. It calls them in new processes.
"""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ctc_scratch.compiled.cache

COMPILED = Path(ctc_scratch.compiled.cache.__file__).parent

FILES = {
    "__init__.py": "",
    "compiled/shared.py": """
from .cache import cached_njit

@cached_njit(nogil=True)
def shared(x):
    return 100 * x
""",
    "room/__init__.py": "",
    "room/helpers.py": """
from ..compiled.cache import cached_njit

@cached_njit(nogil=True)
def helper(x):
    return 10 * x
""",
    "room/kernels.py": """
from ..compiled.cache import cached_njit
from ..compiled.shared import shared
from .helpers import helper

@cached_njit(nogil=True)
def kernel(x, more=None):
    return x + helper(x) + shared(x)
""",
    "other/__init__.py": "",
    "other/kernels.py": """
from ..compiled.cache import cached_njit

@cached_njit(nogil=True)
def other(x):
    return -x
""",
}

CALL = """
from house.room.kernels import kernel
from house.other.kernels import other

print(kernel(1), kernel(0.5), other(1))
"""

COUNT = """
print(sum(sum(k.stats.cache_misses.values()) for k in (kernel, other)))
"""

ANSWERS = "111 55.5 -1"
NO_HOME = dict(HOME=os.devnull, XDG_CACHE_HOME=os.devnull)


class House:
    """A package in a folder of its own, whose kernels are called in new processes."""

    def __init__(self, folder):
        self.folder, self.package = folder, folder / "house"

    def environment(self, **variables):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        ours = {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return inherited | NO_HOME | ours | variables

    def run(self, before="", call=CALL, limit=None, **variables):
        """The answers, how many kernels were compiled, and what the process wrote to stderr."""
        def set_limit():
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        ended = subprocess.run(
            [sys.executable, "-W", "always", "-c", before + call + COUNT], cwd="/", capture_output=True,
            text=True, env=self.environment(**variables), preexec_fn=None if limit is None else set_limit)
        assert ended.returncode == 0, ended.stderr
        *answers, compiled = ended.stdout.splitlines()
        return " ".join(answers), int(compiled), ended.stderr

    def kept(self, suffix):
        return sorted(self.package.rglob(f"*.{suffix}"))

    def clear(self):
        for folder in self.package.rglob("__pycache__"):
            shutil.rmtree(folder)

    def block(self):
        """Put a file where each folder of kernels would have to be."""
        for folder in filter(Path.is_dir, list(self.package.iterdir())):
            (folder / "__pycache__").write_text("")

    def edit(self, path, before, after):
        text = (self.package / path).read_text()
        assert before in text
        (self.package / path).write_text(text.replace(before, after))


def build(folder):
    """A house whose kernels have not been compiled yet."""
    house = House(folder)
    shutil.copytree(COMPILED, house.package / "compiled", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in FILES.items():
        (house.package / path).parent.mkdir(exist_ok=True)
        (house.package / path).write_text(text)
    return house


@pytest.fixture(scope="module")
def compiled_house(tmp_path_factory):
    """A house whose kernels are compiled: 3 of them, as one is called with two types."""
    house = build(tmp_path_factory.mktemp("house"))
    assert house.run() == (ANSWERS, 3, "")
    return house


@pytest.fixture
def house(compiled_house, tmp_path):
    """A copy of the house whose kernels are compiled, to be damaged."""
    shutil.copytree(compiled_house.package, tmp_path / "house")
    return House(tmp_path)


def test_kernels_are_found_again(house):
    assert house.run() == (ANSWERS, 0, "")
    assert len(house.kept("nbi")) == 4 and len(house.kept("nbc")) == 7, "helper and shared are kept, too"


# ---- what makes a kept kernel stale -----------------------------------------------------------------


@pytest.mark.parametrize("path, before, after, answers", [
    ("room/kernels.py", "x + helper", "2 * x + helper", "112 56.0 -1"),
    pytest.param("room/helpers.py", "10 * x", "20 * x", "121 60.5 -1", marks=pytest.mark.slow),
    pytest.param("compiled/shared.py", "100 * x", "200 * x", "211 105.5 -1", marks=pytest.mark.slow),
], ids=["its own file", "another file of its folder", "a file of compiled"])
def test_an_edit_of_what_a_kernel_is_made_of_is_noticed(house, path, before, after, answers):
    """Even if the size and the time of the file stay the same: what counts is the text."""
    times = (house.package / path).stat()
    house.edit(path, before, after)
    os.utime(house.package / path, ns=(times.st_atime_ns, times.st_mtime_ns))
    found, compiled, err = house.run()
    assert (found, err) == (answers, "") and compiled >= 2
    assert house.run() == (answers, 0, "")


@pytest.mark.slow
def test_an_edit_elsewhere_compiles_nothing_else(house):
    house.edit("other/kernels.py", "-x", "-2 * x")
    assert house.run() == ("111 55.5 -2", 1, "")


@pytest.mark.slow
def test_an_edit_while_a_process_runs_does_not_spoil_the_cache(house):
    """The process compiles the old text, and must not keep it as a kernel of the new one."""
    house.clear()
    edit = f"""
import house.room.kernels
path = {str(house.package / "room/helpers.py")!r}
with open(path) as file:
    text = file.read()
with open(path, "w") as file:
    file.write(text.replace("10 * x", "20 * x"))
"""
    assert house.run(edit)[0] == ANSWERS
    assert house.run() == ("121 60.5 -1", 2, "")


@pytest.mark.slow
def test_an_editors_lock_file_is_ignored(house):
    (house.package / "room" / ".#kernels.py").symlink_to("nobody@nowhere")
    assert house.run() == (ANSWERS, 0, "")


# ---- damaged files ----------------------------------------------------------------------------------


def cut(data):
    return data[:len(data) // 2]


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xff]) + data[middle + 1:]


def zeros(data):
    return bytes(len(data))


def garbage(data):
    return b"\x80\x05garbage" * 100


def other_version(data):
    return pickle.dumps("0.59.1") + data


def other_layout(data):
    return pickle.dumps(("another", {"layout": 1}))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda data: b"", cut, zeros, garbage, other_version, other_layout],
                         ids=["empty", "cut", "zeros", "garbage", "other version", "other layout"])
def test_a_damaged_file_is_replaced(house, suffix, damage):
    for path in house.kept(suffix):
        path.write_bytes(damage(path.read_bytes()))
    answers, _, err = house.run()
    assert (answers, err) == (ANSWERS, "")
    assert house.run() == (ANSWERS, 0, "")


def test_one_wrong_byte_of_a_kernel_is_noticed(house):
    """Without the checksum the damaged code would run, and anything might happen."""
    for path in house.kept("nbc"):
        path.write_bytes(flip(path.read_bytes()))
    assert house.run() == (ANSWERS, 3, "")


@pytest.mark.slow
def test_a_kernel_for_other_types_is_not_taken(house):
    """Two processes that write at once can leave an index that names the wrong kernel."""
    one, two = [path for path in house.kept("nbc") if "kernel-" in path.name]
    one_data, two_data = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_data)
    two.write_bytes(one_data)
    assert house.run() == (ANSWERS, 2, "")
    assert house.run() == (ANSWERS, 0, "")


# ---- folders that cannot be used --------------------------------------------------------------------

WARNING = "RuntimeWarning: compiled kernels cannot be kept"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
@pytest.mark.parametrize("limit", [0, 1500], ids=["nothing", "the index alone"])
def test_a_full_folder_costs_a_warning(house, limit):
    """The system refuses to write a file of more than `limit` bytes, as a full disk would."""
    house.clear()
    answers, compiled, err = house.run(limit=limit)
    assert (answers, compiled) == (ANSWERS, 3)
    assert err.count(WARNING) == 1 and "Traceback" not in err
    assert not [path for path in house.package.rglob("*") if ".tmp." in path.name]
    assert house.run() == (ANSWERS, 3, ""), "no kernel was kept"
    assert house.run() == (ANSWERS, 0, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
def test_an_old_kernel_is_not_used_where_a_new_one_did_not_fit(house):
    """A new index is written, but the file that it names holds the old kernel: the new one does not fit."""
    house.edit("room/helpers.py", "10 * x", "20 * x")
    answers, _, err = house.run(limit=1500)
    assert answers == "121 60.5 -1" and err.count(WARNING) == 1
    assert house.run() == ("121 60.5 -1", 2, "")


READ_ONLY = """
import builtins, errno, os, tempfile

def refuse(name):
    function = getattr(os, name)
    def refused(path, *rest, **options):
        if str(path).startswith(FOLDER):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return function(path, *rest, **options)
    setattr(os, name, refused)

def open_to_read(path, mode="r", *rest, **options):
    if str(path).startswith(FOLDER) and set(mode) & set("wxa+"):
        raise OSError(errno.EROFS, "Read-only file system", path)
    return opened(path, mode, *rest, **options)

def temporary_file(*rest, dir=None, **options):
    if str(dir).startswith(FOLDER):
        raise OSError(errno.EROFS, "Read-only file system", dir)
    return made(*rest, dir=dir, **options)

opened, builtins.open = builtins.open, open_to_read
made, tempfile.TemporaryFile = tempfile.TemporaryFile, temporary_file
for name in ("mkdir", "makedirs", "replace", "rename", "unlink", "remove", "utime"):
    refuse(name)
"""


def read_only(folder):
    """Code that makes a folder read-only for the process that runs it: file modes do not stop root."""
    return f"FOLDER = {str(folder)!r}" + READ_ONLY


@pytest.mark.slow
def test_kernels_in_a_read_only_folder_are_used(house):
    assert house.run(read_only(house.package)) == (ANSWERS, 0, "")


@pytest.mark.slow
def test_a_new_kernel_beside_a_read_only_folder_costs_a_warning(house):
    answers, compiled, err = house.run(read_only(house.package), CALL + "print(kernel(1j), kernel(True))")
    assert (answers, compiled) == (ANSWERS + " 111j 111", 2)
    assert err.count(WARNING) == 1 and "Traceback" not in err


@pytest.mark.slow
def test_a_new_kernel_that_a_read_only_folder_refuses_goes_to_the_users_cache(house, tmp_path):
    home = dict(HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "home"))
    more = CALL + "print(kernel(1j))"
    assert house.run(read_only(house.package), more, **home) == (ANSWERS + " 111j", 1, "")
    assert house.run(read_only(house.package), more, **home) == (ANSWERS + " 111j", 0, "")


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True], ids=["nothing kept", "the package read-only"])
def test_without_any_folder_there_is_one_warning(house, kept):
    house.clear()
    if not kept:
        house.block()
    answers, compiled, err = house.run(read_only(house.package) if kept else "", NUMBA_CACHE_DIR=os.devnull)
    assert (answers, compiled) == (ANSWERS, 3)
    assert err.count(WARNING) == 1 and "Traceback" not in err


@pytest.mark.slow
def test_a_named_folder_is_the_only_one(house):
    """Other folders are neither read nor written, unless the named one cannot be made."""
    named = house.folder / "named"
    assert house.run(NUMBA_CACHE_DIR=str(named)) == (ANSWERS, 3, "")
    assert len(list(named.rglob("*.nbc"))) == 7
    assert house.run(NUMBA_CACHE_DIR=str(named)) == (ANSWERS, 0, "")
    assert house.run(NUMBA_CACHE_DIR=os.devnull) == (ANSWERS, 0, "")


VANISH = """
import pathlib, shutil
import house
from house.room.kernels import kernel

kernel(1j)
folders = list(pathlib.Path(house.__file__).parent.rglob("__pycache__"))
for folder in folders:
    shutil.rmtree(folder)
"""


@pytest.mark.slow
def test_a_folder_may_vanish_while_a_process_runs(house):
    assert house.run(VANISH) == (ANSWERS, 4, "")
    assert house.run() == (ANSWERS, 0, ""), "it is made again"


@pytest.mark.slow
def test_a_file_may_take_the_place_of_a_folder_while_a_process_runs(house):
    answers, _, err = house.run(VANISH + "    folder.write_text('')\n")
    assert answers == ANSWERS and err.count(WARNING) == 1 and "Traceback" not in err


@pytest.mark.slow
def test_kernels_may_vanish_while_the_index_stays(house):
    for path in house.kept("nbc"):
        path.unlink()
    assert house.run() == (ANSWERS, 3, "")
    assert house.run() == (ANSWERS, 0, "")


# ---- a Numba without the private classes ------------------------------------------------------------


WITHOUT = {
    "no module": """
import sys, numba.core.caching
module = numba.core.caching
del numba.core.caching
sys.modules["numba.core.caching"] = None
import house.compiled.cache
sys.modules["numba.core.caching"] = numba.core.caching = module
""",
    "no class": """
import numba.core.caching
del numba.core.caching._Cache
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("missing", WITHOUT)
def test_where_private_classes_are_missing_numba_keeps_kernels_by_itself(house, missing):
    house.clear()
    said = "\nimport house.compiled.cache as c; assert c.caching is None"
    assert house.run(WITHOUT[missing] + said) == (ANSWERS, 3, "")
    assert house.run(WITHOUT[missing] + said) == (ANSWERS, 0, "")
    house.clear()
    house.block()
    answers, compiled, err = house.run(WITHOUT[missing] + said)
    assert (answers, compiled) == (ANSWERS, 3)
    assert err.count(WARNING) == 1 and "Traceback" not in err
