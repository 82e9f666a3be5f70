"""The scripts that run the suite elsewhere notice failures, check bounds and read `setup.cfg`."""

import os
import re
import subprocess
import sys

import pytest

from tests import bounds, machines, versions
from tests.tools.suite import ROOT, copy_project, run_suite

CONFIG = """
[options]
python_requires = >=3.10
install_requires =
    numpy>=1.26
    tqdm>=4.60

[options.extras_require]
test =
    pytest>=8
    torch==2.13.0
"""


def test_versions_are_those_of_the_configuration():
    assert versions.requirements(CONFIG, oldest=True, torch=False) == [
        "numpy==1.26", "tqdm==4.60", *versions.BESIDE_THE_OLDEST, "pytest>=8"]
    assert versions.requirements(CONFIG, oldest=False, torch=True) == [
        "numpy>=1.26", "tqdm>=4.60", "pytest>=8", "torch==2.13.0"]
    ours = (ROOT / "setup.cfg").read_text()
    assert all("==" in line for line in versions.requirements(ours, oldest=True, torch=False)[:6])


@pytest.mark.parametrize("line", ["numpy>=1.26,<3", "numpy", "numpy==2.0", "numpy>=1.26;python_version<'4'"])
def test_a_requirement_that_is_not_a_lower_bound_is_refused(line):
    with pytest.raises(ValueError, match=f"expected package>=version, found {re.escape(line)}"):
        versions.requirements(CONFIG.replace("numpy>=1.26", line), oldest=True, torch=False)


@pytest.mark.parametrize("there", [{sys.executable: "", "python3.99": "python"},
                                   {sys.executable: "python", "python3.99": ""}], ids=["this", "other"])
def test_a_set_fails_without_an_environment_of_this_python(tmp_path, monkeypatch, there):
    (tmp_path / "tests").mkdir()
    (tmp_path / "setup.cfg").write_text(CONFIG)
    monkeypatch.setattr(versions, "pythons", lambda text: ["python3.99"])
    monkeypatch.setattr(versions, "environment", lambda folder, python, packages: there[python])
    monkeypatch.setattr(versions, "name", lambda python: python)
    monkeypatch.setattr(versions, "run_suite", lambda *arguments, **environment: True)
    assert versions.try_versions("oldest", tmp_path, tmp_path) == bool(there[sys.executable])


def test_all_pythons_on_the_path_that_are_allowed_are_found(tmp_path, monkeypatch):
    for minor, status in [(9, 0), (10, 1), (11, 0), (13, 0)]:
        fake = tmp_path / f"python3.{minor}"
        fake.write_text(f"#!/bin/sh\nexit {status}\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.pythons(CONFIG) == [str(tmp_path / "python3.11"), str(tmp_path / "python3.13")]


def test_a_copy_leaves_out_generated_files(tmp_path):
    project = tmp_path / "project"
    for name in ("code/a.py", "code/__pycache__/a.pyc", "runs/1/model.npz", ".git/HEAD", ".ci/run"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    copy = copy_project(project, tmp_path / "copy")
    copied = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert copied == {"code/a.py", ".ci/run"}


def test_files_that_need_torch_are_found_in_every_folder():
    found = versions.files_that_need_torch(ROOT)
    assert {"tests/nn/test_lstm.py", "tests/ctc/test_loss_vs_torch.py"} <= set(found)
    assert "tests/test_house.py" not in found


def test_levels_hide_what_a_processor_has():
    new, old = (machines.levels(features) for features in (["X86_V3", "X86_V4", "AVX512_ICL"], []))
    assert list(new) == ["as-is", "without-avx512", "baseline-numpy", "generic-numba", "oldest"]
    assert new["without-avx512"]["NPY_DISABLE_CPU_FEATURES"] == "X86_V4 AVX512_ICL"
    assert new["baseline-numpy"]["NPY_DISABLE_CPU_FEATURES"] == "X86_V3 X86_V4 AVX512_ICL"
    assert new["oldest"] == new["baseline-numpy"] | {"NUMBA_CPU_NAME": "generic"}
    assert old == {"as-is": {}, "generic-numba": {"NUMBA_CPU_NAME": "generic"},
                   "oldest": {"NUMBA_CPU_NAME": "generic"}}


def test_numpy_does_without_the_features_of_a_level():
    features = machines.processor_features()
    if not features:
        pytest.skip("NumPy uses none here")
    code = "from tests.machines import processor_features; print(*processor_features())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env=os.environ | machines.without(features, "Nehalem"), cwd=ROOT)
    assert not set(features) & set(run.stdout.split())


@pytest.mark.slow
def test_a_run_prints_one_line_and_all_lines_if_a_test_fails(tmp_path, capsys):
    test = tmp_path / "test_planted.py"
    test.write_text("def test():\n    pass\n")
    assert run_suite("planted", tmp_path, sys.executable)
    assert capsys.readouterr().out.startswith("planted: 1 passed in ")
    test.write_text("def test():\n    assert 1 == 2\n")
    assert not run_suite("planted", tmp_path, sys.executable)
    out = capsys.readouterr().out
    assert "assert 1 == 2" in out and "planted: 1 failed in " in out


@pytest.mark.slow
def test_an_index_beyond_the_array_is_found(tmp_path, capsys, monkeypatch):
    test = tmp_path / "test_planted.py"
    test.write_text("import numba\nimport numpy as np\n\n\n@numba.njit\ndef beyond(x):\n"
                    "    return x[len(x)]\n\n\ndef test():\n    beyond(np.zeros(3))\n")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.delenv("NUMBA_BOUNDSCHECK", raising=False)  # this suite may itself run with it
    assert run_suite("unchecked", tmp_path, sys.executable), "Numba checks no index unless it is told to"
    monkeypatch.setattr(sys, "argv", ["bounds", str(test)])
    assert bounds.main() == 1
    assert "IndexError" in capsys.readouterr().out
