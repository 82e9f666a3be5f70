"""Fixtures and problem makers for every test file, and how the suite runs on several cores."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import tempfile
from typing import NamedTuple

import numba
import numpy as np
import pytest

from ctc_scratch.ctc.labels import min_frames
from tests.tools.alone import SharedRoom
from tests.tools.precompile import compile_kernels

# ---- fixtures and comparisons -------------------------------------------------------------


class Problem(NamedTuple):
    """A batch in which every target fits its frames."""

    logits: np.ndarray  # (T, N, C)
    targets: list
    logit_lengths: np.ndarray
    blank: int


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts():
    """Let Ctrl-C end the processes that tests start, even if a shell runs the suite in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_problem(rng):
    """make_problem(T, N, C, U, ...): random logits; ragged lengths and targets of 0..U labels."""

    def make(T, N, C, U, *, scale=1.0, blank=0, dtype=np.float64, ragged=True, labels=None):
        logits = (scale * rng.standard_normal((T, N, C))).astype(dtype)
        classes = [c for c in range(C) if c != blank][: labels or C]  # few labels make many repeats
        targets, lengths = [], []
        for _ in range(N):
            target = rng.choice(classes, size=rng.integers(U + 1) if ragged else U)
            while min_frames(target) > T:
                target = target[:-1]
            targets.append(target)
            lengths.append(rng.integers(min_frames(target), T + 1) if ragged else T)
        return Problem(logits, targets, np.array(lengths), blank)

    return make


as_plain_python = pytest.mark.skipif(
    not numba.config.DISABLE_JIT,  # type: ignore[attr-defined]
    reason="parts of kernels can only be called in plain Python")


def assert_close(actual, expected, atol, what):
    """Fail unless all entries agree within `atol`; the message has both numbers where they differ most."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        error = np.where(actual == expected, 0.0, np.abs(actual - expected))  # equal infinities agree
    _remember(float(error.max(initial=0.0)), float(atol), re.sub(r" of .*|[ \[(]*[-\d.(].*", "", what))
    if error.size and not error.max() <= atol:
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise AssertionError(
            f"{what}{list(map(int, worst))}: {actual[worst]!r}, expected {expected[worst]!r}, "
            f"error {error[worst]:.2e} > {atol:.0e}"
        )


# ---- the largest errors: python -m pytest --errors ----------------------------------------

_errors: dict[tuple[str, str], tuple[float, float]] = {}
"""By test and compared quantity: the largest error, and the largest error as a share of its tolerance."""


def _remember(error, atol, what):
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split("[")[0].split(" ")[0]
    _merge({(test, what): (error, error / (atol or error) if error else 0.0)})


def _merge(errors):
    for key, (error, share) in errors.items():
        worst, largest = _errors.get(key, (0.0, 0.0))
        _errors[key] = max(worst, error), max(largest, share)


def pytest_addoption(parser):
    parser.addoption("--errors", action="store_true", help="show the largest error of each comparison")


def pytest_sessionfinish(session):
    if is_worker(session.config):
        session.config.workeroutput["errors"] = [(*key, *errors) for key, errors in _errors.items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    rows = getattr(node, "workeroutput", {}).get("errors", [])
    _merge({(test, what): (error, share) for test, what, error, share in rows})


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--errors"):
        terminalreporter.section("largest errors, and their share of what is allowed")
        for (test, what), (error, share) in sorted(_errors.items()):
            terminalreporter.write_line(f"{error:8.1e} {share:7.1%}  {test}  {what}")


# ---- several cores ------------------------------------------------------------------------
#
# pytest-xdist hands the whole suite to one worker process per core. (Tests that are named on the command line
# run in pytest's own process, unless `-n 2` asks for workers.) The kernels that most tests need are compiled
# before the workers start, or each worker would compile them for itself. While a test marked `alone` runs,
# all other workers wait: it measures time, threads or memory.


def is_worker(config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """How many workers run the tests: one per core for the whole suite, none for tests that are named."""
    if config.option.file_or_dir:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores > 1 else 0


def pytest_configure(config):
    if is_worker(config):
        config.shared_room = SharedRoom(config.workerinput["room"])
        config.add_cleanup(config.shared_room.__exit__)
    elif config.getoption("tx", None):
        config.room = tempfile.mkdtemp(prefix="ctc_scratch-tests-")
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")  # in the workers, of which there is one per core
    for library in ("torch", "jax", "optax", "mpi4py"):
        if os.environ.get("CI") == "true" and not importlib.util.find_spec(library):
            raise pytest.UsageError(f"CI=true, but {library} is missing: tests would be skipped")


def pytest_unconfigure(config):
    if hasattr(config, "room"):
        shutil.rmtree(config.room, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["room"] = node.config.room


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    if config.option.collectonly:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reporter.write_line("compiling kernels that are not in the cache (up to two minutes) ...")
    try:
        compile_kernels(len(specs))
    except Exception as error:  # the tests will show it with more detail
        reporter.write_line(f"a kernel cannot be compiled: {error}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    room = getattr(item.config, "shared_room", None)
    if room is None:
        return (yield)
    with room.alone() if item.get_closest_marker("alone") else room.shared():
        return (yield)
