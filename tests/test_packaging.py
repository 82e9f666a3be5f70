"""What `pip install` gets: every file of the package, its version, and nothing else."""

import configparser
import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.model.model_file import digest, find_model, load_model
from tests.tools.suite import ROOT, copy_project

PACKAGE = Path(ctc_scratch.__file__).parent
# Only for readers of the repository: the list of the files, and the log of how the model was trained.
NOT_SHIPPED = {"README.md", "digits/model/trained.log"}


def files_on_disk():
    """The files of the package as paths from its folder, without what Python and Numba put there."""
    return {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts} - NOT_SHIPPED


def test_all_data_files_are_package_data():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = {f"{package.replace('.', '/')}/{pattern}".removeprefix("ctc_scratch/")
                for package, patterns in setup["options.package_data"].items()
                for pattern in patterns.split(", ")}
    data = {name for name in files_on_disk() if not name.endswith(".py")}
    assert {"py.typed", "digits/model/trained.npz"} <= data
    assert {name for name in data if not any(fnmatch(name, pattern) for pattern in patterns)} == set()
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in data)] == []


def test_every_folder_with_modules_is_a_package():
    """setuptools leaves out a folder that has no `__init__.py`."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("setuptools"), reason="setuptools builds the archives")
def test_wheel_and_sdist_hold_the_package(tmp_path):
    folder = copy_project(ROOT, tmp_path / "project")
    code = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    version = ctc_scratch.__version__
    assert wheel.name.startswith(f"ctc_scratch-{version}-") and sdist.name == f"ctc_scratch-{version}.tar.gz"

    expected = {f"ctc_scratch/{name}" for name in files_on_disk()}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith("/LICENSE") for name in names)
    assert f"\nVersion: {version}\n" in text and "\nAuthor: the ctc_scratch authors\n" in text

    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert expected | {"LICENSE", "README.md", "setup.cfg", "pyproject.toml"} <= names


# ---- from a zip archive ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_from_zip(tmp_path_factory):
    """A function that runs Python code, with the package in a zip archive and nowhere else."""
    folder = tmp_path_factory.mktemp("zip")
    with zipfile.ZipFile(folder / "package.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files_on_disk():
            archive.write(PACKAGE / name, f"ctc_scratch/{name}")

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": str(folder / "package.zip"), "TMPDIR": str(folder / "none")}
        ended = subprocess.run([sys.executable, "-W", "error", *arguments], cwd=folder, env=environment,
                               capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert "package.zip" in ended.stdout.splitlines()[0]
        return ended.stdout.splitlines()[1:]

    return run


FILES = """
from ctc_scratch.digits.data import mnist_files
from ctc_scratch.digits.model.model_file import digest, find_model, load_model

print(mnist_files.__file__)
print(digest(load_model(find_model()).params))
print(digest(mnist_files.load_mnist()._asdict()))
"""


@pytest.mark.slow
def test_a_zip_archive_has_the_model_and_the_digits(run_from_zip):
    """They are read from the archive itself: nothing can be unpacked, since TMPDIR does not exist."""
    assert run_from_zip("-c", FILES) == [digest(load_model(find_model()).params),
                                         digest(load_mnist()._asdict())]


LOSS = """
import numpy as np
import ctc_scratch

print(ctc_scratch.__file__)
print(*ctc_scratch.ctc_loss(np.zeros((4, 2, 3)), [[1, 1], [1, 2]]).loss)
"""


@pytest.mark.slow
def test_a_loss_is_computed_from_a_zip_archive(run_from_zip):
    """5 and 15 of the 81 paths of the toy problem spell the targets."""
    (line,) = run_from_zip("-c", LOSS)
    np.testing.assert_allclose(np.array(line.split(), float), -np.log(np.array([5, 15]) / 81), rtol=1e-14)


@pytest.mark.slow
def test_the_command_line_runs_from_a_zip_archive(run_from_zip):
    code = ("import sys, ctc_scratch.commands.main as main; print(main.__file__); "
            "sys.exit(main.main(['evaluate', '--digits', '50']))")
    assert any(line.split()[:3] == ["50", "200", "greedy"] for line in run_from_zip("-c", code))
