"""What `pip install` gets: every file of the package, its version, and nothing else."""

import configparser
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

import ctc_scratch
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
                for package, pattern in setup["options.package_data"].items()}
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
